"""Why two scores differ: pairs of files that differ in one thing alone, and a real log whose difference is known."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ruvlm.evaluation.causes import explain
from ruvlm.evaluation.table import score_file
from ruvlm.rules.match import match_reference
from tests.support.cards import stand_in
from tests.support.house import SHARED, Ran

Run = Callable[..., Ran]
Row = dict[str, Any]
WORDS = ("да", "нет", "кошка", "собака", "дом", "лес")
OPTIONS = {"A": "кот", "B": "пёс", "C": "лис", "D": "волк"}


def short(rng: random.Random, count: int = 200) -> list[Row]:
    """Short answers, about two of three right."""
    golds = [rng.choice(WORDS) for _ in range(count)]
    return [
        {"id": str(n), "prediction": gold if rng.random() < 0.66 else "мимо", "gold": gold, "prompt": "Ответь."}
        for n, gold in enumerate(golds)
    ]


def letters(rng: random.Random, count: int = 200) -> list[Row]:
    golds = [rng.choice("ABCD") for _ in range(count)]
    return [
        {"id": str(n), "prediction": gold if rng.random() < 0.66 else "D", "gold": gold, **OPTIONS}
        for n, gold in enumerate(golds)
    ]


def changed(
    rows: list[Row], rng: random.Random, share: float, answer: Callable[[Row], str], **fields: str
) -> list[Row]:
    """Some right rows answered otherwise."""
    return [
        {**row, **fields, "prediction": answer(row)}
        if row["prediction"] == row["gold"] and rng.random() < share
        else {**row, **fields}
        for row in rows
    ]


def pair(cause: str, rng: random.Random) -> tuple[list[Row], list[Row], dict[str, Any]]:
    """Two logs that differ in one thing, and how `explain` is asked."""
    rows = short(rng)
    if cause == "rows":
        return rows, rows + [{**row, "id": f"x{row['id']}", "prediction": row["gold"]} for row in rows[:80]], {}
    if cause == "rule":
        said = changed(rows, rng, 0.5, lambda row: f"Ответ: {row['gold']}.")
        return said, said, {"rule_a": "exact", "rule_b": "exact-ru"}
    if cause == "cut":
        return rows, changed(rows, rng, 0.4, lambda row: f"<think>Это {row['gold']}, но"), {}
    if cause == "unread":
        chosen = letters(rng)
        return chosen, changed(chosen, rng, 0.4, lambda row: "затрудняюсь сказать"), {}
    if cause == "prompt":
        return rows, changed(rows, rng, 0.4, lambda row: "иначе", prompt="Кратко!"), {"same_model": True}
    return rows, changed(rows, rng, 0.4, lambda row: "иначе"), {}


def written(path: Path, rows: list[Row]) -> Path:
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
    return path


@pytest.mark.parametrize("cause", ["rows", "rule", "cut", "unread", "prompt", "model"])
def test_a_planted_cause_has_the_difference(cause: str, tmp_path: Path) -> None:
    for seed in range(20):
        one, other, asked = pair(cause, random.Random(seed))
        found = explain(written(tmp_path / "a.jsonl", one), written(tmp_path / "b.jsonl", other), **asked)
        parts = vars(found.parts)
        assert found.difference != 0
        assert sum(parts.values()) == pytest.approx(found.difference)
        assert parts[cause] / found.difference >= 0.95, (seed, parts)
        assert found.examples.get(cause) or cause == "rows"


@pytest.mark.parametrize("cause", ["cut", "unread", "model"])
def test_circular_headlines_are_explained_by_question(cause: str, tmp_path: Path) -> None:
    """Four orders of a question: one bad answer loses it, and the difference is that of the circular figures."""
    answers = {"cut": "<think>Это", "unread": "затрудняюсь сказать"}
    for seed in range(20):
        rng = random.Random(seed)
        rows, other = [], []
        for n in range(60):
            right, spoilt = rng.random() < 0.7, rng.random() < 0.4
            for turn in range(4):
                options = [*OPTIONS.values()]
                options = options[turn:] + options[:turn]
                gold, wrong = "ABCD"[options.index("волк")], "ABCD"[options.index("кот")]
                row = {"id": str(1_000_000 * turn + n), "prediction": gold if right else wrong, "gold": gold}
                row |= dict(zip("ABCD", options, strict=True))
                rows.append(row)
                bad = right and spoilt and turn == 2
                other.append({**row, "prediction": answers.get(cause, wrong)} if bad else row)
        one, two = written(tmp_path / "a.jsonl", rows), written(tmp_path / "b.jsonl", other)
        found = explain(one, two)
        figures = [next(iter(score_file(path).scores.values())).value for path in (one, two)]
        assert [found.value_a, found.value_b] == pytest.approx(figures)
        parts = vars(found.parts)
        assert sum(parts.values()) == pytest.approx(found.difference)
        assert found.difference < 0
        assert parts[cause] / found.difference >= 0.95, (seed, parts)


@pytest.mark.parametrize("seed", range(20))
def test_other_settings_of_one_model_are_its_settings(seed: int, tmp_path: Path, ruvlm: Run) -> None:
    """The same name, the same words, another limit: only a folder of ours says so."""
    rng = random.Random(seed)
    rows = short(rng, 60)
    stand_in(tmp_path / "p.png", 1)
    table = [
        {"question": f"Что {row['id']}?", "answer": row["gold"], "image": "p.png", "id": row["id"]} for row in rows
    ]
    written(tmp_path / "t.jsonl", table)
    folders = []
    for number, said in enumerate((rows, changed(rows, rng, 0.4, lambda row: "иначе"))):
        answers = written(tmp_path / "model.jsonl", [{"id": r["id"], "prediction": r["prediction"]} for r in said])
        limit = ("--max-new-tokens", "7") if number else ()
        out = tmp_path / f"r{number}"
        ran = ruvlm("eval", f"file:{answers}", "--data", tmp_path / "t.jsonl", "--no-controls", "--out", out, *limit)
        assert ran.code == 0, ran.err
        folders.append(next(out.iterdir()))
    ran = ruvlm("explain", *folders, "--json", "--png", tmp_path / "w.png")
    assert ran.code == 0, ran.err
    found = json.loads(ran.out)
    assert found["parts"]["settings"] == pytest.approx(found["difference"])
    assert (tmp_path / "w.png").read_bytes()[:4] == b"\x89PNG"
    assert ruvlm("explain", *folders).code == 0
    if not seed:
        assert ruvlm("report", *folders, "--out", tmp_path / "r.html").code == 0
        page = (tmp_path / "r.html").read_text(encoding="utf-8")
        assert "Почему баллы разные" in page
        assert "data:image/png;base64" in page


def test_the_first_wrong_row_speaks_for_its_question(tmp_path: Path) -> None:
    """A wrong letter in one order, nothing read in a later one: the model is to blame, and that row is shown."""
    rows, other = [], []
    for n in range(8):
        for turn in range(4):
            options = [*OPTIONS.values()]
            options = options[turn:] + options[:turn]
            gold, wrong = "ABCD"[options.index("волк")], "ABCD"[options.index("кот")]
            row = {
                "id": str(1_000_000 * turn + n),
                "prediction": gold,
                "gold": gold,
                **dict(zip("ABCD", options, strict=True)),
            }
            rows.append(row)
            said = {1: wrong, 2: "не знаю"}.get(turn, gold)
            other.append({**row, "prediction": said})
    found = explain(written(tmp_path / "a.jsonl", rows), written(tmp_path / "b.jsonl", other))
    assert found.by_question
    assert (found.n, found.parts.model, found.parts.unread) == (8, -100, 0)
    assert [row.id for row in found.examples["model"]] == [str(1_000_000 + n) for n in range(8)]


def test_a_sample_is_asked_in_the_same_words(tmp_path: Path, ruvlm: Run) -> None:
    """Only the limit differs: the rows are to blame for theirs, and what is left is the model, not the prompt."""
    rows = short(random.Random(1), 60)
    stand_in(tmp_path / "p.png", 1)
    table = [{"question": f"Что {r['id']}?", "answer": r["gold"], "image": "p.png", "id": r["id"]} for r in rows]
    written(tmp_path / "t.jsonl", table)
    folders = []
    for number, limit in enumerate(((), ("--limit", "30"))):
        said = rows if not number else changed(rows, random.Random(2), 0.5, lambda row: "иначе")
        answers = written(tmp_path / "model.jsonl", [{"id": r["id"], "prediction": r["prediction"]} for r in said])
        out = tmp_path / f"r{number}"
        ran = ruvlm("eval", f"file:{answers}", "--data", tmp_path / "t.jsonl", "--no-controls", "--out", out, *limit)
        assert ran.code == 0, ran.err
        folders.append(next(out.iterdir()))
    parts = json.loads(ruvlm("explain", *folders, "--json").out)["parts"]
    assert parts["prompt"] == 0
    assert parts["model"] != 0


def test_a_row_is_shown_as_both_sides_have_it(tmp_path: Path, ruvlm: Run) -> None:
    rows = short(random.Random(2), 40)
    other = [{**row, "prediction": "<think>а" if n == 3 else row["prediction"]} for n, row in enumerate(rows)]
    rows[3]["prediction"] = rows[3]["gold"]
    paths = written(tmp_path / "a.jsonl", rows), written(tmp_path / "b.jsonl", other)
    ran = ruvlm("explain", *paths, "--ids", "3,4", "--json")
    assert ran.code == 0, ran.err
    first, second = json.loads(ran.out)
    assert (first["id"], first["causes"]) == ("3", {"cut": -1.0})
    assert (first["a"]["text"], first["a"]["cut"], first["b"]["cut"]) == (rows[3]["gold"], False, True)
    assert second["causes"] == {}
    shown = ruvlm("explain", *paths, "--ids", "3").out
    assert "оборван" in shown
    assert "спрошен: Ответь." in shown
    refused = ruvlm("explain", *paths, "--ids", "нет")
    assert refused.code == 2
    assert "--ids" in refused.err


def test_dice_for_unread_answers_are_the_unread(tmp_path: Path) -> None:
    """A tool that throws dice for what it could not read says so in its own score."""
    rng = random.Random(1)
    rows = changed(letters(rng), rng, 0.4, lambda row: "затрудняюсь сказать")
    thrown = [
        {**row, "hit": int(row["prediction"] == row["gold"] or (len(row["prediction"]) > 1 and rng.random() < 0.25))}
        for row in rows
    ]
    found = explain(written(tmp_path / "a.jsonl", rows), written(tmp_path / "b.jsonl", thrown), rule_a="letters-lmms")
    assert found.difference > 0
    assert found.parts.unread == pytest.approx(found.difference)


def test_a_real_log_with_its_authors_verdicts(tmp_path: Path) -> None:
    """300 answers of a real model: 139 right by its author, by the reference rule a count of this test's own."""
    log = SHARED / "real" / "gqa_ru" / "predictions_llava_gemma2b_lora_testdev300.jsonl"
    rows = [json.loads(line) for line in log.read_text(encoding="utf-8").splitlines()]
    bare = [{name: row[name] for name in ("id", "prediction", "gold")} for row in rows]
    own = [{**plain, "correct": row["correct_reported"]} for plain, row in zip(bare, rows, strict=True)]
    found = explain(written(tmp_path / "a.jsonl", own), written(tmp_path / "b.jsonl", bare), rule_b="exact")
    by_author = sum(row["correct_reported"] for row in rows)
    by_reference = sum(match_reference(row["prediction"], row["gold"]) for row in rows)
    assert by_author == 139
    assert found.difference == pytest.approx(100 * (by_reference - by_author) / len(rows))
    assert found.parts.rule == pytest.approx(found.difference)


