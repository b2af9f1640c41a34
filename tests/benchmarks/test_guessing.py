"""Tables that nobody described: what is guessed, against folders that somebody else made, and what is refused."""

from __future__ import annotations

import csv
import json
import shutil
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from openpyxl import Workbook

from ruvlm.benchmarks.cards.guess_card import open_card, open_table
from ruvlm.benchmarks.source import open_source
from ruvlm.errors import DataError
from tests.support.cards import REAL, stand_in
from tests.support.house import SHARED, Ran

Run = Callable[..., Ran]
CASES = [
    json.loads(line) for line in (SHARED / "parity" / "sniff_cases.jsonl").read_text(encoding="utf-8").splitlines()
]
# the words of refusals that are said in Russian here
IN_RUSSIAN = {"1 of 2": "1 из 2"}
WORD = {
    "одним словом": ("одним словом", "a single word"),
    "кратко": ("кратко", "briefly"),
}
QUESTIONS = "question,answer,image\nКто?,кот,a.png\nГде?,дом,b.png\n"


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Pictures of tables of text are unpacked there."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def laid(
    folder: Path, files: dict[str, str], pictures: tuple[str, ...] = ("a.png", "b.png"), encoding: str = "utf-8"
) -> Path:
    """A folder of files as text and of pictures."""
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(text.encode(encoding))
    for number, name in enumerate(pictures):
        stand_in(folder / name, number)
    return folder


def guessed(place: Path) -> dict[str, Any]:
    """The card of a table, as a TOML parser that is not ours reads its text."""
    return tomllib.loads(open_table(place).text())


@pytest.mark.parametrize("case", CASES, ids=[case["what"] for case in CASES])
def test_a_folder_is_guessed_or_refused(tmp_path: Path, case: dict[str, Any]) -> None:
    folder = laid(tmp_path / "set", case["files"], tuple(case["pictures"]), case.get("encoding", "utf-8"))
    if "refuse" in case:
        with pytest.raises(DataError) as error:
            open_table(folder)
        for word in case["refuse"]:
            assert IN_RUSSIAN.get(word, word) in str(error.value)
        return
    card = guessed(folder)
    protocol = card["protocol"][0]
    said = {
        "kind": protocol["kind"],
        "form": card["answer"]["form"],
        "question": card["columns"]["question"],
        "answer": card["answer"]["column"],
        "image": card["columns"]["image"],
        "id": card["columns"].get("id"),
        "options": card["columns"].get("options"),
        "encoding": card["source"].get("encoding"),
        "delimiter": card["source"].get("delimiter"),
        "language": card["benchmark"]["language"],
        "rules": protocol["rules"],
        "table": card["source"]["path"],
        "alphabet": "cyr" if card["answer"].get("letters") == "а" else "lat",
    }
    for key, value in case["guess"].items():
        if key == "prompt":
            assert any(word in protocol["prompt"] for word in WORD[value])
        elif key == "rows":
            assert len(rows_of(folder)) == value
        else:
            assert said[key] == value, key


def rows_of(place: Path, split: str = "default") -> tuple[Any, ...]:
    source = open_source(str(place))
    return source.load(source.benchmarks[0], split).examples


def test_golds_in_cyrillic_are_the_letters_of_that_alphabet(tmp_path: Path) -> None:
    """«В» is the third of А, Б, В."""
    table = "вопрос;А;Б;В;ответ;фото\nКто?;кот;пёс;лис;В;a.png\nГде?;лес;дом;поле;Б;b.png\n"
    assert [row.answers for row in rows_of(laid(tmp_path / "set", {"t.csv": table}))] == [("C",), ("B",)]


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("two answers", "question,answer,ответ,image\nКто?,cat,кот,a.png\n", "«answer» и «ответ»"),
        ("answers left out", "question,answer,image\n" + "Кто?,,a.png\n" * 2 + "Где?,дом,b.png\n", "2 строк из 3"),
        ("a gold that is none", "question,A,B,answer,image\nКто?,кот,пёс,лис,a.png\n", "«лис»"),
        ("lists and texts", 'question;answer;image\nКто?;["кот"];a.png\nГде?;дом;b.png\n', "список у 1"),
        ("no answer", "question,image\nКто?,a.png\n", "нет таблицы с вопросами и ответами"),
    ],
)
def test_what_could_be_either_is_not_guessed(tmp_path: Path, name: str, text: str, said: str) -> None:
    with pytest.raises(DataError) as error:
        open_table(laid(tmp_path / "set", {"t.csv": text}))
    assert said in str(error.value), name


