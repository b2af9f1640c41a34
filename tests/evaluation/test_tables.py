"""Files of answers against a ten-line reference, row by row; and the shapes that once lost or doubled rows in silence."""

from __future__ import annotations

import csv
import io
import json
import random
from collections.abc import Callable
from pathlib import Path

import pytest
from openpyxl import Workbook

from ruvlm.data.predictions import read_answers
from ruvlm.errors import DataError
from ruvlm.evaluation.table import answered, score_file
from tests.support.house import Ran
from tests.support.importers import IMPORTERS, differing

Run = Callable[..., Ran]
CASES = 1000


@pytest.mark.parametrize("importer", sorted(IMPORTERS))
def test_every_importer_equals_its_reference(importer: str) -> None:
    assert differing(importer, 150 if importer in ("xlsx", "conversations") else 1000) == []


def test_a_broken_csv_is_whole_or_refused(tmp_path: Path) -> None:
    """One sign of a file is changed: as many rows as there were lines, or a sentence; never fewer in silence."""
    rng = random.Random(2)
    refused = 0
    for case in range(CASES):
        rows = [
            f"{n},{rng.choice(('да', 'нет', 'кот'))},{rng.choice(('да', 'нет', 'кот'))}"
            for n in range(rng.randint(2, 8))
        ]
        at = rng.randrange(len(rows))
        cells = rows[at].split(",")
        cells[rng.randrange(1, 3)] = rng.choice(('"да', 'да"', '"', '"да""', 'д"а'))
        rows[at] = ",".join(cells)
        if rng.random() < 0.5:  # a later quote closes it
            other = rng.randrange(len(rows))
            rows[other] += '"'
        path = tmp_path / "p.csv"
        path.write_text("id,prediction,gold\n" + "\n".join(rows) + "\n", encoding="utf-8")
        try:
            count = len(read_answers(path).lines)
        except DataError as error:
            refused += "строка" in str(error)
            continue
        assert count == len(rows), (case, path.read_text())
    assert refused > CASES // 4


# --- what once went wrong in silence


def text_file(folder: Path, name: str, text: str) -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def jsonl(folder: Path, *rows: dict) -> Path:
    return text_file(folder, "p.jsonl", "\n".join(json.dumps(row, ensure_ascii=False) for row in rows))


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ([{"gold": "да", "prediction": "да"}, {"id": 1, "gold": "да", "prediction": "да"}], "нет поля id"),
        ([{"id": 1, "gold": "да", "prediction": "да"}, {"id": " 1", "gold": "да", "prediction": "да"}], "не раз"),
        (
            [{"id": 1, "gold": "да", "prediction": "а"}, {"id": 2, "gold": "да", "prediction": "а", "pred": "б"}],
            "несколько",
        ),
        ([{"id": 1, "gold": "да", "prediction": "а"}, {"id": 2, "answer": "да", "prediction": "а"}], "верного ответа"),
        ([{"id": 1, "gold": ["", " "], "prediction": "а"}], "пуст"),
    ],
)
def test_columns_are_decided_over_all_rows(tmp_path: Path, rows: list[dict], said: str) -> None:
    with pytest.raises(DataError, match=said):
        answered(jsonl(tmp_path, *rows), None)


def choice(gold: object, prediction: object = "B", **more: object) -> dict:
    return {"question": "?", "A": "кот", "B": "пёс", "C": "дом", "answer": gold, "prediction": prediction, **more}


@pytest.mark.parametrize(
    "golds",
    [
        ("B ", "C"),
        ("b", "c"),
        ("В", "С"),
        ("Б", "В"),
        ("пёс", "Дом"),
        ("(B)", "C."),
        (0, 1, 2),
        (1, 2, 3),
        ("B", "дом"),
    ],
)
def test_gold_letters_in_any_dress(tmp_path: Path, golds: tuple) -> None:
    wanted = "ABC" if len(golds) == 3 else "BC"
    path = jsonl(tmp_path, *(choice(gold, letter) for gold, letter in zip(golds, wanted, strict=True)))
    result = score_file(path)
    assert result.scores["mmbench-ru/lmms/vanilla"].correct == len(golds)
    assert not any("circular" in rule for rule in result.scores)


