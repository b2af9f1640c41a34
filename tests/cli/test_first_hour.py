"""What a stranger types first, and what is answered: short tables, one sentence, Russian, no waiting for a hub."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.house import ROOT, Ran

Run = Callable[..., Ran]


def test_eval_prints_one_table_and_one_sentence(world: Path, runs: Path, tmp_path: Path, ruvlm: Run) -> None:
    ran = ruvlm("eval", "nano", "--data", world, "--limit", 40, "--out", tmp_path)
    assert ran.code == 0, ran.err
    lines = (ran.out + ran.err).splitlines()
    assert len(lines) <= 12
    table = [line for line in lines if line.startswith(("gqa-ru", "mmbench-ru", "набор"))]
    assert len(table) == 4
    assert max(map(len, lines)) <= 80 or "Ответы и разбивки" in max(lines, key=len)
    assert "Вывод: лучше любого контроля: gqa-ru – " in " ".join(ran.out.split())
    assert "рисунки, не опубликованный набор" in ran.out
    # decimals with a comma, whatever is printed
    every = ruvlm("eval", "nano", "--data", world, "--limit", 40, "--out", tmp_path, "--all")
    assert not re.findall(r"\d\.\d+ %|\d\.\d\b", every.out)
    assert all(rule in every.out for rule in ("gqa-ru/lemma", "mmbench-ru/likelihood/vanilla", "зрячий балл"))


def test_a_model_that_its_controls_beat_is_told_so(world: Path, runs: Path, tmp_path: Path, ruvlm: Run) -> None:
    ran = ruvlm("eval", runs / "cnn_lstm", "--data", world, "--out", tmp_path)
    said = " ".join(ran.out[ran.out.index("Вывод: ") :].split())
    assert said.startswith("Вывод: не лучше, чем ")
    assert "gqa-ru – " in said
    # the figures are those of the table, and of a control that has more
    own, control = re.findall(r"gqa-ru – ([\d,]+) против ([\d,]+)", said)[0]
    row = next(line for line in ran.out.splitlines() if line.startswith("gqa-ru "))
    assert own in row
    assert control in row


def test_a_control_alone_has_no_verdict(world: Path, tmp_path: Path, ruvlm: Run) -> None:
    ran = ruvlm("eval", "majority", "--data", world, "--out", tmp_path)
    assert "Вывод" not in ran.out
    assert len([line for line in ran.out.splitlines() if line.startswith("gqa-ru")]) == 1
    bare = ruvlm("eval", "nano", "--data", world, "--limit", 10, "--no-controls", "--out", tmp_path / "bare")
    assert "контролей рядом нет" in bare.out


def completed(words: str) -> list[str]:
    """What Tab offers after these words."""
    environment = {
        **os.environ,
        "_RUVLM_COMPLETE": "complete_bash",
        "COMP_WORDS": words,
        "COMP_CWORD": str(len(words.split()) - 1),
    }
    command = [str(Path(sys.executable).parent / "ruvlm")]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    return done.stdout.split()


@pytest.mark.parametrize(
    ("words", "offered"),
    [
        ("ruvlm eval nano --split te", "test"),
        ("ruvlm eval nano --protocol mmbench-ru/li", "mmbench-ru/likelihood"),
        ("ruvlm eval nano --data worldc", "worldcuisines-ru"),
        ("ruvlm eval maj", "majority"),
        ("ruvlm train cnn", "cnn_lstm"),
        ("ruvlm data world --level f", "full"),
        ("ruvlm data fetch mmb", "mmbench-ru"),
        ("ruvlm parse x.jsonl --rule letters-l", "letters-lmms"),
        ("ruvlm match x.jsonl --rule exact-r", "exact-ru"),
    ],
)
def test_tab_completes_values(words: str, offered: str) -> None:
    assert offered in completed(words)


def test_a_path_that_is_lost_never_waits_for_the_hub(
    world: Path, tmp_path: Path, ruvlm: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """«models/mine» beside a folder `models` is a path; so is all with two slashes, or a dot before it."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "models").mkdir()
    refused = "Папки с моделью {} нет"
    for name in ("models/mine", "./mine", "a/b/c", "~/mine"):
        started = time.monotonic()
        ran = ruvlm("ask", f"hf:{name}", ROOT / "docs/images/scene.png", "Кто?")
        assert (ran.code, refused.format(name) in ran.err) == (2, True), ran.err
        assert time.monotonic() - started < 60
    compose = ruvlm("model", "compose", "--vision", "models/eye", "--llm", "models/words", "--out", "out")
    assert "Папки с моделью models/" in compose.err
    judge = ruvlm("eval", "majority", "--data", world, "--judge", "encoder:models/judge")
    assert "Папки с моделью models/judge нет" in judge.err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("evl", "x"), "команды «evl» нет. Может быть, eval?"),
        (("train", "nano_world", "--set", "lr=1"), "ключа «lr» нет. Может быть, вы имели в виду «train.lr»?"),
        (("train", "nano_world", "--set", "train.lrr=1"), "Может быть, вы имели в виду «lr»?"),
        (("train", "nano_world", "--set", "train.lr=много"), "«train.lr» = 'много' не подходит: нужно число."),
        (("train", "nano_world", "--set", "train.lr=0"), "нужно больше 0"),
        (("train", "nano_world", "--set", "train.max_steps=1.5"), "нужно целое число"),
        (("train", "nano_world", "--set", "train.precision=fp8"), "нужно одно из: 'auto', 'fp32', 'bf16' или 'fp16'"),
        (("train", "nano_world", "--set", "train.compile=7"), "нужно true или false"),
        (("train", "nano_world", "--set", "name='a b'"), "нужны буквы, цифры, точки"),
        (("train", "nano_world", "--set", "data.mix=5"), "нужен список"),
        (("train", "nano_world", "--set", "train=5"), "нужен раздел с ключами"),
        (("train", "nano_world", "--set", "data.path=5"), "нужен текст в кавычках"),
    ],
)
def test_errors_are_russian_sentences(arguments: tuple[str, ...], said: str, ruvlm: Run) -> None:
    ran = ruvlm(*arguments)
    assert (ran.code, said in ran.err) == (2, True), ran.err
    assert not re.search(r"\b(Input|should|valid|mean|Did)\b", ran.err)
    assert ": есть:" not in ran.err
    assert "нет: " not in ran.err or "Файла" in ran.err


