"""Training speed: our packed loop against the Hugging Face Trainer with a plain collator, and against the bare step.

python bench/train_speed.py [--quick]: one LLaVA of 34 M random parameters (196 picture tokens), projector and language
model learning in fp32, AdamW, no checkpoint, no validation; 16 pictures with 30 questions each (GQA-ru's 30.7), then one
question a picture. Answers per second after one warm-up step, medians of alternating rounds in one process. Both see the same
questions, the same number of answers a step; the loss is on answers only. The overhead is of our loop (batches, record,
clipping) over forward, backward and optimiser step of the same packed batches, made beforehand.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from PIL import Image

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from tests.support.random_models import llava

from ruvlm.config import RunConfig, validated
from ruvlm.data.images import load_image
from ruvlm.data.sheet import png
from ruvlm.models.vlm.learner import VlmLearner
from ruvlm.processes import Group, Ranks
from ruvlm.questions.tables import IMAGES, INSTRUCTIONS
from ruvlm.runtime import keep_freed_memory, quiet_transformers
from ruvlm.training.loop import Run
from ruvlm.training.validation import Validator

WORDS = ("мяч", "кошка", "стол", "машина", "дом", "птица")
COLOURS = ("красный", "синий", "белый", "чёрный")


def write_data(folder: Path, pictures: int, each: int) -> None:
    """GQA-ru's layout: noisy pictures, `each` questions about every one."""
    rng = np.random.default_rng(0)
    images, rows = [], []
    for number in range(pictures):
        pixels = rng.integers(0, 255, (224, 224, 3), dtype=np.uint8)
        images.append({"id": str(number), "image": {"bytes": png(Image.fromarray(pixels)), "path": f"{number}.png"}})
        for k in range(each):
            rows.append(
                {
                    "id": str(number * 1000 + k),
                    "imageId": str(number),
                    "question": f"Какого цвета {WORDS[k % 6]} номер {k} слева от стола?",
                    "answer": COLOURS[(k + number) % 4],
                    "types": {"structural": "query", "semantic": "attr", "detailed": "directOf"},
                }
            )
    for kind, schema, some in (("images", IMAGES, images), ("instructions", INSTRUCTIONS, rows)):
        path = folder / "gqa-ru" / f"train_balanced_{kind}" / "train-00000-of-00001.parquet"
        path.parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(pa.Table.from_pylist(some, schema=schema), path)


def settings(model: Path, data: Path, results: Path, images: int, each: int, steps: int) -> RunConfig:
    return validated(
        {
            "name": f"run{time.monotonic_ns()}",
            "results": str(results),
            "device": "cpu",
            "model": {"name": "vlm"},
            "vlm": {"path": str(model), "parts": ["projector", "language"], "row_tokens": 4096},
            "data": {"path": str(data)},
            "train": {
                "max_steps": steps,
                "images_per_step": images,
                "questions_per_image": each,
                "validations": 0,
                "checkpoint_minutes": 1e6,
                "warmup_steps": 1,
            },
        },
        "train_speed",
    )


def ours(model: Path, data: Path, images: int, each: int, steps: int) -> tuple[float, float]:
    """Answers a second of the loop, and of the bare steps on the same batches."""
    with tempfile.TemporaryDirectory() as name:
        config = settings(model, data, Path(name), images, each, steps + 1)
        task = VlmLearner.build(config, torch.device("cpu"), lambda _: None)
        marks: list[tuple[float, int]] = []
        run = Run(
            config,
            task,
            Validator([], {}, "speed"),
            lambda _: None,
            lambda _: None,
            False,
            Group(Ranks(), torch.device("cpu")),
        )
        count = run._count

        def counted(losses: Any, seconds: float) -> None:
            count(losses, seconds)
            marks.append((time.perf_counter(), losses.answers))

        run._count = counted  # type: ignore[method-assign]
        run._stages()
        loop = sum(n for _, n in marks[1:]) / (marks[-1][0] - marks[0][0])
        (stage,) = task.stages()
        batches = [stage.batch(step, 0, 1) for step in range(steps + 1)]
        answers, started = 0, 0.0
        for number, batch in enumerate(batches):
            if number == 1:
                started = time.perf_counter()
            stage.loss(batch, 0.0).total.backward()
            stage.optimizers[0].step()
            task.model.zero_grad(set_to_none=True)
            answers += batch.questions if number else 0
        return loop, answers / (time.perf_counter() - started)