@pytest.mark.parametrize("golds", [(1, 2), ("А", "В"), ("слон", "B"), ("F", "A")])
def test_gold_letters_that_are_not_clear_are_refused(tmp_path: Path, golds: tuple) -> None:
    with pytest.raises(DataError):
        score_file(jsonl(tmp_path, *(choice(gold) for gold in golds)))


@pytest.mark.parametrize(
    "options",
    [
        {"options": ["кот", "пёс", "дом"]},
        {"options": '["кот", "пёс", "дом"]'},
        {"options": "['кот', 'пёс', 'дом']"},
        {"options": {"A": "кот", "B": "пёс", "C": "дом"}},
        {"options": "A. кот\nB. пёс\nC. дом"},
        {"option_a": "кот", "option_b": "пёс", "option_c": "дом"},
        {"А": "кот", "Б": "пёс", "В": "дом"},
    ],
)
def test_options_in_any_dress(tmp_path: Path, options: dict) -> None:
    path = jsonl(tmp_path, {"id": 1, "answer": "пёс", "prediction": "пёс", **options})
    assert score_file(path).scores["mmbench-ru/ru/vanilla"].correct == 1


def test_an_answerer_of_russian_letters_is_read_by_its_alphabet(tmp_path: Path) -> None:
    rows = [choice("A", "А) кот"), choice("B", "Б"), choice("C", "В")]
    assert score_file(jsonl(tmp_path, *rows)).scores["mmbench-ru/ru/vanilla"].correct == 3


@pytest.mark.parametrize("ids", [("1", "01"), ("1000001", "01000001")])
def test_two_spellings_of_one_index_are_refused(tmp_path: Path, ids: tuple[str, str]) -> None:
    rows = [choice("B", index=name) for name in ids]
    with pytest.raises(DataError, match="одно и то же число"):
        score_file(jsonl(tmp_path, *rows))


@pytest.mark.parametrize("name", ["²", "١", "q-1"])
def test_an_id_that_is_no_number_is_a_question_of_its_own(tmp_path: Path, name: str) -> None:
    assert score_file(jsonl(tmp_path, choice("B", index=name), choice("B", index="2"))).n == 2


def test_a_table_without_rotations_has_no_circular_score(tmp_path: Path) -> None:
    rows = [choice("B", "B", index=n) for n in range(3)]
    result = score_file(jsonl(tmp_path, *rows))
    assert list(result.scores) == ["mmbench-ru/lmms/vanilla", "mmbench-ru/ru/vanilla", "mmbench-ru/vlmevalkit/vanilla"]
    assert any("circular не посчитан" in note for note in result.notes)
    rotated = score_file(jsonl(tmp_path, *rows, choice("B", "A", index=1_000_000)))
    assert rotated.scores["mmbench-ru/lmms/circular"].correct == 2


def test_a_join_uses_the_questions_and_the_gold_answers(tmp_path: Path) -> None:
    gold = text_file(tmp_path, "g.jsonl", '{"id": 1, "question": "Есть ли тут рыжий кот?", "answer": "да"}\n')
    for said in ({"question": "Какого цвета этот большой мяч?"}, {"gold": "нет"}):
        with pytest.raises(DataError, match="другой набор"):
            answered(jsonl(tmp_path, {"id": 1, "prediction": "да", **said}), gold)
    prompt = {"question": "USER: Есть ли тут рыжий кот?\nОтветь одним словом."}
    assert len(answered(jsonl(tmp_path, {"id": 1, "prediction": "да", **prompt}), gold).rows) == 1


