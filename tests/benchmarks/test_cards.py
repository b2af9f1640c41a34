"""Cards: every fault said at once, rows as their publishers have them, figures as a ten-line reference counts them."""

from __future__ import annotations

import ast
import base64
import json
import subprocess
import sys
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from zipfile import ZipFile

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from ruvlm.benchmarks import catalog
from ruvlm.benchmarks.cards.card_rows import card_examples, place_of
from ruvlm.benchmarks.cards.read_card import read_card
from ruvlm.benchmarks.cards.templates import Template
from ruvlm.benchmarks.catalog import benchmark_named
from ruvlm.benchmarks.source import open_source
from ruvlm.config import DataSettings
from ruvlm.data.images import decode, read_bytes
from ruvlm.errors import ConfigError, DataError
from ruvlm.schema import Example
from ruvlm.training.mixture import parts_of
from ruvlm.training.texts import training_text
from tests.support.cards import CARDS, REAL, card_beside, stand_in, worldcuisines
from tests.support.house import SHARED, Ran

Run = Callable[..., Ran]
FAULTY = [json.loads(line) for line in (SHARED / "parity" / "bad_cards.jsonl").read_text(encoding="utf-8").splitlines()]
MERA = {"weird": "WEIRD", "ruclevr": "ruCLEVR", "rucommonvqa": "ruCommonVQA"}
CARD = """schema = 1
[benchmark]
name = "mine"
licence = "CC0-1.0"
[source]
path = "rows.jsonl"
[columns]
id = "id"
image = "image"
question = "q"
options = ["A", "B", "C"]
[answer]
column = "gold"
form = "letter"
[[protocol]]
name = "letters"
kind = "choice"
prompt = "{question}\\n{options}"
max_new_tokens = 16
rules = ["letters-ru", "mera-em"]
"""
ROWS = [
    {"id": 1, "image": "a.png", "q": "Что?", "A": "кот", "B": "пёс", "C": "лис", "gold": "B"},
    {"id": 2, "image": "b.png", "q": "Кто?", "A": "да", "B": "нет", "C": None, "gold": "A"},
    {"id": 3, "image": "b.png", "q": "Где {тут}?", "A": "{там}", "B": "тут", "C": "[[нигде]]", "gold": "C"},
]