def trainer(model: Path, data: Path, batch: int, steps: int) -> float:
    """Answers a second of transformers.Trainer with a plain collator: a picture a question."""
    from transformers import AutoModelForImageTextToText, AutoProcessor, Trainer, TrainerCallback, TrainingArguments

    from ruvlm.benchmarks.source import open_source

    examples = open_source(str(data)).load("gqa-ru", "train").examples
    whole = AutoModelForImageTextToText.from_pretrained(model, dtype=torch.float32)
    for name, parameter in whole.named_parameters():
        parameter.requires_grad_("vision_tower" not in name)
    processor = AutoProcessor.from_pretrained(model)

    def collate(rows: list[Any]) -> dict[str, torch.Tensor]:
        prompts = [
            processor.apply_chat_template(
                [
                    {
                        "role": "user",
                        "content": [{"type": "image"}, {"type": "text", "text": f"{e.question}\nОтветь одним словом."}],
                    }
                ],
                add_generation_prompt=True,
            )
            for e in rows
        ]
        texts = [f"{prompt} {e.answer}</s>" for prompt, e in zip(prompts, rows, strict=True)]
        images = [load_image(e.image) for e in rows]
        found = processor(images=images, text=texts, padding=True, padding_side="right", return_tensors="pt")
        labels = found["input_ids"].masked_fill(found["attention_mask"] == 0, -100)
        for row, (prompt, image) in enumerate(zip(prompts, images, strict=True)):
            labels[row, : processor(images=image, text=prompt, return_tensors="pt")["input_ids"].shape[1]] = -100
        return {**found, "labels": labels}

    class Clock(TrainerCallback):
        def __init__(self) -> None:
            self.marks: list[float] = []

        def on_step_end(self, *args: Any, **kwargs: Any) -> None:
            self.marks.append(time.perf_counter())

    clock = Clock()
    with tempfile.TemporaryDirectory() as name:
        arguments = TrainingArguments(
            name,
            per_device_train_batch_size=batch,
            max_steps=steps + 1,
            use_cpu=True,
            report_to=[],
            save_strategy="no",
            logging_strategy="no",
            remove_unused_columns=False,
            disable_tqdm=True,
            optim="adamw_torch",
            learning_rate=1e-4,
        )
        Trainer(whole, arguments, data_collator=collate, train_dataset=list(examples), callbacks=[clock]).train()
    return batch * steps / (clock.marks[-1] - clock.marks[0])


def side_by_side(rounds: int, ways: dict[str, Callable[[], Any]]) -> dict[str, Any]:
    found: dict[str, list[Any]] = {name: [] for name in ways}
    for _ in range(rounds):
        for name, work in ways.items():
            found[name].append(work())
    return found


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--quick", action="store_true")
    arguments = parser.parse_args()
    quiet_transformers()
    keep_freed_memory()
    rounds, steps = (1, 2) if arguments.quick else (3, 4)
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        model = llava(
            root / "model",
            width=512,
            layers=8,
            heads=8,
            image=224,
            patch=16,
            vision=256,
            vision_layers=6,
            vocabulary=2000,
        )
        size = sum(p.stat().st_size for p in model.glob("*.safetensors")) / 4e6
        write_data(root / "many", 16, 30)
        write_data(root / "one", 64, 1)
        many = side_by_side(
            rounds,
            {
                "ours": lambda: ours(model, root / "many", 1, 30, steps),
                "trainer": lambda: trainer(model, root / "many", 30 if not arguments.quick else 10, max(1, steps // 2)),
            },
        )
        one = side_by_side(
            rounds,
            {
                "ours": lambda: ours(model, root / "one", 8, 1, steps)[0],
                "trainer": lambda: trainer(model, root / "one", 8, steps),
            },
        )
    packed = statistics.median(loop for loop, _ in many["ours"])
    bare = statistics.median(step for _, step in many["ours"])
    plain = statistics.median(many["trainer"])
    single, alone = statistics.median(one["ours"]), statistics.median(one["trainer"])
    overhead = 100 * (statistics.median(b / loop for loop, b in many["ours"]) - 1)
    print(
        f"LLaVA, {size:.1f} млн параметров, 196 токенов картинки; ответов в секунду, медианы {rounds} чередующихся кругов"
    )
    print(f"30 вопросов на картинку: наш цикл {packed:.2f}, Trainer {plain:.2f}: в {packed / plain:.1f} раза быстрее")
    print(f"один вопрос на картинку: наш цикл {single:.2f}, Trainer {alone:.2f}: в {single / alone:.2f} раза")
    print(f"цикл против голых шагов на тех же пакетах: {packed:.2f} и {bare:.2f}: накладных {overhead:.1f} %")
    print(
        json.dumps(
            {
                "packed_ratio": round(packed / plain, 2),
                "single_ratio": round(single / alone, 2),
                "overhead_percent": round(overhead, 1),
                "quick": arguments.quick,
            }
        )
    )


if __name__ == "__main__":
    main()