def test_foreign_values_are_read_and_counted(tmp_path: Path) -> None:
    rows = [
        {"id": n, "gold": gold, "prediction": said}
        for n, (gold, said) in enumerate([("2", 2), ("да", True), ("x", None), ("3", 3.0), (["кот", "кошка"], "кошка")])
    ]
    result = score_file(jsonl(tmp_path, *rows))
    assert result.scores["gqa-ru/lmms"].correct == 4
    assert {"пустых ответов модели: 1", "логических значений прочитано как «да» и «нет»: 1"} <= set(result.notes)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.json", '[{"questionId": "1", "prediction": "да", "gold": "да"}]'),
        ("a.json", '{"data": [{"id": 1, "pred": "да", "label": "да"}]}'),
        ("a.jsonl", '{"prompt": "?", "predict": "да", "label": "да"}'),
        ("a.jsonl", '{"response": "да", "labels": "да"}'),
        ("a.json", '{\n "id": 1,\n "pred": "да",\n "gold": "да"\n}\n{\n "id": 2,\n "pred": "да",\n "gold": "да"\n}'),
        ("a.csv", "Номер;Ответ модели;Правильный ответ\n1;да;да\n"),
        ("a.csv", "sep=;\nid;pred;gold\n1;да;да\n"),
        ("a.csv", "id,pred,gold\n1,да,да\nid,pred,gold\n,,\n2,да,да\n"),
    ],
)
def test_formats_people_have(tmp_path: Path, name: str, text: str) -> None:
    score = score_file(text_file(tmp_path, name, text)).scores["gqa-ru/lmms"]
    assert score.correct == score.n >= 1


@pytest.mark.parametrize(
    ("text", "gold"),
    [
        ('[{"question_id": 1, "answer": "да"}]', '{"id": 1, "answer": "да"}'),
        ('{"1": "да", "2": "нет"}', '{"id": 1, "answer": "да"}\n{"id": 2, "answer": "нет"}'),
        (
            '{"custom_id": "1", "response": {"body": {"choices": [{"message": {"content": "да"}}]}}}',
            '{"id": 1, "answer": "да"}',
        ),
    ],
)
def test_official_lists_beside_their_gold(tmp_path: Path, text: str, gold: str) -> None:
    score = score_file(text_file(tmp_path, "a.json", text), text_file(tmp_path, "g.jsonl", gold)).scores["gqa-ru/lmms"]
    assert score.correct == score.n >= 1


def test_fields_of_ones_own(tmp_path: Path, ruvlm: Run) -> None:
    path = jsonl(tmp_path, {"n": 1, "моё": "да", "верное": "да"})
    refused = ruvlm("score", path)
    assert refused.code == 2
    assert "--prediction-field" in refused.err.replace("\n", " ")
    assert "моё" in refused.err
    assert ruvlm("score", path, "--prediction-field", "моё", "--gold-field", "верное", "--id-field", "n").code == 0


def test_a_spreadsheet_as_people_fill_it(tmp_path: Path) -> None:
    book = Workbook()
    book.active.title = "Сводка"
    sheet = book.create_sheet("Ответы")
    for row in (
        ("id", "prediction", "gold"),
        (1, True, "да"),
        (2, "кот", "кот"),
        (3, None, "кот"),
        (4, "x" * 32_767, "кот"),
    ):
        sheet.append(row)
    sheet.merge_cells("B3:B4")
    book.create_chartsheet("График", 0)
    book.save(tmp_path / "a.xlsx")
    result = score_file(tmp_path / "a.xlsx")
    assert (result.n, result.scores["gqa-ru/ru"].correct) == (4, 3)
    said = " ".join(result.notes)
    assert "объединённых" in said
    assert "обрезан файлом" in said
    sheet["B3"] = "=да"
    book.save(tmp_path / "a.xlsx")
    with pytest.raises(DataError, match="ячейка B3"):
        score_file(tmp_path / "a.xlsx")


