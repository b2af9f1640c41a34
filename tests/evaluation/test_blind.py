"""The blind section: planted shares of a score that need no picture are found, by arithmetic of this file's own."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path

import pytest

from ruvlm.backends.base import Asked
from ruvlm.backends.controls import GUESS
from ruvlm.backends.question_only import FOLDS, QuestionOnlyBackend, cross_fitted
from ruvlm.benchmarks.catalog import protocol_named
from ruvlm.benchmarks.source import open_source
from ruvlm.errors import ConfigError
from ruvlm.evaluation.blind import OWN_WORDS, row_biases
from ruvlm.evaluation.folder import EvaluationFolder
from ruvlm.evaluation.plan import backend_named
from tests.support.house import Ran
from tests.support.rows import example as example_of
from tests.support.serving import chatting

Run = Callable[..., Ran]
WITHOUT_PICTURES = """schema = 1
[benchmark]
name = "bare"
licence = "CC0-1.0"
[source]
path = "t.jsonl"
[columns]
question = "question"
image_optional = true
[answer]
column = "answer"
form = "text"
[[protocol]]
name = "p"
kind = "short"
prompt = "{question}"
max_new_tokens = 16
rules = ["exact-ru"]
"""


def verdicts_in(folder: Path) -> dict[str, bool]:
    """By id: has the row the full score under the first rule?"""
    rows = [json.loads(line) for line in (folder / "verdicts.jsonl").read_text(encoding="utf-8").splitlines()]
    return {row["id"]: next(iter(row["scores"].values())) == 1 for row in rows}


def folders_of(out: Path, protocol: str) -> dict[str, Path]:
    """By model, of one protocol."""
    summaries = {path.parent: json.loads(path.read_text(encoding="utf-8")) for path in out.glob("*/summary.json")}
    return {s["model"]: folder for folder, s in summaries.items() if s["protocol"] == protocol}


@pytest.fixture
def answers(world: Path) -> dict[str, tuple[str, int]]:
    """Question → its first answer and place, where all rows with these words agree."""
    rows: dict[str, set[str]] = defaultdict(set)
    for example in open_source(str(world)).load("gqa-ru", "test").examples:
        rows[example.question].add(example.answer)
    alike = {question: golds.pop() for question, golds in rows.items() if len(golds) == 1}
    return {question: (gold, place) for place, (question, gold) in enumerate(sorted(alike.items()))}


def test_what_a_served_model_owes_to_the_picture(
    world: Path, tmp_path: Path, ruvlm: Run, answers: dict[str, tuple[str, int]]
) -> None:
    """It answers every third question blind, every third when told to guess, and the rest before a picture alone."""

    def answer(text: str, pictures: list[bytes]) -> str:
        told = text.startswith(GUESS)
        question = text.removeprefix(GUESS).split("\n")[0]
        gold, place = answers.get(question, ("не знаю", 0))
        grey = bool(pictures) and len(pictures[0]) < 600
        if pictures and not grey:
            return gold
        return gold if place % 3 == 0 or (told and place % 3 == 1) else "не вижу"

    arguments = ("--data", world, "--protocol", "gqa-ru/lmms", "--out", tmp_path / "e", "--no-probe")
    with chatting(answer) as chat:
        ran = ruvlm("eval", chat.spec, *arguments, "--blind", "--json")
        assert ran.code == 0, ran.err
    folders = folders_of(tmp_path / "e", "gqa-ru/lmms")
    own = verdicts_in(folders["openai:m"])
    blind = {kind: verdicts_in(folders[f"{kind}:openai:m"]) for kind in ("blind", "no-picture", "guess")}
    blind["question-only"] = verdicts_in(folders["question-only"])
    rows = [json.loads(line) for line in (folders["openai:m"] / "bias.jsonl").read_text(encoding="utf-8").splitlines()]
    stored = {row["id"]: set(row["answered_by"]) for row in rows}
    for kind, verdicts in blind.items():
        assert {name for name, right in verdicts.items() if right} == {n for n, by in stored.items() if kind in by}
    # nobody answers these blind: the picture alone does
    sighted = [name for name in own if not stored[name]]
    section = next(row for row in json.loads(ran.out) if row["model"] == "openai:m")["blind"]
    assert section["sighted"]["n"] == len(sighted) == section["units"] - section["answered"]
    assert section["sighted"]["value"] == pytest.approx(
        100 * sum(own[name] for name in sighted) / len(sighted), abs=1e-3
    )
    assert section["sighted"]["low"] < section["sighted"]["value"] <= section["sighted"]["high"]
    shares = {kind: sum(verdicts.values()) / len(verdicts) for kind, verdicts in blind.items()}
    assert {k: round(s["value"] / 100, 4) for k, s in section["controls"].items() if k in shares} == pytest.approx(
        {k: round(v, 4) for k, v in shares.items()}, abs=1e-4
    )
    assert shares["guess"] > shares["no-picture"] == shares["blind"] > 0.1
    assert EvaluationFolder(folders["openai:m"]).blind is not None


def test_a_server_is_not_asked_blind_unless_told_to(world: Path, tmp_path: Path, ruvlm: Run) -> None:
    with chatting(lambda text, pictures: "да") as chat:
        arguments = ("--data", world, "--protocol", "gqa-ru/lmms", "--limit", "40", "--out", tmp_path, "--no-probe")
        ran = ruvlm("eval", chat.spec, *arguments, "--json")
        assert ran.code == 0, ran.err
        assert len(chat.requests) == 40
    section = json.loads(ran.out)[0]["blind"]
    assert set(section["controls"]) == {"question-only", OWN_WORDS}


def test_sighted_groups_are_whole(runs: Path, world: Path, tmp_path: Path, ruvlm: Run) -> None:
    """CircularEval: a question leaves when a blind control answers it in every order."""
    arguments = ("--data", world, "--protocol", "mmbench-ru/lmms", "--out", tmp_path)
    ran = ruvlm("eval", runs / "nano", *arguments, "--json")
    assert ran.code == 0, ran.err
    folders = folders_of(tmp_path, "mmbench-ru/lmms")
    rows = [json.loads(line) for line in (folders["nano"] / "bias.jsonl").read_text(encoding="utf-8").splitlines()]
    clusters = {e.id: e.cluster for e in open_source(str(world)).load("mmbench-ru", "test").examples}
    by_control: dict[tuple[str, str], list[bool]] = defaultdict(list)
    for row in rows:
        for kind in ("question-only", OWN_WORDS, "blind"):
            by_control[clusters[row["id"]], kind].append(kind in row["answered_by"])
    blind = {cluster for (cluster, _), rights in by_control.items() if all(rights)}
    own: dict[str, list[bool]] = defaultdict(list)
    for name, right in verdicts_in(folders["nano"]).items():
        own[clusters[name]].append(right)
    section = next(row for row in json.loads(ran.out) if row["model"] == "nano")["blind"]
    assert (section["units"], section["answered"]) == (len(own), len(blind))
    kept = [all(rights) for cluster, rights in own.items() if cluster not in blind]
    assert section["sighted"]["value"] == pytest.approx(100 * sum(kept) / len(kept), abs=1e-3)


def test_a_model_that_must_have_a_picture_is_not_asked_without(
    runs: Path, world: Path, tmp_path: Path, ruvlm: Run
) -> None:
    ran = ruvlm("eval", f"no-picture:{runs / 'nano'}", "--data", world, "--out", tmp_path)
    assert ran.code == 2
    assert "blind:nano" in ran.err
    with pytest.raises(ConfigError):
        backend_named("guess:majority", [], None)  # type: ignore[arg-type]


def test_a_control_has_no_blind_section(world: Path, tmp_path: Path, ruvlm: Run) -> None:
    """It would be its own blind control."""
    ran = ruvlm(
        "eval", "question-only", "--data", world, "--protocol", "gqa-ru/lmms", "--out", tmp_path / "e", "--json"
    )
    assert ran.code == 0, ran.err
    assert all(row["blind"] is None for row in json.loads(ran.out))
    assert not list((tmp_path / "e").glob("*/blind.json"))


def test_answers_of_a_file_are_not_asked_blind(world: Path, tmp_path: Path, ruvlm: Run) -> None:
    rows = open_source(str(world)).load("gqa-ru", "test").examples
    path = tmp_path / "answers.jsonl"
    lines = [json.dumps({"id": row.id, "prediction": "да"}) + "\n" for row in rows]
    path.write_text("".join(lines), encoding="utf-8")
    arguments = ("eval", f"file:{path}", "--data", world, "--protocol", "gqa-ru/lmms", "--out", tmp_path / "e")
    refused = ruvlm(*arguments, "--blind")
    assert refused.code == 2
    assert "на картинку не смотрит" in refused.err
    assert ruvlm(*arguments).code == 0


def test_a_model_that_fails_without_a_picture_is_passed_over(world: Path, tmp_path: Path, ruvlm: Run) -> None:
    """It cost an exit code of 1 at every run."""
    with chatting(lambda text, pictures: "да" if pictures else None) as chat:
        arguments = ("--data", world, "--protocol", "gqa-ru/lmms", "--limit", "40", "--no-probe", "--retries", "0")
        ran = ruvlm("eval", chat.spec, *arguments, "--blind", "--out", tmp_path / "e", "--json")
    assert ran.code == 0, ran.err
    assert "no-picture:openai:m пропущен" in ran.err
    models = {row["model"] for row in json.loads(ran.out)}
    assert "blind:openai:m" in models
    assert not models & {"no-picture:openai:m", "guess:openai:m"}


def test_a_set_without_pictures_owes_them_nothing(tmp_path: Path, ruvlm: Run) -> None:
    """There is nothing to hide, and no server is paid for it."""
    lines = [json.dumps({"question": f"Что {n}?", "answer": "да"}, ensure_ascii=False) + "\n" for n in range(30)]
    (tmp_path / "t.jsonl").write_text("".join(lines), encoding="utf-8")
    card = tmp_path / "t.toml"
    card.write_text(WITHOUT_PICTURES, encoding="utf-8")
    with chatting(lambda text, pictures: "да") as chat:
        ran = ruvlm("eval", chat.spec, "--data", card, "--blind", "--out", tmp_path / "e", "--json")
        assert ran.code == 0, ran.err
        assert len(chat.requests) == 30
        shuffled = ruvlm("eval", f"shuffled:{chat.spec}", "--data", card, "--no-controls", "--out", tmp_path / "s")
    assert all(row["blind"] is None for row in json.loads(ran.out))
    assert shuffled.code == 2
    assert "картинок в наборе bare нет" in shuffled.err


def test_controls_are_asked_what_the_model_was(world: Path, tmp_path: Path, ruvlm: Run) -> None:
    """A server gives no likelihoods: a section of controls alone would be a section of no model."""
    with chatting(lambda text, pictures: "A") as chat:
        ran = ruvlm("eval", chat.spec, "--data", world, "--limit", "20", "--no-probe", "--out", tmp_path, "--json")
    assert ran.code == 0, ran.err
    assert {row["protocol"] for row in json.loads(ran.out)} == {"gqa-ru/lmms", "mmbench-ru/lmms"}


def test_no_such_split_has_no_bias(world: Path, ruvlm: Run) -> None:
    ran = ruvlm("data", "bias", world, "--split", "nosuch")
    assert ran.code == 2
    assert "nosuch" in ran.err


def test_pictures_for_options_have_a_bias() -> None:
    rows = [
        example_of(f"что {n}", "B", id=str(n), cluster=str(n), options=("", "", "", ""), benchmark="mmbench-ru")
        for n in range(12)
    ]
    assert {one.bias for one in row_biases(protocol_named("mmbench-ru/lmms"), rows).values()} == {0.25}


def test_bias_is_what_the_other_rows_teach() -> None:
    """Ten clusters: «какого цвета» is always red, so its bias is one; a word that no other row has is not learnt."""
    rows = [
        example_of(
            "какого цвета мяч" if n % 2 else f"слово{n}", "красный" if n % 2 else f"ответ{n}", id=str(n), cluster=str(n)
        )
        for n in range(40)
    ]
    biases = row_biases(protocol_named("gqa-ru/lmms"), rows)
    assert all(biases[str(n)].bias == 1 and biases[str(n)].right for n in range(1, 40, 2))
    assert all(biases[str(n)].bias == 0 and not biases[str(n)].right for n in range(0, 40, 2))
    assert row_biases(protocol_named("gqa-ru/lmms"), rows[: 2 * FOLDS - 1]) == {}


def test_data_bias_writes_a_line_a_row(world: Path, tmp_path: Path, ruvlm: Run) -> None:
    ran = ruvlm("data", "bias", world, "--out", tmp_path / "bias.csv", "--json")
    assert ran.code == 0, ran.err
    figures = {one["benchmark"]: one for one in json.loads(ran.out)}
    lines = (tmp_path / "bias.csv").read_text(encoding="utf-8").splitlines()
    assert lines[0] == "id,bias,right"
    assert len(lines) - 1 == sum(one["rows"] for one in figures.values())
    rows = open_source(str(world)).load("gqa-ru", "test").examples
    expected = row_biases(protocol_named("gqa-ru/lmms"), rows)
    written = {line.split(",")[0]: line.split(",")[1:] for line in lines[1:]}
    assert {row.id: written[row.id] for row in rows} == {
        row.id: [str(expected[row.id].bias), str(int(expected[row.id].right))] for row in rows
    }
    assert figures["gqa-ru"]["right"] == pytest.approx(100 * sum(b.right for b in expected.values()) / len(rows))


def test_no_row_is_learnt_from_its_own_picture() -> None:
    rows = [example_of(f"вопрос {n}", str(n), id=str(n), cluster=str(n // 3)) for n in range(60)]
    seen = []
    for held, control in cross_fitted(rows):
        own = {row.cluster for row in held}
        learnt = {row.answer for row in rows if f"={row.question}" in control._counts}
        assert not learnt & {row.answer for row in rows if row.cluster in own}
        seen += [row.id for row in held]
    assert sorted(seen) == sorted(row.id for row in rows)


def test_belief_is_shared_among_the_options_alone() -> None:
    train = [example_of("что это", "A", options=("кот", "пёс")), example_of("что это", "A", options=("дом", "пёс"))]
    control = QuestionOnlyBackend(train)
    row = example_of("что это", "B", options=("лес", "кот"), benchmark="mmbench-ru")
    assert control.gold_share(row) == 1
    assert control.gold_share(example_of("что это", "A", options=("лес", "гора"))) == 0.5
    item = Asked(protocol_named("mmbench-ru/lmms").prompt(row), row)
    assert next(iter(control.answer([item]))).text == "B"