def test_compare_takes_run_folders_as_report_does(world: Path, runs: Path, tmp_path: Path, ruvlm: Run) -> None:
    import shutil

    for name in ("nano", "cnn_lstm"):
        shutil.copytree(runs / name, tmp_path / name)
        assert ruvlm("eval", tmp_path / name, "--data", world, "--limit", 30).code == 0
    ran = ruvlm("compare", tmp_path / "nano", tmp_path / "cnn_lstm")
    assert ran.code == 0, ran.err
    assert "gqa-ru/lmms" in ran.out
    assert "mmbench-ru/likelihood/circular" in ran.out
    assert ruvlm("eval", "majority", "--data", world, "--split", "val", "--out", tmp_path / "m").code == 0
    other = ruvlm("compare", tmp_path / "nano", tmp_path / "m")
    assert other.code == 2
    assert "Сравнивать нечего" in other.err


def test_files_are_paired_by_what_their_rows_are_about(tmp_path: Path, ruvlm: Run) -> None:
    """Rows of one number about other things are refused, not compared; with ids they are paired by these, in any order."""
    rows = [(str(n), f"Что это {n}?", f"ответ{n}", f"ответ{n if n % 3 else 0}") for n in range(12)]

    def table(name: str, order: list[int], ids: bool) -> Path:
        head = (["№"] if ids else []) + ["вопрос", "верный ответ", "ответ модели"]
        lines = [";".join(head)]
        lines += [";".join(rows[n] if ids else rows[n][1:]) for n in order]
        (tmp_path / name).write_text("\n".join(lines), encoding="cp1251")
        return tmp_path / name

    plain, mixed = list(range(12)), [5, 3, 9, 0, 1, 2, 4, 6, 7, 8, 11, 10]
    for command in ("compare", "explain"):
        ran = ruvlm(command, table("a.csv", plain, False), table("b.csv", mixed, False))
        assert (ran.code, "под теми же id другие вопросы" in ran.err) == (2, True), ran.err
        ran = ruvlm(command, table("c.csv", plain, True), table("d.csv", mixed, True))
        assert ran.code == 0, ran.err
    assert "0,00" in ruvlm("compare", tmp_path / "c.csv", tmp_path / "d.csv").out