def test_folders_of_other_tools(tmp_path: Path, ruvlm: Run) -> None:
    log = tmp_path / "lmms" / "model" / "20260604_samples_gqa-ru.jsonl"
    log.parent.mkdir(parents=True)
    log.write_text('{"doc_id": 0, "target": "да", "filtered_resps": ["да"]}\n', encoding="utf-8")
    (log.parent / "20260604_results.json").write_text("{}")
    assert ruvlm("score", tmp_path / "lmms").code == 0
    (log.parent / "20260604_samples_mmbench.jsonl").write_text(log.read_text())
    refused = ruvlm("score", tmp_path / "lmms")
    assert refused.code == 2
    assert "samples_gqa-ru" in refused.err.replace("\n", "")
    (tmp_path / "disk").mkdir()
    (tmp_path / "disk" / "state.json").write_text("{}")
    (tmp_path / "disk" / "data-00000-of-00001.arrow").write_bytes(b"")
    assert "save_to_disk" in ruvlm("score", tmp_path / "disk").err


def test_a_long_looping_answer_is_read_in_linear_time() -> None:
    """Steps counted by calls, not by a clock: twice the words, at most a little more than twice the calls."""
    import sys

    from ruvlm.rules.parse_ru import read_russian

    def calls(words: int) -> int:
        count = 0

        def counted(frame: object, event: str, argument: object) -> None:
            nonlocal count
            count += 1

        text = "кот пёс A или B. Ответ: " * words
        sys.setprofile(counted)
        try:
            read_russian(text, ["кот", "пёс", "дом", "конь"])
        finally:
            sys.setprofile(None)
        return count

    calls(10)
    assert calls(2000) < 2.3 * calls(1000)


def test_csv_reading_is_not_fooled_by_lines_inside_cells(tmp_path: Path) -> None:
    buffer = io.StringIO()
    writer = csv.writer(buffer)
    writer.writerows([("id", "prediction", "gold"), (1, "Смотрю: стол, стул\nкот, пёс, дом", "да"), (2, "да", "да")])
    assert len(read_answers(text_file(tmp_path, "a.csv", buffer.getvalue())).lines) == 2


def lettered(tmp_path: Path, count: int, golds: list[str], said: list[str], ids: list[int] | None = None) -> Path:
    """A file of choices with `count` options each."""
    words = ["кот", "пёс", "дом", "лес", "мяч", "стол", "стул", "река", "гора", "лист", "хлеб", "соль"][:count]
    rows = [
        {"id": ids[n] if ids else n, "options": words, "gold": gold, "prediction": text}
        for n, (gold, text) in enumerate(zip(golds, said, strict=True))
    ]
    return jsonl(tmp_path, *rows)


def test_more_options_than_the_reference_has_letters_for_are_not_read_by_it(tmp_path: Path) -> None:
    letters = list("ABCDEFGHIJ")
    result = score_file(lettered(tmp_path, 10, letters, letters))
    assert result.headline[0] == "mmbench-ru/ru/vanilla"
    assert {rule: score.value for rule, score in result.scores.items()} == {
        "mmbench-ru/ru/vanilla": 100,
        "mmbench-ru/vlmevalkit/vanilla": 100,
    }


def test_numbers_of_options_may_have_two_digits(tmp_path: Path) -> None:
    numbers = [str(n) for n in range(12)]
    result = score_file(lettered(tmp_path, 12, numbers, numbers))
    assert result.scores["mmbench-ru/ru/vanilla"].correct == 12


def test_large_ids_of_ones_own_are_no_rotations(tmp_path: Path) -> None:
    ids = [n * 1_000_000 + k for n in (6, 7) for k in range(1, 6)]
    result = score_file(lettered(tmp_path, 2, ["A"] * 10, ["A"] * 5 + ["B"] * 5, ids))
    assert (result.headline[0], result.headline[1].n) == ("mmbench-ru/lmms/vanilla", 10)


def test_initials_are_no_letters_of_options(tmp_path: Path) -> None:
    row = {"id": 1, "options": "М. Горький\nИ. Бунин", "gold": "B", "prediction": "И. Бунин"}
    assert score_file(jsonl(tmp_path, row)).scores["mmbench-ru/ru/vanilla"].correct == 1
    seven = {"id": 1, "options": "\n".join(f"{m}. слово{m}" for m in "АБВГДЕЖ"), "gold": "Ж", "prediction": "Ж"}
    assert score_file(jsonl(tmp_path, seven)).scores["mmbench-ru/ru/vanilla"].correct == 1
