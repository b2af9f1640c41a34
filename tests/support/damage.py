"""Everything that a data set can suffer from, planted one at a time: what `ruvlm data check` must find."""

from __future__ import annotations

import io
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

from ruvlm.audit.whole import audit
from ruvlm.world.export import build, plans

Rows = list[dict[str, Any]]
TESTDEV = "testdev-00000-of-00001.parquet"
QUESTIONS = f"gqa-ru/testdev_balanced_instructions/{TESTDEV}"
PICTURES = f"gqa-ru/testdev_balanced_images/{TESTDEV}"
TRAIN_PICTURES = "gqa-ru/train_balanced_images/train-00000-of-00001.parquet"
CHOICES = "mmbench-ru/mmbench_ru_dev.parquet"


@dataclass(frozen=True)
class Damage:
    """One kind: the code it must be found under, and how it is planted into a folder."""

    code: str
    plant: Callable[[Path], None]


def edited(file: str, change: Callable[[Rows], Any]) -> Callable[[Path], None]:
    """Change the rows of a file in place."""

    def plant(folder: Path) -> None:
        table = pq.read_table(folder / file)
        rows = table.to_pylist()
        change(rows)
        pq.write_table(pa.Table.from_pylist(rows, schema=table.schema), folder / file)

    return plant


def set_at(file: str, number: int, **values: Any) -> Callable[[Path], None]:
    """Set fields of one row."""
    return edited(file, lambda rows: rows[number].update(values))


def picture(change: Callable[[bytes], bytes | None], number: int = 3) -> Callable[[Path], None]:
    """Change the bytes of one picture."""

    def spoil(rows: Rows) -> None:
        rows[number]["image"]["bytes"] = change(rows[number]["image"]["bytes"])

    return edited(PICTURES, spoil)


def where_type(kind: str, **values: Any) -> Callable[[Path], None]:
    """Set fields of the first question of a structural type."""
    return edited(QUESTIONS, lambda rows: next(r for r in rows if r["types"]["structural"] == kind).update(values))


def without_column(file: str, name: str) -> Callable[[Path], None]:
    def plant(folder: Path) -> None:
        pq.write_table(pq.read_table(folder / file).drop_columns([name]), folder / file)

    return plant


def as_numbers(folder: Path) -> None:
    table = pq.read_table(folder / QUESTIONS)
    numbers = pa.array(range(table.num_rows), pa.int64())
    place = table.schema.get_field_index("answer")
    pq.write_table(table.set_column(place, "answer", numbers), folder / QUESTIONS)


def copied_picture(change: Callable[[bytes], bytes]) -> Callable[[Path], None]:
    """A training picture takes the place of a test one, as `change` leaves it."""

    def plant(folder: Path) -> None:
        source = pq.read_table(folder / TRAIN_PICTURES).to_pylist()[5]["image"]["bytes"]
        edited(PICTURES, lambda rows: rows[2]["image"].update(bytes=change(source)))(folder)

    return plant


def saved_as_jpeg(data: bytes) -> bytes:
    buffer = io.BytesIO()
    Image.open(io.BytesIO(data)).convert("RGB").resize((96, 96)).save(buffer, "JPEG", quality=60)
    return buffer.getvalue()


def blank_png(width: int, height: int) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (width, height), (90, 90, 90)).save(buffer, "PNG")
    return buffer.getvalue()


def noise(size: int) -> bytes:
    buffer = io.BytesIO()
    Image.effect_noise((size, size), 80).convert("RGB").save(buffer, "PNG")
    return buffer.getvalue()


def bomb(data: bytes) -> bytes:
    """A PNG whose header claims 40,000 × 40,000 points."""
    import struct
    import zlib

    header = struct.pack(">II", 40_000, 40_000) + data[24:29]
    return data[:16] + header + struct.pack(">I", zlib.crc32(b"IHDR" + header)) + data[33:]


def cut_file(folder: Path) -> None:
    path = folder / QUESTIONS
    path.write_bytes(path.read_bytes()[:-500])


def second_shard(folder: Path) -> None:
    (folder / PICTURES).rename(folder / PICTURES.replace("of-00001", "of-00002"))


def emptied(folder: Path) -> None:
    table = pq.read_table(folder / CHOICES)
    pq.write_table(table.slice(0, 0), folder / CHOICES)


