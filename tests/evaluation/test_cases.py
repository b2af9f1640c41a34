"""Public reports tried on us: every folder of ../shared/findings/cases is right by its own check, or by its README's words."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from ruvlm.data.conversations import load
from ruvlm.rules.match import match_lemma, match_russian
from tests.support.house import ROOT, SHARED, Ran

Run = Callable[..., Ran]
CASES = SHARED / "findings" / "cases"
CHECKED = sorted(path.parent.name for path in CASES.glob("*/check.sh"))
# models are built for these
HEAVY = ("bin_adapter_swapped", "train_on_adapter")


@pytest.mark.parametrize("name", [pytest.param(n, marks=pytest.mark.slow) if n in HEAVY else n for n in CHECKED])
def test_the_case_is_right(name: str) -> None:
    environment = {**os.environ, "PYTHONPATH": f"{ROOT / 'src'}:{ROOT}"}
    command = ["bash", str(CASES / name / "check.sh"), sys.executable]
    ran = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=600, check=False)
    assert ran.returncode == 0, ran.stdout[-2000:] + ran.stderr[-2000:]


@pytest.mark.parametrize(
    ("name", "match", "wanted"),
    [
        ("ru_hedging", match_russian, [False] * 4),
        ("ru_wrapped", match_russian, [True] * 4),
        ("ru_numbers", match_russian, [False] * 5 + [True] * 2),
        ("lemma_contradicting_preposition", match_lemma, [False] * 3),
    ],
)
def test_pairs(shared: Path, name: str, match: Callable[[str, str], bool], wanted: list[bool]) -> None:
    rows = [json.loads(line) for line in (CASES / name / "m.jsonl").read_text(encoding="utf-8").splitlines()]
    assert [match(row["pred"], row["gold"]) for row in rows] == wanted


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("csv_unbalanced_quote/p.csv",), 2, "строка 3"),
        (("gold_joined_by_id_only/pred.jsonl", "--gold", "gold_joined_by_id_only/gold.jsonl"), 2, "другие вопросы"),
        (("id_from_line_one/p.jsonl",), 2, "нет поля id"),
        (("lmms_two_filters/samples_gqa.jsonl",), 2, "фильтр"),
        *(
            ((f"gold_letters_dressed/{name}.jsonl",), 0, "mmbench-ru/lmms/vanilla: 8 из 9")
            for name in ("blank", "cyrillic", "lower", "text")
        ),
    ],
)
def test_files(shared: Path, ruvlm: Run, arguments: tuple[str, ...], code: int, said: str) -> None:
    ran = ruvlm("score", *(word if word.startswith("--") else CASES / word for word in arguments))
    assert ran.code == code
    assert said in ran.out + ran.err


def test_corner_boxes(shared: Path, ruvlm: Run, tmp_path: Path) -> None:
    images = shared / "real" / "coco_photos" / "images"
    ran = ruvlm(
        "data",
        "from-coco",
        "--instances",
        CASES / "coco_corner_boxes/xyxy.json",
        "--images",
        images,
        "--out",
        tmp_path / "o",
    )
    assert ran.code == 2
    assert "углы" in ran.err


def conversations(tmp_path: Path, *rows: dict) -> Path:
    from PIL import Image

    for name in ("a.jpg", "sub/b.jpg"):
        (tmp_path / "images" / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (8, 8)).save(tmp_path / "images" / name)
    path = tmp_path / "talk.jsonl"
    path.write_text("\n".join(json.dumps(row, ensure_ascii=False) for row in rows), encoding="utf-8")
    return path


TALK = [{"from": "human", "value": "<image>\nКто это?"}, {"from": "gpt", "value": "Кот."}]


@pytest.mark.parametrize(
    ("row", "pairs", "note"),
    [
        ({"image": ["a.jpg"], "conversations": TALK}, 1, None),
        ({"image": {"bytes": None, "path": "a.jpg"}, "conversations": TALK}, 1, None),
        (
            {
                "images": ["a.jpg"],
                "messages": [{"role": "user", "content": "<image>Кто?"}, {"role": "assistant", "content": "Кот"}],
            },
            1,
            None,
        ),
        ({"image": "a.jpg", "question": "Кто?", "answer": "Кот"}, 1, None),
        ({"image": ["a.jpg", "sub/b.jpg"], "conversations": TALK}, 0, "нескольких"),
        (
            {
                "image": "a.jpg",
                "conversations": [{"from": "human", "value": "<video>О чём?"}, {"from": "gpt", "value": "О нём"}],
            },
            0,
            "видео",
        ),
        ({"image": "a.jpg", "conversations": [*TALK, {"from": "human", "value": "А это?"}]}, 1, "без ответа"),
        ({"image": "a.jpg", "conversations": [{"from": "system", "value": "Ты"}, *TALK]}, 1, "системных"),
        (
            {"image": "a.jpg", "conversations": [TALK[0], {"from": "gpt", "value": "<think>а</think>Кот."}]},
            1,
            "рассуждением",
        ),
        ({"image": "x/y/b.jpg", "conversations": TALK}, 1, "без папки"),
        ({"image": "../a.jpg", "conversations": TALK}, 0, "картинки нет"),
        ({"image": "no.jpg", "conversations": TALK}, 0, "картинки нет"),
    ],
)
def test_conversations_of_every_build(tmp_path: Path, row: dict, pairs: int, note: str | None) -> None:
    rows = ({"image": "a.jpg", "conversations": TALK}, {"image": "a.jpg", "conversations": TALK}, row)
    dataset = load(conversations(tmp_path, *rows), tmp_path / "images")
    assert len(dataset.examples) == pairs + 2
    assert len({example.id for example in dataset.examples}) == pairs + 2
    assert not any("<" in example.question + example.answer for example in dataset.examples)
    assert note is None or any(note in one for one in dataset.notes), dataset.notes