def test_columns_of_one_role_that_agree_are_one(tmp_path: Path) -> None:
    table = "question,answer,gold,image\nКто?,кот,кот,a.png\n"
    assert guessed(laid(tmp_path / "set", {"t.csv": table}))["answer"]["column"] == "answer"


@pytest.mark.parametrize("kind", ["xlsx", "jsonl", "json", "json by id", "gqa"])
def test_tables_of_every_kind(tmp_path: Path, kind: str) -> None:
    rows = [
        {"question": "Кто?", "answer": "кот", "image": "a.png"},
        {"question": "Где?", "answer": "дом", "image": "b.png"},
    ]
    folder = laid(tmp_path / "set", {})
    if kind == "xlsx":
        book = Workbook()
        for line in (list(rows[0]), *(list(row.values()) for row in rows)):
            book.active.append(line)
        book.save(folder / "t.xlsx")
    elif kind == "jsonl":
        (folder / "t.jsonl").write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    elif kind == "gqa":
        graph = {
            str(n): {"question": row["question"], "answer": row["answer"], "imageId": row["image"][0]}
            for n, row in enumerate(rows)
        }
        (folder / "t.json").write_text(json.dumps(graph), encoding="utf-8")
    else:
        document = rows if kind == "json" else {f"q{number}": row for number, row in enumerate(rows)}
        (folder / "t.json").write_text(json.dumps(document), encoding="utf-8")
    assert [(row.question, row.answers, row.image.path.name) for row in rows_of(folder)] == [
        ("Кто?", ("кот",), "a.png"),
        ("Где?", ("дом",), "b.png"),
    ]


def test_parts_of_a_set_are_told_by_their_names(tmp_path: Path) -> None:
    folder = laid(tmp_path / "set", {f"my_{part}.csv": QUESTIONS for part in ("train", "test", "val")})
    card = guessed(folder)
    assert card["source"]["split"] == "test"
    assert set(card["source"]["splits"]) == {"train", "test", "val"}
    assert len(rows_of(folder, "train")) == 2


def test_rows_in_the_layout_of_mera(tmp_path: Path) -> None:
    """The four public sets without their cards: what the cards say of them is what is guessed."""
    for name, kind in (("WEIRD", "choice"), ("ruCLEVR", "short"), ("ruCommonVQA", "short")):
        folder = tmp_path / name.lower() / "mine"
        shutil.copytree(REAL / "mera_rows" / "hub" / name / "data", folder)
        card = guessed(next(folder.glob("test*.parquet")))
        assert card["columns"]["id"] == "meta.id"
        assert [protocol["name"] for protocol in card["protocol"]] == ["mera", "mera-harness"]
        assert card["protocol"][0]["kind"] == kind
        assert card["protocol"][0]["rules"][0] == "mera-em"


def test_sections_that_a_card_leaves_out_are_guessed(tmp_path: Path) -> None:
    laid(tmp_path, {"t.csv": QUESTIONS})
    six = 'schema = 1\n[benchmark]\nname = "mine"\nlicence = "CC0-1.0"\n[source]\npath = "t.csv"\n'
    (tmp_path / "mine.toml").write_text(six, encoding="utf-8")
    opened = open_card(tmp_path / "mine.toml")
    assert opened.card.columns.question == "question"
    assert opened.card.licence == "CC0-1.0"
    own = (
        six + '[[protocol]]\nname = "p"\nkind = "short"\nprompt = "{question}"\nmax_new_tokens = 5\nrules = ["exact"]\n'
    )
    (tmp_path / "mine.toml").write_text(own, encoding="utf-8")
    assert [protocol.name for protocol in open_card(tmp_path / "mine.toml").card.protocols] == ["p"]