def group(change: Callable[[Rows], Any]) -> Callable[[Path], None]:
    """Change the rows of the first question that has at least three rotations."""

    def plant(rows: Rows) -> None:
        base = next(r["index"] for r in rows if r["index"] < 1_000_000 and r["C"] is not None)
        change([row for row in rows if row["index"] % 1_000_000 == base])

    return edited(CHOICES, plant)


def without_row(pick: Callable[[Rows], int], file: str) -> Callable[[Path], None]:
    return edited(file, lambda rows: rows.pop(pick(rows)))


def last_rotation(rows: Rows) -> int:
    return max(range(len(rows)), key=lambda n: rows[n]["index"])


def mojibake(text: str) -> str:
    return text.encode().decode("cp1251", errors="replace")


def swap_gold(rows: Rows) -> None:
    row = rows[1]
    row["answer"] = next(letter for letter in "ABC" if letter != row["answer"])


def same_answer_everywhere(kind: str, answer: str) -> Callable[[Path], None]:
    def change(rows: Rows) -> None:
        for row in rows:
            if row["types"]["structural"] == kind:
                row["answer"] = answer

    return edited(QUESTIONS, change)


def one_letter(rows: Rows) -> None:
    for row in rows:
        if row["index"] < 1_000_000:
            right = row["answer"]
            row["A"], row[right] = row[right], row["A"]
            row["answer"] = "A"


