"""Make the nano that comes with the package, or measure the one that is there.

python bench/packaged_nano.py [--check]: draw its world, train by the recipe nano_packaged, halve the weights' precision,
put the model into src/ruvlm/models/packaged/nano, measure it on a world of another seed, and write its card. `--check` only measures.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
from datetime import date
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from tests.support.packaged import RULES, TEST_SEED

from ruvlm.checkpoint import PACKAGED
from ruvlm.cli.main import main as ruvlm
from ruvlm.evaluation.folder import EvaluationFolder
from ruvlm.evaluation.plan import evaluate_model
from ruvlm.models.nano.model import parameter_count
from ruvlm.models.nano.pretrained import NanoForConditionalGeneration
from ruvlm.run_folder import RunFolder
from ruvlm.runtime import machine
from ruvlm.schema import Score
from ruvlm.world.export import build, plans

ROOT = Path(__file__).parents[1]
TARGET = PACKAGED["nano"]
TRAIN_SEED, TRAIN_IMAGES = 0, 20_000
CARD = """# nano

Модель `nano` из RuVLM-Bench, которая приходит вместе с пакетом: `ruvlm ask nano картинка.png "Какого цвета кот?"`.
{parameters} параметров, половинная точность; Apache-2.0.

## Границы

- **Знает только нарисованные сцены встроенного мира mini**: 20 видов предметов, 8 цветов, 3 места. О фотографиях она гадает.
- Её баллы – на встроенном мире. Это не баллы GQA-ru и MMBench-ru.
- Ответ бывает неверным и при высокой уверенности; не для решений о людях, здоровье, безопасности.

## Данные

{trained_on}: {images} нарисованных картинок, по 24 вопроса и 4 вопроса с вариантами. Лицензия рисунков – Apache-2.0.

## Что показала

Мир mini с зерном {seed}, на котором ни одну нашу модель не обучали и не выбирали; 95 % интервалы в скобках, %.

| | часть | n | nano | только вопрос | серая картинка | самый частый |
|---|---|---|---|---|---|---|
{rows}

GQA по типам: {kinds}.

## Повторить

```
python bench/packaged_nano.py           # обучить, измерить, записать
python bench/packaged_nano.py --check   # измерить ту, что в пакете
```

Обучена {day}: {machine}; {steps} шагов. Настройки – рецепт `nano_packaged`.
"""


def train() -> Path:
    """The world and the run; the model folder at its end."""
    build("mini", Path("data/world-packaged"), TRAIN_SEED, os.cpu_count() or 1, plans("mini", TRAIN_IMAGES))
    run = Path("results/nano_packaged")
    if not (run / "final_model").is_dir():
        resume = ["--resume"] if (run / "checkpoints").is_dir() else []
        code = ruvlm(["train", "nano_packaged", *resume])
        if code:
            raise SystemExit(code)
    return run / "final_model"


def halve(model: Path) -> None:
    """The model folder in half precision, where the package keeps it."""
    TARGET.mkdir(parents=True, exist_ok=True)
    NanoForConditionalGeneration.from_pretrained(model).half().save_pretrained(TARGET)
    (TARGET / "generation_config.json").unlink(missing_ok=True)
    (TARGET / "tokenizer.json").write_bytes((model / "tokenizer.json").read_bytes())


def shown(score: Score | None) -> str:
    if score is None:
        return "–"
    around = f" ({score.low:.1f}–{score.high:.1f})" if score.low is not None and score.high is not None else ""
    return f"{score.value:.1f}{around}".replace(".", ",")


def measure(root: Path) -> tuple[dict[str, float], str, str]:
    """Figures by name, and the card's rows and types."""
    world = root / "world"
    # what controls learn from
    build("mini", world, TEST_SEED, os.cpu_count() or 1, plans("mini", 1000))
    figures, rows, kinds = {}, [], ""
    for split, title in (("test", "test"), ("holdout", "невиданные сочетания")):
        found = evaluate_model("nano", str(world), split, controls=split == "test", out=root / "eval")
        measured = [EvaluationFolder(e.folder).measured for e in found]
        for name, rule in RULES.items():
            by_model = {m.model: m.scores[rule] for m in measured if rule in m.scores}
            own = by_model["nano"]
            cells = [by_model.get(control) for control in ("question-only", "blind:nano", "majority")]
            rows.append(f"| {name} | {title} | {own.n} | **{shown(own)}** | {' | '.join(map(shown, cells))} |")
            figures[f"{split}/{rule}"] = round(own.value, 2)
        if split == "test":
            own = next(m for m in measured if m.model == "nano" and m.benchmark == "gqa-ru")
            kinds = ", ".join(f"{kind} {shown(score)}" for kind, score in own.breakdowns["structural"].items())
    return figures, "\n".join(rows), kinds


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--check", action="store_true")
    arguments = parser.parse_args()
    model = None if arguments.check else train()
    if model is not None:
        halve(model)
    with tempfile.TemporaryDirectory() as name:
        figures, rows, kinds = measure(Path(name))
    if model is not None:
        ready = NanoForConditionalGeneration.from_pretrained(TARGET, dtype="float32")
        there = machine()
        text = CARD.format(
            parameters=f"{parameter_count(ready):,}".replace(",", " "),
            trained_on=ready.config.trained_on,
            seed=TEST_SEED,
            images=f"{TRAIN_IMAGES:,}".replace(",", " "),
            rows=rows,
            kinds=kinds,
            day=date.today().isoformat(),
            machine=f"{there.system}, ядер {there.cores}, torch {there.torch}",
            steps=RunFolder(model.parent).records[-1].step,
        )
        (TARGET / "README.md").write_text(text, encoding="utf-8")
    print(rows)
    size = sum(path.stat().st_size for path in TARGET.iterdir())
    print(json.dumps(figures | {"bytes": size}, ensure_ascii=False))


if __name__ == "__main__":
    main()