def mine(folder: Path, text: str = CARD, rows: list[dict[str, object]] | None = None) -> Path:
    """A card, its rows and two pictures."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "mine.toml").write_text(text, encoding="utf-8")
    lines = [json.dumps(row, ensure_ascii=False) for row in (ROWS if rows is None else rows)]
    (folder / "rows.jsonl").write_text("\n".join(lines), encoding="utf-8")
    for number, name in enumerate(("a.png", "b.png", "a.jpg", "b.jpg")):
        stand_in(folder / name, number)
    return folder / "mine.toml"


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Pictures of tables of text are unpacked there."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def rows_of(path: Path, split: str = "") -> tuple[Example, ...]:
    card = read_card(path)
    return card_examples(card, place_of(card), split or card.source.split).examples


# --- the grammar


@pytest.mark.parametrize("case", FAULTY, ids=[case["what"] for case in FAULTY])
def test_a_fault_is_named(tmp_path: Path, case: dict[str, object]) -> None:
    path = mine(tmp_path, str(case["toml"]), case["rows"])  # type: ignore[arg-type]
    named = case["must_name"]
    if not named:
        assert rows_of(path)
        return
    with pytest.raises(DataError) as error:
        rows_of(path)
    for word in named:  # type: ignore[attr-defined]
        assert word in str(error.value)


@pytest.mark.parametrize("path", CARDS, ids=[path.stem for path in CARDS])
def test_every_shared_card_is_read(tmp_path: Path, path: Path) -> None:
    copy = tmp_path / path.name
    copy.write_bytes(path.read_bytes())
    (tmp_path / "xgqa").mkdir()
    assert read_card(copy).protocols


def test_all_faults_are_said_at_once(tmp_path: Path) -> None:
    text = CARD.replace('licence = "CC0-1.0"\n', "").replace("max_new_tokens = 16", 'max_new_tokens = "16"')
    with pytest.raises(DataError) as error:
        read_card(mine(tmp_path, text.replace("question = ", "queston = ")))
    for word in ("licence", "max_new_tokens", "queston", "может быть, «question»"):
        assert word in str(error.value)


def test_a_mark_is_of_what_can_change_a_figure(tmp_path: Path) -> None:
    marks = {
        read_card(mine(tmp_path / name, text)).mark
        for name, text in {
            "plain": CARD,
            "titled": CARD.replace("licence", 'title = "Моя"\nlicence'),
            "published": CARD + '[[published]]\nmodel = "m"\nscore = 1.0\nrule = "r"\nsource = "s"\n',
        }.items()
    }
    assert len(marks) == 1
    assert read_card(mine(tmp_path / "other", CARD.replace("16", "17"))).mark not in marks


def test_a_template_is_filled_in_one_pass() -> None:
    fields = {"question": "Где {hint}?", "hint": None, "options": "A. [[x]]"}
    template = Template("{{[[{hint}\n]]{question}[[ {options}]]}}")
    assert template.fill(fields.__getitem__) == "{Где {hint}? A. [[x]]}"


def test_texts_may_hold_braces(tmp_path: Path) -> None:
    last = rows_of(mine(tmp_path))[-1]
    assert last.wordings["mine/letters"].text == "Где {тут}?\nA. {там}\nB. тут\nC. [[нигде]]"
    assert last.answers == ("C",)


# --- rows as their publishers have them


@pytest.mark.parametrize("name", MERA)
def test_a_row_of_mera_is_asked_in_its_own_words(tmp_path: Path, name: str) -> None:
    """Against Python's own filling of the row's instruction."""
    table = REAL / "mera_rows" / "hub" / MERA[name] / "data" / "test-00000-of-00001.parquet"
    examples = rows_of(card_beside(tmp_path, name, {"data/test-00000-of-00001.parquet": table}))
    rows = pq.read_table(table).to_pylist()
    assert len(examples) == len(rows)
    for example, row in zip(examples, rows, strict=True):
        fields = {key: value for key, value in row["inputs"].items() if key != "image"}
        wanted = row["instruction"].format(**fields)
        said = example.wordings[f"{name}/mera"]
        assert said.text == wanted.replace("<image>", "").strip()
        # where the row's word for the picture stood
        assert "<image>".join(said.parts or ("", said.text)) == (wanted if said.parts else f"<image>{said.text}")
        assert bool(said.parts) != wanted.startswith("<image>")
        assert example.id == str(row["meta"]["id"])
        golds = row["outputs"] if isinstance(row["outputs"], list) else [row["outputs"]]
        assert example.answers == tuple(golds)


def test_empty_options_keep_their_letters(tmp_path: Path) -> None:
    real = REAL / "pm4bench_mdur_ru"
    card = card_beside(tmp_path, "pm4bench_mdur_ru", {"data": real / "data", "assets": real / "assets"})
    examples = rows_of(card)
    rows = [json.loads(line) for line in (real / "data/mdur/ru.jsonl").read_text(encoding="utf-8").splitlines()]
    assert [example.id for example in examples] == [row["id"] for row in rows]
    for example, row in zip(examples, rows, strict=True):
        assert example.options[example.letters.index(example.answer)] == row["answer_text"].strip()
        assert len(example.options) == len(row["options"])
        assert len(example.images) == len(row["traditional_images"])


def test_a_row_of_several_questions_is_a_row_each(tmp_path: Path) -> None:
    lines = (REAL / "mtvqa_ru" / "hub_shape_rows.jsonl").read_text(encoding="utf-8").splitlines()
    rows = [json.loads(line) for line in lines]
    for number, row in enumerate(rows):
        stand_in(tmp_path / "made" / f"{number}.png", number)
        row["image"] = {"bytes": (tmp_path / "made" / f"{number}.png").read_bytes(), "path": row["image"]["path"]}
    table = tmp_path / "rows.parquet"
    pq.write_table(pa.Table.from_pylist(rows), table)
    examples = rows_of(card_beside(tmp_path, "mtvqa_ru", {"data/test-00000-of-00001.parquet": table}))
    wanted = [
        (row["id"], number, pair) for row in rows for number, pair in enumerate(ast.literal_eval(row["qa_pairs"]))
    ]
    assert [(e.id, e.question, e.answer) for e in examples] == [
        (f"{name}_{number}", pair["question"], str(pair["answer"])) for name, number, pair in wanted
    ]
    assert len({example.cluster for example in examples}) == len(rows)


def test_a_table_of_vlmevalkit(tmp_path: Path) -> None:
    table = REAL / "vlmevalkit_tsv" / "stand_in.tsv"
    examples = rows_of(card_beside(tmp_path, "mmmb_ru", {"mmmb/mmmb_ru.tsv": table}))
    assert len(examples) == 22
    assert all(
        decode(read_bytes(image), example.id).size == (120, 80) for example in examples for image in example.images
    )
    assert {len(example.images) for example in examples} == {1, 2}


def test_pictures_in_an_archive_and_in_the_cell(tmp_path: Path) -> None:
    stream = BytesIO()
    Image.effect_noise((90, 60), 40).save(stream, "PNG")
    rows = [
        {**ROWS[0], "image": "inner.png"},
        {**ROWS[1], "image": base64.b64encode(stream.getvalue()).decode()},
        {**ROWS[2], "image": "data:image/png;base64," + base64.b64encode(stream.getvalue()).decode()},
    ]
    card = mine(tmp_path, CARD.replace("[columns]", 'images = "all.zip"\nimages_root = "in/"\n[columns]'), rows)
    with ZipFile(tmp_path / "all.zip", "w") as archive:
        archive.writestr("in/inner.png", stream.getvalue())
    examples = rows_of(card)
    assert {image.path.read_bytes() for example in examples for image in example.images} == {stream.getvalue()}
    assert len({example.cluster for example in examples}) == 1  # one picture, whatever it came in


@pytest.mark.parametrize("value", ["../a.png", "/etc/hostname", "https://example.org/a.png", "нет.png", ""])
def test_a_picture_that_cannot_be_taken_is_named(tmp_path: Path, value: str) -> None:
    card = mine(tmp_path, CARD, [{**ROWS[0], "image": value}])
    with pytest.raises(DataError, match="строка 1") as error:
        rows_of(card)
    assert value in str(error.value)


def test_options_roll_and_their_gold_with_them(tmp_path: Path) -> None:
    text = CARD + '[rotation]\nkind = "roll"\n[statistics]\ncluster = "group"\n'
    examples = rows_of(mine(tmp_path, text))
    assert [example.id for example in examples[:3]] == ["1", "1000001", "2000001"]
    golds = {"1": "пёс", "2": "да", "3": "[[нигде]]"}
    for example in examples:
        assert example.options[example.letters.index(example.answer)] == golds[example.cluster]
        assert f"A. {example.options[0]}" in example.wordings["mine/letters"].text
    assert [sum(e.cluster == base for e in examples) for base in golds] == [3, 2, 3]


def test_hidden_answers_are_not_asked(tmp_path: Path) -> None:
    rows = [ROWS[0], {**ROWS[1], "gold": "-"}, {**ROWS[2], "gold": None}]
    card = mine(tmp_path, CARD.replace('form = "letter"', 'form = "letter"\nhidden = ["-"]'), rows)
    dataset = open_source(str(card)).load("mine", "test")
    assert [example.id for example in dataset.examples] == ["1"]
    assert "2, они не спрошены" in dataset.warnings[0]
    mine(tmp_path, CARD, [{**ROWS[0], "gold": None}])
    with pytest.raises(DataError, match="нет ни одного опубликованного ответа"):
        open_source(str(card)).load("mine", "test")


def test_a_card_cannot_take_the_name_of_a_benchmark_here(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="gqa-ru"):
        open_source(str(mine(tmp_path, CARD.replace('"mine"', '"gqa-ru"'))))


def test_a_stray_quote_loses_no_row(tmp_path: Path) -> None:
    """The table of text is read as the house's other tables are."""
    lines = [
        "id,image,q,A,B,C,gold",
        '1,a.png,"Что?,кот,пёс,лис,B',
        "2,b.png,Кто?,да,нет,,A",
        '3,b.png,Где?,тут,"там",здесь,C',
    ]
    card = mine(tmp_path, CARD.replace("rows.jsonl", "rows.csv"))
    (tmp_path / "rows.csv").write_text("\n".join(lines), encoding="utf-8")
    with pytest.raises(DataError, match="кавычка"):
        rows_of(card)
    (tmp_path / "rows.csv").write_bytes("\n".join(lines).replace('"Что', "Что").encode("cp1251"))
    assert [example.question for example in rows_of(card)] == ["Что?", "Кто?", "Где?"]