def test_what_spelling_does_to_a_difference_is_said(tmp_path: Path, ruvlm: Run) -> None:
    golds = ["зелёный", "два", "кошка", "стол"] * 10
    one = [{"id": n, "gold": gold, "prediction": gold if n % 2 else "нет"} for n, gold in enumerate(golds)]
    other = [{**row, "prediction": row["gold"].replace("ё", "е")} for row in one]
    for name, lines in (("a", one), ("b", other)):
        text = "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines)
        (tmp_path / f"{name}.jsonl").write_text(text, encoding="utf-8")
    said = ruvlm("explain", tmp_path / "a.jsonl", tmp_path / "b.jsonl").out
    assert "по правилу exact-ru те же ответы различаются на +50,00" in " ".join(said.split())


def test_explain_takes_run_folders_too(world: Path, runs: Path, tmp_path: Path, ruvlm: Run) -> None:
    import shutil

    for name in ("nano", "cnn_lstm"):
        shutil.copytree(runs / name, tmp_path / name)
        assert ruvlm("eval", tmp_path / name, "--data", world, "--limit", 30).code == 0
    ran = ruvlm("explain", tmp_path / "nano", tmp_path / "cnn_lstm", "--json")
    assert ran.code == 0, ran.err
    assert {json.loads(ran.out)["a"], json.loads(ran.out)["b"]} == {"nano", "cnn_lstm"}
    assert "Есть и другая пара" in ran.err


def test_unread_letters_are_told_of_beside_the_score(
    world: Path, tmp_path: Path, ruvlm: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.py").write_text("def red(image, question):\n    return 'красный'\n", encoding="utf-8")
    ran = ruvlm("eval", "py:mine.py:red", "--data", world, "--limit", 20, "--out", tmp_path / "e")
    assert re.search(r"не прочитано ответов: \d+ из \d+", " ".join(ran.err.split()))
    # the same file again goes on; another text of it is another model
    again = ruvlm("eval", "py:mine.py:red", "--data", world, "--limit", 20, "--out", tmp_path / "e")
    assert again.code == 0, again.err
    (tmp_path / "mine.py").write_text("def red(image, question):\n    return 'A'\n", encoding="utf-8")
    changed = ruvlm("eval", "py:mine.py:red", "--data", world, "--limit", 20, "--out", tmp_path / "e")
    assert changed.code == 0, changed.err
    assert changed.out.splitlines()[0] != ran.out.splitlines()[0]


def test_rules_are_one_question_only_where_they_decide_every_row_alike(tmp_path: Path, ruvlm: Run) -> None:
    """Equal totals on other rows are another question; equal rows are not. Reference: Holm's own three lines."""
    golds = ["зелёный", "стол"] * 30
    one = [{"id": n, "gold": gold, "prediction": gold if n < 30 else "нет"} for n, gold in enumerate(golds)]
    other = [{**row, "prediction": row["gold"] if n < 45 else "нет"} for n, row in enumerate(one)]
    for name, lines in (("a", one), ("b", other)):
        text = "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines)
        (tmp_path / f"{name}.jsonl").write_text(text, encoding="utf-8")
    rows = json.loads(ruvlm("compare", tmp_path / "a.jsonl", tmp_path / "b.jsonl", "--json").out)
    assert len(rows) == 4
    assert {row["p_holm"] for row in rows} == {rows[0]["p"]}, "four rules that agree on every row are one test"
    other = [{**row, "prediction": row["prediction"].replace("ё", "е")} for row in other]
    text = "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in other)
    (tmp_path / "b.jsonl").write_text(text, encoding="utf-8")
    rows = json.loads(ruvlm("compare", tmp_path / "a.jsonl", tmp_path / "b.jsonl", "--json").out)
    several = sorted({row["p"] for row in rows})
    assert len(several) == 2
    expected = [min(1.0, several[0] * 2), max(several[0] * 2, several[1])]
    assert sorted({row["p_holm"] for row in rows}) == pytest.approx(expected)