def test_a_worse_second_is_explained_as_a_better_one(tmp_path: Path) -> None:
    """Few pictures: the interval is that of the edges, where a share below nothing is none."""
    rng = random.Random(2)
    rows = [{**row, "imageId": str(n % 4)} for n, row in enumerate(short(rng, 12))]
    one = written(tmp_path / "a.jsonl", rows)
    other = written(tmp_path / "b.jsonl", changed(rows, rng, 0.8, lambda row: "иначе"))
    there, back = explain(one, other), explain(other, one)
    assert there.difference == pytest.approx(-back.difference)
    assert there.model_low == pytest.approx(-(back.model_high or 0))
    assert there.model_low is not None
    assert there.model_low < there.difference < (there.model_high or 0)


def test_what_cannot_be_explained_is_said(tmp_path: Path, ruvlm: Run) -> None:
    rows = short(random.Random(0), 5)
    one = written(tmp_path / "a.jsonl", rows)
    other = written(tmp_path / "b.jsonl", [{**row, "id": f"y{row['id']}"} for row in rows])
    ran = ruvlm("explain", one, other)
    assert ran.code == 2
    assert "ни одной общей строки" in ran.err
    ran = ruvlm("explain", one, one, "--rule-b", "letters-lmms")
    assert ran.code == 2
    assert "правила «letters-lmms» среди его баллов нет" in ran.err