def test_a_line_may_leave_a_column_out(tmp_path: Path) -> None:
    first = {key: value for key, value in ROWS[1].items() if key != "C"}
    assert [len(example.options) for example in rows_of(mine(tmp_path, CARD, [first, ROWS[0]]))] == [2, 3]


def test_joined_tables_are_part_of_the_data(tmp_path: Path) -> None:
    text = CARD.replace(
        "[columns]", '[[source.join]]\nhere = "id"\nthere = "n"\ntake = "gold"\nfiles = "gold.jsonl"\n[columns]'
    )
    rows = [{key: value for key, value in row.items() if key != "gold"} for row in ROWS]
    marks = []
    for name, letters in {"a": "BAC", "b": "BAA"}.items():
        card = mine(
            tmp_path / name,
            text.replace('"rows.jsonl"', '"."').replace("[columns]", '[source.splits]\ntest = "rows.jsonl"\n[columns]'),
            rows,
        )
        lines = [json.dumps({"n": row["id"], "gold": letter}) for row, letter in zip(ROWS, letters, strict=True)]
        (tmp_path / name / "gold.jsonl").write_text("\n".join(lines), encoding="utf-8")
        dataset = open_source(str(card)).load("mine", "test")
        assert "".join(example.answer for example in dataset.examples) == letters
        marks.append(dataset.fingerprint)
    assert len(set(marks)) == 2


def test_a_group_counts_when_all_of_it_is_right(tmp_path: Path, ruvlm: Run) -> None:
    text = CARD + '[statistics]\ngroup = "pair"\n'
    rows = [{**row, "pair": pair} for row, pair in zip(ROWS, ("x", "x", "y"), strict=True)]
    answers = tmp_path / "answers.jsonl"
    answers.write_text(
        "\n".join(json.dumps({"id": str(n), "prediction": a}) for n, a in ((1, "B"), (2, "B"), (3, "C")))
    )
    ran = ruvlm(
        "eval", f"file:{answers}", "--data", mine(tmp_path, text, rows), "--out", tmp_path / "eval", "--no-controls"
    )
    assert ran.code == 0, ran.err
    (figures,) = (tmp_path / "eval").glob("*/summary.json")
    assert json.loads(figures.read_text(encoding="utf-8"))["metrics"]["group:pair"]["value"] == 50