def test_a_saved_card_asks_the_same(tmp_path: Path, ruvlm: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    shutil.copytree(REAL / "plain_csv", tmp_path / "set")
    table = next((tmp_path / "set").glob("*.csv"))
    ran = ruvlm("eval", "majority", "--data", "set", "--out", "r", "--save-card", "cards/my.toml", "--json")
    assert ran.code == 0, ran.err
    for said in (
        "[columns]",
        'question = "Вопрос"',
        "attribution.json",
        "как его увидит модель",
        "Ответь одним словом.",
    ):
        assert said in ran.err
    by_table = json.loads(ran.out)
    by_card = json.loads(ruvlm("eval", "majority", "--data", "cards/my.toml", "--out", "r2", "--json").out)
    assert [row["n"] for row in by_table] == [row["n"] for row in by_card] == [17, 17]
    with table.open(encoding="utf-8-sig") as file:
        golds = [row["Ответ"] for row in csv.DictReader(file, delimiter=";")]
    best = 100 * max(golds.count(gold) for gold in golds) / len(golds)
    for rows in (by_table, by_card):
        assert rows[0]["scores"]["set/exact-ru"]["value"] == pytest.approx(best)
    assert ruvlm("data", "card", "set", "--out", "cards/my.toml").code == 0, "the same card again is no other"
    Path("cards/my.toml").write_text("mine", encoding="utf-8")
    again = ruvlm("data", "card", "set", "--out", "cards/my.toml")
    assert again.code == 2
    assert "cards/my.toml уже есть" in again.err


def test_a_card_in_the_folder_is_the_sets_own(tmp_path: Path) -> None:
    """What somebody wrote comes before what can be guessed; a run's settings are no card."""
    folder = laid(tmp_path / "set", {"t.csv": QUESTIONS, "run.toml": "[train]\nmax_steps = 1\n"})
    assert open_source(str(folder)).benchmarks == ("set",)
    (folder / "mine.toml").write_text(
        open_table(folder / "t.csv").text(folder / "mine.toml").replace('name = "t"', 'name = "written"'),
        encoding="utf-8",
    )
    assert open_source(str(folder)).benchmarks == ("written",)
    shutil.copy(folder / "mine.toml", folder / "other.toml")
    with pytest.raises(DataError, match="карточек 2"):
        open_source(str(folder))


def test_a_card_is_printed_for_a_machine_too(tmp_path: Path, ruvlm: Run) -> None:
    ran = ruvlm("data", "card", laid(tmp_path / "set", {"t.csv": QUESTIONS}))
    assert ran.code == 0, ran.err
    assert tomllib.loads(ran.out)["columns"] == {"image": "image", "question": "question"}


def test_several_sets_are_asked_at_once(tmp_path: Path, ruvlm: Run) -> None:
    first = laid(tmp_path / "one", {"t.csv": QUESTIONS})
    second = laid(tmp_path / "two", {"t.csv": QUESTIONS})
    ran = ruvlm("eval", "random", "--data", f"{first},{second}", "--out", tmp_path / "r", "--no-controls", "--json")
    assert [row["protocol"] for row in json.loads(ran.out)] == ["one/word", "two/word"]
    twice = ruvlm("eval", "random", "--data", f"{first},{first}", "--out", tmp_path / "r2")
    assert twice.code == 2
    assert "набор one назван дважды" in twice.err


# --- what people bring, found by somebody who set out to break this

HEAD = "question,answer,image\n"
REFUSED: dict[str, tuple[dict[str, str], tuple[str, ...]]] = {
    "a broken part of a set": (
        {"train.csv": QUESTIONS, "test.csv": HEAD + 'Как?,"так,a.png\n'},
        ("test.csv", "кавычка"),
    ),
    "an alphabet in a word": (
        {"t.csv": "question,Option A,Option B,Option C,answer,image\nКто?,x,y,z,Б,a.png\nГде?,x,y,z,В,b.png\n"},
        ("Cyrillic", "Latin"),
    ),
    "an option left out": (
        {"t.csv": "question,A,B,C,E,answer,image\nКто?,x,y,z,w,A,a.png\n"},
        ("«E»", "columns.options"),
    ),
    "Ё among letters": ({"t.csv": "Вопрос;А;Б;В;Г;Д;Е;Ё;Ответ;Фото\nКто?;а1;б1;в1;г1;д1;е1;ё1;Б;a.png\n"}, ("«Ё»",)),
    "names that differ in case": (
        {"t.csv": "question,Question,answer,image\nКто?,Who?,кот,a.png\n"},
        ("«question» и «Question»",),
    ),
    "two possible answers": ({"t.csv": "question,label,target,image\nКто?,кот,пёс,a.png\n"}, ("«label» и «target»",)),
    "a letter of no option": (
        {"t.csv": "question,A,B,C,answer,image\nКто?,x,y,z,B,a.png\nГде?,x,y,z,D,b.png\n"},
        ("«D»",),
    ),
    "a number of no option": (
        {"t.csv": "question,A,B,C,answer,image\nКто?,x,y,z,0,a.png\nГде?,x,y,z,7,b.png\n"},
        ("«7»",),
    ),
    "a long value for a picture": ({"t.csv": HEAD + f"Кто?,кот,{'слово ' * 60}\n"}, ("не путь и не картинка",)),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_somebody_broke_is_refused(tmp_path: Path, name: str, ruvlm: Run) -> None:
    files, words = REFUSED[name]
    ran = ruvlm("data", "card", laid(tmp_path / "set", files))
    assert ran.code == 2
    for word in words:
        assert word in ran.err
    assert "не предвидели" not in ran.err


@pytest.mark.parametrize(
    ("files", "part", "wanted"),
    [
        (
            {"t.csv": "Вопрос;Вариант А;Вариант Б;Вариант В;Ответ;Фото\nКто?;x;y;z;В;a.png\nГде?;x;y;z;А;b.png\n"},
            "answer",
            {"column": "Ответ", "form": "letter", "letters": "а"},
        ),
        (
            {"t.csv": "Вопрос;Ответ 1;Ответ 2;Ответ 3;Правильный ответ;Фото\nКто?;x;y;z;3;a.png\nГде?;x;y;z;2;b.png\n"},
            "answer",
            {"column": "Правильный ответ", "form": "index1"},
        ),
        (
            {"t.csv": "question;answers;image\nКто?;['кот', 'кошка'];a.png\nГде?;['дом'];b.png\n"},
            "answer",
            {"column": "answers", "form": "texts", "decode": "python"},
        ),
        (
            {"t.json": json.dumps({"1": {"question": "Кто?", "answer": "кот", "imageId": 7}})},
            "columns",
            {"id": "id", "image": "imageId", "question": "question"},
        ),
        ({"test[1].csv": QUESTIONS, "train[1].csv": QUESTIONS}, "source", None),
        ({"test-00000-of-00002.csv": QUESTIONS, "test-00001-of-00002.csv": QUESTIONS}, "source", None),
        ({"test.csv": QUESTIONS.replace(",", ";"), "train.csv": QUESTIONS}, "source", None),
    ],
    ids=[
        "letters in words",
        "answers by number",
        "a list of Python",
        "numbers of pictures",
        "brackets",
        "shards",
        "unlike files",
    ],
)
def test_what_people_have_is_understood(
    tmp_path: Path, files: dict[str, str], part: str, wanted: dict[str, Any] | None
) -> None:
    folder = laid(tmp_path / "set", files, ("a.png", "b.png", "images/7.jpg"))
    card = guessed(folder)
    if wanted is not None:
        assert card[part] == wanted
    assert rows_of(folder, "")


def test_a_spoilt_byte_is_named_and_no_other_alphabet_guessed(tmp_path: Path) -> None:
    folder = laid(tmp_path / "set", {})
    (folder / "t.csv").write_bytes(QUESTIONS.encode() + "Что это за зверь?".encode() + b"\xff,\xd0\xba,a.png\n")
    with pytest.raises(DataError, match=r"строка 4: это не текст в UTF-8"):
        open_table(folder / "t.csv")


def test_a_name_of_the_house_is_not_taken(tmp_path: Path) -> None:
    folder = laid(tmp_path / "set", {"gqa-ru.csv": QUESTIONS, "weird.csv": QUESTIONS})
    for name in ("gqa-ru", "weird"):
        assert open_source(str(folder / f"{name}.csv")).benchmarks == (f"{name}-own",)


def test_nothing_between_commas_is_no_set(ruvlm: Run) -> None:
    assert ruvlm("data", "card", ",").code == 2


def test_a_second_sheet_is_told_of(tmp_path: Path) -> None:
    folder = laid(tmp_path / "set", {})
    book = Workbook()
    for sheet in (book.active, book.create_sheet("B")):
        for line in (("Вопрос", "Ответ", "Фото"), ("Кто?", "кот", "a.png")):
            sheet.append(line)
    book.save(folder / "t.xlsx")
    source = open_source(str(folder))
    assert any("листов с таблицами 2" in note for note in source.load("set", "").notes)


# --- what a newcomer met


def test_a_column_of_numbers_is_the_id_however_it_is_called(tmp_path: Path, ruvlm: Run) -> None:
    """Answers numbered from one were scored a row off."""
    folder = laid(tmp_path / "set", {"t.csv": "№;Вопрос;Ответ;Картинка\n1;Кто?;кот;a.png\n2;Где?;дом;b.png\n"})
    assert [row.id for row in rows_of(folder)] == ["1", "2"]
    answers = tmp_path / "said.jsonl"
    answers.write_text('{"id": "1", "prediction": "кот"}\n{"id": "7", "prediction": "дом"}\n', encoding="utf-8")
    ran = ruvlm("eval", f"file:{answers}", "--data", folder, "--out", tmp_path / "r", "--no-controls")
    assert ran.code == 1
    for said in ("нет ответов на 1 из 2", "не из этой части: 1"):
        assert said in ran.out + ran.err


def test_other_pictures_beside_do_not_hide_the_tables_own(tmp_path: Path) -> None:
    """`data show` writes pictures below the folder that it is called in."""
    table = {"t.csv": QUESTIONS}
    folder = laid(tmp_path / "set", table, ("фото/a.png", "фото/b.png", "results/show/x.png"))
    assert guessed(folder)["source"]["images"] == "фото"
    twice = laid(tmp_path / "twice", table, ("one/a.png", "one/b.png", "two/a.png", "two/b.png"))
    with pytest.raises(DataError, match="нашлось 0 из 2"):
        open_table(twice)


def test_rows_without_a_picture_are_skipped_and_said(tmp_path: Path, ruvlm: Run) -> None:
    folder = laid(tmp_path / "set", {"t.csv": QUESTIONS + "Что?,лес,нет.png\nКак?,,a.png\n"})
    ran = ruvlm("eval", "majority", "--data", folder, "--out", tmp_path / "r", "--no-controls")
    assert ran.code == 2
    assert "--skip-bad" in ran.err
    ran = ruvlm("eval", "majority", "--data", folder, "--out", tmp_path / "r", "--no-controls", "--skip-bad")
    assert ran.code == 0, ran.err
    for said in ("негодных строк пропущено: 1", "без опубликованного ответа: 1"):
        assert said in ran.out + ran.err


def test_a_card_is_edited_and_asked_again(tmp_path: Path, ruvlm: Run) -> None:
    """Another wording is another evaluation beside the first; each knows where its rows were."""
    folder = laid(tmp_path / "set", {"t.csv": QUESTIONS})
    card = folder / "my.toml"
    assert ruvlm("data", "card", folder / "t.csv", "--out", card).code == 0
    for words in ("Ответь одним словом.", "Отвечай кратко."):
        card.write_text(card.read_text(encoding="utf-8").replace("Ответь одним словом.", words), encoding="utf-8")
        ran = ruvlm("eval", "random", "--data", card, "--out", tmp_path / "r", "--no-controls")
        assert ran.code == 0, ran.err
    folders = sorted((tmp_path / "r").iterdir())
    assert len(folders) == 2
    assert ruvlm("score", folders[0]).code == 0, "the data are those that were written down"
    ran = ruvlm("report", tmp_path / "r", "--out", tmp_path / "r.html")
    assert ran.code == 0, ran.err
    assert "не нашлось" not in ran.err