GQA = (
    Damage("missing-file", second_shard),
    Damage("unreadable-file", cut_file),
    Damage("missing-column", without_column(QUESTIONS, "imageId")),
    Damage("wrong-dtype", as_numbers),
    Damage("changed-file", set_at(QUESTIONS, 0, fullAnswer="Другое.")),
    Damage("image-missing", picture(lambda data: None)),
    Damage("image-unreadable", picture(lambda data: data[: len(data) // 2])),
    Damage("image-unreadable", picture(lambda data: b"<html>404 Not Found</html>")),
    Damage("image-unreadable", picture(bomb)),
    Damage("image-tiny", picture(lambda data: noise(9))),
    Damage("image-blank", picture(lambda data: blank_png(128, 128))),
    Damage("duplicate-image-id", edited(PICTURES, lambda rows: rows[1].update(id=rows[0]["id"]))),
    Damage("same-image-twice", edited(PICTURES, lambda rows: rows[1].update(image=rows[0]["image"]))),
    Damage(
        "image-without-questions",
        edited(
            QUESTIONS, lambda rows: [rows.remove(r) for r in [q for q in rows if q["imageId"] == rows[0]["imageId"]]]
        ),
    ),
    Damage("question-without-image", set_at(QUESTIONS, 4, imageId="999")),
    Damage("duplicate-id", edited(QUESTIONS, lambda rows: rows[1].update(id=rows[0]["id"]))),
    Damage("duplicate-question", edited(QUESTIONS, lambda rows: rows.append({**rows[0], "id": "777"}))),
    Damage("contradiction", edited(QUESTIONS, lambda rows: rows.append({**rows[0], "id": "777", "answer": "верблюд"}))),
    Damage("empty-question", set_at(QUESTIONS, 5, question=" ")),
    Damage("empty-answer", set_at(QUESTIONS, 5, answer=None)),
    Damage("empty-answer", set_at(QUESTIONS, 5, answer="nan")),
    Damage("foreign-question", set_at(QUESTIONS, 5, question="What color is the ball?")),
    Damage("foreign-answer", set_at(QUESTIONS, 5, answer="red")),
    Damage("mixed-letters", edited(QUESTIONS, lambda rows: rows[5].update(answer="cобакa"))),
    Damage("broken-encoding", edited(QUESTIONS, lambda rows: rows[5].update(question=mojibake(rows[5]["question"])))),
    Damage("markup", edited(QUESTIONS, lambda rows: rows[5].update(question=rows[5]["question"] + "<br/>"))),
    Damage("hidden-characters", edited(QUESTIONS, lambda rows: rows[5].update(answer=rows[5]["answer"] + "\u200b"))),
    Damage("answer-spaces", edited(QUESTIONS, lambda rows: rows[5].update(answer=rows[5]["answer"] + " "))),
    Damage(
        "question-spaces",
        edited(QUESTIONS, lambda rows: rows[5].update(question=rows[5]["question"].replace(" ", "  "))),
    ),
    Damage("answer-case", edited(QUESTIONS, lambda rows: rows[5].update(answer="Собака"))),
    Damage("answer-full-stop", edited(QUESTIONS, lambda rows: rows[5].update(answer=rows[5]["answer"] + "."))),
    Damage("long-answer", set_at(QUESTIONS, 5, answer="на картинке виден большой красный резиновый мяч")),
    Damage("verify-not-yes-no", where_type("verify", answer="собака")),
    Damage("open-yes-no", where_type("query", answer="нет")),
    Damage("no-type", set_at(QUESTIONS, 5, types={"structural": None, "semantic": None, "detailed": None})),
    Damage("unknown-type", set_at(QUESTIONS, 5, types={"structural": "vqery", "semantic": "rel", "detailed": "x"})),
    Damage("broken-entailed", set_at(QUESTIONS, 5, entailed="300000001, 300000002")),
    Damage("answer-skew", same_answer_everywhere("query", "красный")),
    Damage("yes-no-skew", same_answer_everywhere("verify", "да")),
    Damage("leak-image", copied_picture(lambda data: data)),
    Damage("leak-near-image", copied_picture(saved_as_jpeg)),
)
MMBENCH = (
    Damage("empty-file", emptied),
    Damage("missing-column", without_column(CHOICES, "B")),
    Damage("duplicate-index", edited(CHOICES, lambda rows: rows.append(dict(rows[0])))),
    Damage("strange-index", set_at(CHOICES, 0, index=-4)),
    Damage("empty-question", set_at(CHOICES, 0, question="nan")),
    Damage("few-options", set_at(CHOICES, 0, B=None, C=None, D=None, answer="A")),
    Damage("option-gap", set_at(CHOICES, 0, A="кот", B=None, C="пёс", D="мяч", answer="A")),
    Damage("equal-options", edited(CHOICES, lambda rows: rows[0].update(B=rows[0]["A"]))),
    Damage("gold-not-option", set_at(CHOICES, 0, answer="E")),
    Damage("foreign-question", set_at(CHOICES, 0, question="Which one is right?")),
    Damage("mixed-letters", edited(CHOICES, lambda rows: rows[0].update(question="Чтo это?"))),
    Damage("unknown-category", set_at(CHOICES, 0, category="colour")),
    Damage("wrong-l2", edited(CHOICES, lambda rows: rows[0].update({"l2-category": "logic_reasoning"}))),
    Damage("hint-nan", set_at(CHOICES, 0, hint="nan")),
    Damage("group-incomplete", without_row(last_rotation, CHOICES)),
    Damage("group-without-base", without_row(lambda rows: 0, CHOICES)),
    Damage("group-gold-differs", group(swap_gold)),
    Damage("group-options-differ", group(lambda rows: rows[1].update(A="нечто иное"))),
    Damage("group-image-differs", group(lambda rows: rows[1]["image"].update(bytes=noise(64)))),
    Damage(
        "group-category-differs",
        group(
            lambda rows: rows[1].update({"category": "ocr", "l2-category": "finegrained_perception (instance-level)"})
        ),
    ),
    Damage(
        "group-not-rotated",
        group(lambda rows: [row.update({k: rows[0][k] for k in ("A", "B", "C", "D", "answer")}) for row in rows]),
    ),
    Damage("letter-skew", edited(CHOICES, one_letter)),
)


def find_all(clean: Path, scratch: Path) -> list[tuple[Damage, set[str]]]:
    """Each damage with the codes found on a copy that has only it."""
    found = []
    for number, damage in enumerate((*GQA, *MMBENCH)):
        folder = scratch / str(number)
        shutil.copytree(clean, folder)
        damage.plant(folder)
        found.append((damage, {finding.code for finding in audit(str(folder), workers=1).findings}))
        shutil.rmtree(folder)
    return found


def small_world(folder: Path, seed: int) -> Path:
    """A world small enough to check in a moment, large enough for the figures on skew."""
    build("mini", folder, seed=seed, workers=1, splits=plans("mini", 40, 0.1))
    return folder