PLACES = {
    'image_place = "last"': ("На <image> что? <image>?", ""),
    'image_tag = "<image>"\nimage_place = "last"': ("На  что? <image>?", ""),
    'image_tag = "<image>"\nimage_place = "first"': (),
    'image_tag = "<image>"': ("На ", " что? <image>?"),
    'image_tag = "<image>"\nimage_place = "first-keep"': (),
}


@pytest.mark.parametrize("place", PLACES)
def test_a_picture_stands_where_the_card_puts_it(tmp_path: Path, place: str) -> None:
    """The word for a picture is the template's: one that a question holds is a text (0.14 of CARDS.md)."""
    text = CARD.replace('"{question}\\n{options}"', '"На <image> что? {question}"').replace(
        "max_new", f"{place}\nmax_new"
    )
    (example, *_) = rows_of(mine(tmp_path, text, [{**ROWS[0], "q": "<image>?"}]))
    said, parts = example.wordings["mine/letters"], PLACES[place]
    assert said.parts == parts
    assert said.text.count("<image>") == 1 + ("keep" in place or "tag" not in place)


def test_words_for_pictures_are_as_many_as_pictures(tmp_path: Path) -> None:
    text = CARD.replace('"{question}\\n{options}"', '"? {question} ?"').replace("max_new", 'image_tag = "?"\nmax_new')
    with pytest.raises(DataError, match=r"меток \? 2, а картинок 1"):
        rows_of(mine(tmp_path, text, ROWS[:1]))


def test_a_system_message_is_for_those_who_take_it(tmp_path: Path, ruvlm: Run) -> None:
    card = mine(
        tmp_path, CARD.replace("max_new", 'system = "Вопрос {id}. Отвечай {{буквой}}."\nimage_size = 8\nmax_new')
    )
    source = open_source(str(card))
    dataset = source.load("mine", "test")
    prompt = benchmark_named("mine").protocols[0].prompt(dataset.examples[0])
    assert (prompt.system, prompt.image_size) == ("Вопрос 1. Отвечай {буквой}.", 8)
    ran = ruvlm("eval", "random", "--data", card, "--out", tmp_path / "r", "--json")
    assert ran.code == 0, ran.err
    ran = ruvlm("eval", "nano", "--data", card, "--protocol", "mine/letters", "--out", tmp_path / "r")
    assert ran.code == 2
    assert "не принимает системных сообщений" in ran.err


def test_questions_of_several_pictures_and_of_none(tmp_path: Path, ruvlm: Run) -> None:
    rows = [{**ROWS[0], "image": ["a.png", "b.png"]}, {**ROWS[1], "image": None}, ROWS[2]]
    card = mine(tmp_path, CARD.replace('question = "q"', 'question = "q"\nimage_optional = true'), rows)
    assert [len(example.images) for example in rows_of(card)] == [2, 0, 1]
    ran = ruvlm("eval", "random", "--data", card, "--out", tmp_path / "r", "--json")
    assert ran.code == 0, ran.err
    folder = next((tmp_path / "r").glob("*-random"))
    for command in (
        ("report", folder, "--data", card, "--out", tmp_path / "r.html"),
        ("data", "show", card, "--out", tmp_path / "s"),
    ):
        ran = ruvlm(*command)
        assert ran.code == 0, ran.err
    ran = ruvlm("data", "check", card, "--json")
    facts = {fact["name"]: fact["value"] for fact in json.loads(ran.out)["facts"]}
    assert [facts[f"строк с картинками: {count}"] for count in (0, 1, 2)] == ["1", "1", "1"]


# --- figures


@pytest.fixture(scope="module")
def kitchen(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """WorldCuisines' card, its real rows and real answers of three models."""
    folder = tmp_path_factory.mktemp("kitchen")
    card = worldcuisines(folder)
    for model in ("llama-3.2-11b", "molmoe-1b", "qwen2-vl-7b-instruct"):
        lines = [
            json.loads(line)
            for task in (1, 2)
            for line in (REAL / f"worldcuisines_ru/predictions/task{task}_mc_{model}.jsonl")
            .read_text(encoding="utf-8")
            .splitlines()
        ]
        answers = [
            {
                "id": f"{line['qa_id']}-{line['lang']}",
                "prediction": line["prediction"],
                "gold": line["multi_choice_answer"],
            }
            for line in lines
        ]
        text = "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in answers)
        (folder / f"{model}.jsonl").write_text(text, encoding="utf-8")
    return card


def counted(path: Path) -> dict[str, list[bool]]:
    """By kind of question, by the authors' rule: the first digit of the answer that is an option's number."""
    kinds = {}
    for task in (1, 2):
        table = REAL / f"worldcuisines_ru/task{task}_ru_formal.jsonl"
        for row in map(json.loads, table.read_text(encoding="utf-8").splitlines()):
            kinds[f"{row['qa_id']}-{row['lang']}"] = str(row["prompt_type"])
    right: dict[str, list[bool]] = {kind: [] for kind in kinds.values()}
    for row in map(json.loads, path.read_text(encoding="utf-8").splitlines()):
        first = next((sign for sign in row["prediction"] if sign in "12345"), "")
        right[kinds[row["id"]]].append(first == str(row["gold"]))
    return right


def test_real_answers_score_as_a_short_reference_counts(kitchen: Path, ruvlm: Run, tmp_path: Path) -> None:
    for model in ("llama-3.2-11b", "molmoe-1b", "qwen2-vl-7b-instruct"):
        answers = kitchen.parent / f"{model}.jsonl"
        ran = ruvlm("eval", f"file:{answers}", "--data", kitchen, "--out", tmp_path / "eval", "--no-controls", "--json")
        assert ran.code == 0, ran.err
        (result,) = json.loads(ran.out)
        right = counted(answers)
        score = result["scores"]["worldcuisines-ru/number-first/vanilla"]
        assert (score["correct"], score["n"]) == (sum(map(sum, right.values())), sum(map(len, right.values())))
        macro = 100 * sum(sum(kind) / len(kind) for kind in right.values()) / len(right)
        (folder,) = (tmp_path / "eval").glob(f"*{model}")
        figures = json.loads((folder / "summary.json").read_text(encoding="utf-8"))
        name, average = next(iter(figures["scores"].items()))
        assert name == "worldcuisines-ru/number-first/macro:prompt_type", "the official table's figure comes first"
        assert average["value"] == pytest.approx(macro, abs=1e-4)
        assert average["low"] < macro < average["high"]
    folders = sorted((tmp_path / "eval").iterdir())
    ran = ruvlm("compare", *folders[:2], "--json")
    assert ran.code == 0, ran.err
    (difference,) = json.loads(ran.out)
    assert difference["n"] == 281  # rows, not the dishes that they are resampled by
    ran = ruvlm("report", tmp_path / "eval", "--data", kitchen, "--out", tmp_path / "report.html")
    assert ran.code == 0, ran.err
    assert "worldcuisines-ru/number-first" in (tmp_path / "report.html").read_text(encoding="utf-8")
    ran = ruvlm("score", folders[0], "--data", kitchen)
    assert ran.code == 0, ran.err


def test_controls_answer_as_the_options_are_labelled(kitchen: Path, ruvlm: Run, tmp_path: Path) -> None:
    ran = ruvlm("eval", "majority", "--data", kitchen, "--out", tmp_path / "eval", "--json")
    assert ran.code == 0, ran.err
    for result in json.loads(ran.out):
        assert result["unparsed"] == 0
    assert json.loads(ran.out)[0]["scores"]["worldcuisines-ru/number-first/vanilla"]["value"] == pytest.approx(
        23.49, abs=0.01
    )


def test_two_cards_are_not_compared(tmp_path: Path, ruvlm: Run) -> None:
    folders = []
    for name, text in {"a": CARD, "b": CARD.replace("16", "17")}.items():
        ran = ruvlm(
            "eval", "random", "--data", mine(tmp_path / name, text), "--out", tmp_path / f"eval-{name}", "--no-controls"
        )
        assert ran.code == 0, ran.err
        folders += list((tmp_path / f"eval-{name}").iterdir())
    ran = ruvlm("compare", *folders)
    assert ran.code == 2
    assert "различаются" in ran.err
    other = CARD[CARD.index("[[protocol]]") :].replace('"letters"', '"other"')
    ran = ruvlm(
        "eval", "random", "--data", mine(tmp_path / "c", CARD + other), "--out", tmp_path / "c", "--no-controls"
    )
    assert ran.code == 0, ran.err
    ran = ruvlm("compare", folders[0], next((tmp_path / "c").glob("*random")))
    assert ran.code == 0, "a way of asking that neither was asked by is nothing between them: " + ran.err


def test_check_says_what_a_card_holds(kitchen: Path, ruvlm: Run, tmp_path: Path) -> None:
    ran = ruvlm("data", "check", kitchen, "--json", "--no-images")
    assert ran.code == 0, ran.err
    facts = {fact["name"]: fact["value"] for fact in json.loads(ran.out)["facts"]}
    assert (facts["строк"], facts["пол: наугад"], facts["пол: всегда «B»"]) == ("281", "20,1 %", "23,5 %")
    assert "1. Saj bread" in facts["первый вопрос, worldcuisines-ru/authors"]
    card = mine(tmp_path, CARD, [*ROWS, {**ROWS[0], "id": 4}, {**ROWS[0], "id": 5, "B": "кот"}])
    (tmp_path / "a.png").write_bytes(b"no picture")
    ran = ruvlm("data", "check", card, "--json")
    assert ran.code == 1, ran.err
    codes = {finding["code"] for finding in json.loads(ran.out)["findings"]}
    assert {"duplicate-question", "equal-options", "image-unreadable"} <= codes


def test_a_set_of_the_hub_that_is_not_here(ruvlm: Run, tmp_path: Path) -> None:
    ran = ruvlm("data", "check", card_beside(tmp_path, "weird", {}))
    assert ran.code == 2
    assert "Набор MERA-evaluation/WEIRD карточки weird не скачан: ruvlm data fetch" in ran.err


# --- the same questions in several translations


def test_answers_that_change_with_the_translation(tmp_path: Path, ruvlm: Run) -> None:
    """Against a count by hand: three questions in two words."""
    said = {"one": ["B", "A", "C"], "two": ["B", "B", "A"]}
    golds = ["B", "A", "C"]
    for name, letters in said.items():
        card = mine(tmp_path / name, CARD.replace('name = "mine"', f'name = "{name}"'))
        answers = tmp_path / "model.jsonl"
        lines = [json.dumps({"id": str(n), "prediction": letter}) for n, letter in enumerate(letters, 1)]
        answers.write_text("\n".join(lines), encoding="utf-8")
        ran = ruvlm("eval", f"file:{answers}", "--data", card, "--out", tmp_path / "r", "--no-controls")
        assert ran.code == 0, ran.err
    ran = ruvlm("compare", tmp_path / "r", "--translations", "--json")
    assert ran.code == 0, ran.err
    (pair,) = json.loads(ran.out)
    right = [[a == gold, b == gold] for a, b, gold in zip(*said.values(), golds, strict=True)]
    assert (pair["n"], pair["both"], pair["only_a"] + pair["only_b"], pair["neither"]) == (
        3,
        sum(all(row) for row in right),
        sum(row[0] != row[1] for row in right),
        sum(not any(row) for row in right),
    )
    assert pair["changed"]["correct"] == sum(a != b for a, b in zip(*said.values(), strict=True))
    alone = ruvlm("compare", next((tmp_path / "r").iterdir()), "--translations")
    assert alone.code == 2
    assert "переводах" in alone.err


# --- sets that no table can say


def test_a_package_may_give_the_rows_of_a_card(tmp_path: Path, ruvlm: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    card = mine(tmp_path / "set")
    code = """
from dataclasses import replace
from ruvlm.schema import Example, ImageRef

def examples(card):
    picture = ImageRef(card.folder / "a.png")
    for number in range(3):
        yield Example(id=str(number), benchmark="", question=f"{card.source.split} {number}?", answers=("B",), images=(picture,),
                      image_id="a", cluster=str(number), options=("кот", "пёс"))
"""
    (tmp_path / "site" / "others-1.0.dist-info").mkdir(parents=True)
    (tmp_path / "site" / "others_rows.py").write_text(code, encoding="utf-8")
    info = tmp_path / "site" / "others-1.0.dist-info"
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: others\nVersion: 1.0\n", encoding="utf-8")
    (info / "entry_points.txt").write_text("[ruvlm.benchmarks]\nmine = others_rows:examples\n", encoding="utf-8")
    monkeypatch.syspath_prepend(str(tmp_path / "site"))
    ran = ruvlm("eval", "random", "--data", card, "--out", tmp_path / "r", "--json")
    assert ran.code == 0, ran.err
    assert {row["n"] for row in json.loads(ran.out)} == {3}
    examples = open_source(str(card)).load("mine", "").examples
    assert examples[0].wordings["mine/letters"].text == "default 0?\nA. кот\nB. пёс"


def test_the_question_alone_is_a_floor_without_a_training_part(tmp_path: Path, ruvlm: Run) -> None:
    """Every question gives its answer away, so that the others teach it; of a few rows nothing is said."""
    rows = [{**ROWS[0], "id": n, "image": f"{n}.png", "q": f"Цвет {n % 2}?", "gold": "AB"[n % 2]} for n in range(40)]
    for row in rows:
        stand_in(tmp_path / str(row["image"]), int(str(row["id"])))
    ran = ruvlm("data", "check", mine(tmp_path, CARD, rows), "--json")
    assert {f["name"]: f["value"] for f in json.loads(ran.out)["facts"]}["пол: только вопрос"] == "100,0 %"
    ran = ruvlm("data", "check", mine(tmp_path / "few"), "--json")
    assert "пол: только вопрос" not in {fact["name"] for fact in json.loads(ran.out)["facts"]}


def test_what_is_learnt_is_what_is_asked(tmp_path: Path) -> None:
    """Training texts of a card's rows are its first protocol's words, letters as it labels them; rows of other pictures are left out."""
    card = mine(
        tmp_path,
        CARD.replace('question = "q"', 'question = "q"\nimage_optional = true'),
        [*ROWS[:2], {**ROWS[2], "image": None}],
    )
    (part,) = parts_of(DataSettings(path=str(card), train_split="default"), False)
    examples = part.datasets[0].examples
    assert [example.id for example in examples] == ["1", "2"]
    protocol = benchmark_named("mine").protocols[0]
    for example in examples:
        text = training_text(example, np.random.default_rng(0))
        assert (text.prompt, text.answer) == (protocol.prompt(example).text, example.answer)


# --- found by a reader and by somebody who set out to break this

FAULTS = {
    "form": ('form = "letter"', 'form = "text"', "answer.form"),
    "labels": ("max_new", 'letters = "1"\nmax_new', "protocol[0].letters"),
    "delimiter": ('path = "rows.jsonl"', 'path = "rows.jsonl"\ndelimiter = ";;"', "source.delimiter"),
    "rules": ('rules = ["letters-ru", "mera-em"]', "rules = []", "protocol[0].rules"),
    "tag": ("max_new", 'image_place = "tag"\nmax_new', "image_tag"),
    "cluster": ("[[protocol]]", '[statistics]\ncluster = "pairr"\n[[protocol]]', "statistics.cluster"),
    "group": ("[[protocol]]", '[statistics]\ngroup = "pairr"\n[[protocol]]', "statistics.group"),
    "where": ("[columns]", '[[source.where]]\ncolumn = "splt"\npresent = false\n[columns]', "«splt»"),
    "glob": ("[columns]", '[source.splits]\ndefault = "/etc/*.json"\n[columns]', "source.splits"),
    "roll": ("{options}", "{A} {B}", "rotation.kind"),
    "two columns": ("[columns]", "[columns]", "submission.columns"),
}


@pytest.mark.parametrize("name", FAULTS)
def test_a_card_that_would_be_judged_wrong_is_refused(tmp_path: Path, name: str) -> None:
    before, after, said = FAULTS[name]
    text = CARD.replace(before, after)
    text += '[rotation]\nkind = "roll"\n' if name == "roll" else ""
    text += '[submission]\nformat = "csv"\ncolumns = ["id"]\n' if name == "two columns" else ""
    text = text.replace('path = "rows.jsonl"', 'path = "."') if name == "glob" else text
    with pytest.raises(DataError) as error:
        rows_of(mine(tmp_path, text))
    assert said in str(error.value)


def test_labels_in_cyrillic_are_read_in_cyrillic(tmp_path: Path, ruvlm: Run) -> None:
    """«в» is the third of а, б, в, whoever else answers nothing that would tell."""
    rows = [{**row, "C": row["C"] or "ещё", "gold": "C"} for row in ROWS]
    text = CARD.replace('["letters-ru", "mera-em"]', '["letters-ru"]').replace("max_new", 'letters = "а"\nmax_new')
    card = mine(tmp_path, text, rows)
    answers = tmp_path / "said.jsonl"
    answers.write_text(
        "".join(json.dumps({"id": str(n), "prediction": "в"}) + "\n" for n in (1, 2, 3)), encoding="utf-8"
    )
    ran = ruvlm("eval", f"file:{answers}", "--data", card, "--out", tmp_path / "r", "--no-controls", "--json")
    assert json.loads(ran.out)[0]["scores"]["mine/letters-ru/vanilla"]["value"] == 100


def test_a_gap_between_options_is_no_answer(tmp_path: Path, ruvlm: Run) -> None:
    """An empty text is in every text: «не знаю» named the gap, and named options named two."""
    rows = [{**ROWS[0], "B": "", "gold": "A"}, {**ROWS[1], "A": "да", "B": None, "C": "нет", "gold": "A"}]
    card = mine(tmp_path, CARD.replace('["letters-ru", "mera-em"]', '["letters-lmms", "letters-vlmevalkit"]'), rows)
    answers = tmp_path / "said.jsonl"
    lines = [{"id": "1", "prediction": "это кот"}, {"id": "2", "prediction": "не знаю"}]
    answers.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    ran = ruvlm("eval", f"file:{answers}", "--data", card, "--out", tmp_path / "r", "--json")
    own, *controls = json.loads(ran.out)
    assert [own["scores"][f"mine/{rule}/vanilla"]["correct"] for rule in ("letters-lmms", "letters-vlmevalkit")] == [
        1,
        1,
    ]
    assert own["unparsed"] == 1
    assert all(control["unparsed"] == 0 for control in controls)


def test_controls_do_not_learn_what_they_are_asked(tmp_path: Path, ruvlm: Run) -> None:
    text = CARD.replace("[columns]", '[source.splits]\ntrain = "rows.jsonl"\n[columns]').replace(
        'path = "rows.jsonl"', 'path = "."'
    )
    ran = ruvlm("eval", "random", "--data", mine(tmp_path, text), "--out", tmp_path / "r", "--json")
    assert {row["model"] for row in json.loads(ran.out)} == {"random", "majority"}
    assert "question-only не обучить" in ran.err


def test_judging_otherwise_asks_nothing_again(tmp_path: Path, ruvlm: Run) -> None:
    """A rule more, a note of the licence, another place of the file: the answers are the same questions'."""
    card = mine(tmp_path / "set")
    asked = []
    for text in (
        CARD,
        CARD.replace('"mera-em"]', '"mera-em", "letters-vlmevalkit"]').replace(
            "licence =", 'licence_note = "x"\nlicence ='
        ),
    ):
        card.write_text(text, encoding="utf-8")
        ran = ruvlm("eval", "random", "--data", card, "--out", tmp_path / "r", "--no-controls", "--json")
        assert ran.code == 0, ran.err
        asked.append({path.parent.name: path.stat().st_mtime_ns for path in (tmp_path / "r").glob("*/responses.jsonl")})
    assert asked[0] == asked[1]


def test_other_pictures_are_other_data(tmp_path: Path) -> None:
    marks = set()
    for shade in (1, 2):
        card = mine(tmp_path / "set")
        stand_in(tmp_path / "set" / "a.png", 40 + shade)
        marks.add(open_source(str(card)).load("mine", "").fingerprint)
    assert len(marks) == 2


def test_a_submission_of_a_card_is_verified_afresh(tmp_path: Path) -> None:
    """In a process that has not opened the card before."""
    card = mine(tmp_path / "set")
    run = [sys.executable, "-m", "ruvlm"]
    for command in (
        ["eval", "majority", "--data", str(card), "--out", "r", "--no-controls"],
        ["leaderboard", "pack", "PACKED", "--out", "s.json"],
        ["leaderboard", "verify", "s.json", "--data", str(card)],
    ):
        folder = next(iter(tmp_path.glob("r/*")), tmp_path)
        words = [str(folder) if word == "PACKED" else word for word in command]
        done = subprocess.run([*run, *words], cwd=tmp_path, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr


def test_pictures_of_a_parquet_table_may_be_paths(tmp_path: Path) -> None:
    mine(tmp_path)
    rows = [
        {"id": 1, "q": "Что?", "A": "x", "B": "y", "C": "z", "gold": "A", "image": {"bytes": None, "path": "a.png"}},
        {
            "id": 2,
            "q": "Кто?",
            "A": "x",
            "B": "y",
            "C": "z",
            "gold": "B",
            "image": {"bytes": (tmp_path / "b.png").read_bytes(), "path": "z"},
        },
    ]
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "rows.parquet")
    (tmp_path / "p.toml").write_text(CARD.replace("rows.jsonl", "rows.parquet"), encoding="utf-8")
    first, second = rows_of(tmp_path / "p.toml")
    assert read_bytes(first.image) == (tmp_path / "a.png").read_bytes()
    assert read_bytes(second.image) == (tmp_path / "b.png").read_bytes()


def test_rows_without_questions_are_counted(tmp_path: Path) -> None:
    text = (
        CARD.replace("[columns]", '[source.explode]\ncolumn = "qs"\n[columns]')
        .replace('question = "q"', 'question = "qs"')
        .replace('id = "id"\n', "")
    )
    rows = [{**ROWS[0], "qs": ["Что?", "Где?"]}, {**ROWS[1], "qs": []}]
    card = mine(tmp_path, text, rows)
    dataset = open_source(str(card)).load("mine", "")
    assert [example.id for example in dataset.examples] == ["0_0", "0_1"]
    assert any("без единого вопроса" in note and note.endswith(": 1") for note in dataset.notes)


def test_answers_of_an_evaluation_that_skipped_rows_are_judged_again(tmp_path: Path, ruvlm: Run) -> None:
    card = mine(tmp_path, CARD, [*ROWS, {**ROWS[0], "id": 9, "image": "нет.png"}])
    ran = ruvlm("eval", "random", "--data", card, "--out", tmp_path / "r", "--no-controls", "--skip-bad")
    assert ran.code == 0, ran.err
    ran = ruvlm("score", next((tmp_path / "r").iterdir()), "--data", card)
    assert ran.code == 0, ran.err


def test_a_card_may_take_the_place_of_a_set_of_the_house(world: Path, tmp_path: Path, ruvlm: Run) -> None:
    """GQA-ru by somebody's card on the same rows: what its own code counts."""
    card = card_beside(tmp_path, "gqa_ru", {})
    own = ruvlm("eval", "majority", "--data", world / "gqa-ru", "--no-controls", "--out", tmp_path / "own", "--json")
    try:
        ran = ruvlm(
            "eval",
            "majority",
            "--card",
            card,
            "--data",
            world / "gqa-ru",
            "--no-controls",
            "--out",
            tmp_path / "r",
            "--json",
        )
    finally:
        catalog._described.clear()
    assert ran.code == 0, ran.err
    (theirs,) = json.loads(ran.out)
    assert theirs["scores"]["gqa-ru/exact"] == json.loads(own.out)[0]["scores"]["gqa-ru/lmms"]
