"""The same rows in several wordings: what is said, how figures spread, whether an order of models survives."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from ruvlm.benchmarks.cards.carded import benchmark_of
from ruvlm.benchmarks.cards.read_card import read_card, shipped_cards
from ruvlm.benchmarks.catalog import benchmark_named, protocol_named
from ruvlm.benchmarks.source import open_source
from ruvlm.benchmarks.wordings import LETTER, SHORT, other_wordings
from ruvlm.errors import ConfigError
from ruvlm.evaluation.wording_spread import _spread, shares_of
from ruvlm.numerals import decimal
from ruvlm.schema import Score, Verdict
from tests.support.house import Ran
from tests.support.serving import chatting

Run = Callable[..., Ran]
Answer = Callable[[str, list[bytes]], str | None]


def test_every_wording_says_the_question_and_the_options() -> None:
    for protocol, extra in (("gqa-ru/lmms", len(SHORT["ru"])), ("mmbench-ru/lmms", 1 + len(LETTER["ru"]))):
        known = protocol_named(protocol)
        others = other_wordings(benchmark_named(known.benchmark), known, extra)
        texts = [one.text("Что {options} это?", ("кот", "пёс"), "Подсказка.") for one in (known, *others)]
        assert len(set(texts)) == extra + 1
        assert all("Подсказка. Что {options} это?" in text for text in texts)
        assert known.asks_letter == all("A. кот" in text and "B. пёс" in text for text in texts)
        assert len({one.wording for one in others}) == extra
        assert [protocol_named(one.name) for one in others] == list(others)
        with pytest.raises(ConfigError, match="--prompts"):
            other_wordings(benchmark_named(known.benchmark), known, extra + 1)


def test_own_wordings_come_first() -> None:
    known = protocol_named("mmbench-ru/lmms")
    assert [one.name for one in other_wordings(benchmark_named("mmbench-ru"), known, 2)] == [
        "mmbench-ru/ru",
        "mmbench-ru/lmms~1",
    ]


def test_what_needs_its_own_words_has_no_others() -> None:
    """Rows with words of their own, a system message, numbers for letters, a reader of one form: other words would make the spread."""
    for name in ("kaleidoscope-ru", "worldcuisines-ru", "pm4bench-mdur-ru"):
        benchmark = benchmark_of(read_card(shipped_cards()[name]))
        protocol = benchmark.protocols[0]
        assert protocol.fixed, name
        with pytest.raises(ConfigError, match="своими словами"):
            other_wordings(benchmark, protocol, 7)


def test_one_wording_is_not_asked_twice(world: Path, tmp_path: Path, ruvlm: Run) -> None:
    """The second protocol is a wording of the first already."""
    common = ("--data", world, "--protocol", "mmbench-ru/lmms", "--no-controls", "--no-probe", "--limit", "8", "--json")
    with chatting(lambda text, pictures: "A") as chat:
        ran = ruvlm("eval", chat.spec, *common, "--protocol", "mmbench-ru/ru", "--prompts", "3", "--out", tmp_path)
        assert ran.code == 0, ran.err
        said = [(text, b"".join(pictures)) for text, pictures in chat.requests]
        assert len(set(said)) == len(said)
    assert [row["protocol"] for row in json.loads(ran.out)] == ["mmbench-ru/lmms", "mmbench-ru/ru", "mmbench-ru/lmms~1"]


@pytest.mark.parametrize("name", ["gqa-ru/lmms~0", "gqa-ru/lmms~99", "mmbench-ru/likelihood~1", "gqa-ru/lmms~x"])
def test_a_wording_that_is_not_there(name: str) -> None:
    with pytest.raises(ConfigError):
        protocol_named(name)


def answering(world: Path, share: Callable[[str], float]) -> Callable[[str, list[bytes]], str]:
    """Right on a share of questions that hangs on the wording."""
    golds = {e.question: e.answer for e in open_source(str(world)).load("gqa-ru", "test").examples}
    pattern = re.compile("|".join(re.escape(question) for question in sorted(golds, key=len, reverse=True)))

    def answer(text: str, pictures: list[bytes]) -> str:
        match = pattern.search(text)
        assert match is not None
        question = match[0]
        lot = int(hashlib.sha256(question.encode() + b"".join(pictures)).hexdigest()[:8], 16) / 16**8
        return golds[question] if lot < share(text) else "не знаю"

    return answer


def test_spread_and_order(world: Path, tmp_path: Path, ruvlm: Run) -> None:
    """One model does not mind the wording; the other is better under some and worse under others."""
    models = {"steady": lambda text: 0.5, "fickle": lambda text: 0.8 if "словом" in text else 0.2}
    arguments = (
        "--data",
        world,
        "--protocol",
        "gqa-ru/lmms",
        "--no-controls",
        "--no-probe",
        "--limit",
        "60",
        "--prompts",
        "4",
    )
    tables = {}
    for name, share in models.items():
        with chatting(answering(world, share)) as chat:
            ran = ruvlm("eval", chat.spec, *arguments, "--out", tmp_path / name)
            assert ran.code == 0, ran.err
            assert len(chat.requests) == 240
            again = ruvlm("eval", chat.spec, *arguments, "--out", tmp_path / name, "--json")
            assert len(chat.requests) == 240
        tables[name] = {row["protocol"]: next(iter(row["scores"].values()))["value"] for row in json.loads(again.out)}
        values = np.array(list(tables[name].values()))
        assert f"разброс от просьбы {decimal(values.std(ddof=1), 2)} пункта" in ran.out
        assert f"от {decimal(values.min(), 2)} до {decimal(values.max(), 2)} %" in ran.out
    assert list(tables["steady"]) == ["gqa-ru/lmms", "gqa-ru/lmms~1", "gqa-ru/lmms~2", "gqa-ru/lmms~3"]
    assert len(set(tables["steady"].values())) == 1
    compared = ruvlm("compare", tmp_path / "steady", tmp_path / "fickle", "--prompts", "--json")
    assert compared.code == 0, compared.err
    (order,) = json.loads(compared.out)
    for name, pair in order["scores"].items():
        assert pair == pytest.approx([tables["steady"][name], tables["fickle"][name]], abs=1e-3)
    assert order["scores"].keys() == tables["steady"].keys()
    assert "не переживает" in order["words"]
    assert order["model"] + order["wording"] + order["together"] == pytest.approx(100)
    shown = ruvlm("compare", tmp_path / "steady", tmp_path / "fickle", "--prompts")
    assert "gqa-ru/lmms~2" in shown.out
    report = ruvlm("score", next((tmp_path / "fickle").glob("*~1*")), "--data", world, "--json")
    assert next(iter(json.loads(report.out)["scores"].values()))["value"] == tables["fickle"]["gqa-ru/lmms~1"]


def test_requests_that_failed_decide_nothing(world: Path, tmp_path: Path, ruvlm: Run) -> None:
    """The better model is refused half of its answers: it is ahead on what both answered, and no wording moved a row of it."""
    models = {"better": 1.0, "worse": 0.4}
    arguments = (
        "--data",
        world,
        "--protocol",
        "gqa-ru/lmms",
        "--no-controls",
        "--no-probe",
        "--limit",
        "60",
        "--prompts",
        "2",
    )
    for name, share in models.items():
        right = answering(world, lambda text, share=share: share)

        def answer(text: str, pictures: list[bytes], name: str = name, right: Answer = right) -> str | None:
            lot = hashlib.sha256(text.encode() + b"".join(pictures)).digest()[0]
            return None if name == "better" and lot < 128 else right(text, pictures)

        with chatting(answer) as chat:
            ran = ruvlm("eval", chat.spec, *arguments, "--retries", "0", "--out", tmp_path / name)
            assert ran.code == (1 if name == "better" else 0), ran.err
        if name == "better":
            assert "исход 0,0 % строк" in ran.out
    (order,) = json.loads(ruvlm("compare", tmp_path / "better", tmp_path / "worse", "--prompts", "--json").out)
    assert all(first == 100 > second for first, second in order["scores"].values())
    assert "better" in order["words"].split("значимо впереди")[0]


def test_a_part_of_a_point_is_an_outcome_too() -> None:
    """Fractional rules: a row that is worth less in other words has changed."""
    verdicts = [
        [Verdict(id=str(n), cluster=str(n), parsed="x", reason=None, scores={"anls": score}) for n in range(30)]
        for score in (0.5, 0.6)
    ]
    scores = {str(k): Score(30, 0, value, value - 5, value + 5, 0.0) for k, value in enumerate((50.0, 60.0))}
    spread = _spread("m", scores, verdicts)
    assert spread.changed == 100
    assert spread.sampling == pytest.approx(5 / 1.96, abs=0.01)


def test_shares_add_up_by_hand() -> None:
    """A table that is a column's effect alone, a row's alone, and one with neither."""
    assert shares_of(np.array([[1.0, 3], [1, 3], [1, 3]])) == pytest.approx((100, 0, 0))
    assert shares_of(np.array([[1.0, 1], [2, 2], [6, 6]])) == pytest.approx((0, 100, 0))
    assert shares_of(np.array([[1.0, 2], [2, 1]])) == pytest.approx((0, 0, 100))
    assert shares_of(np.array([[5.0, 5], [5, 5]])) == (0, 0, 0)


def test_no_two_wordings(world: Path, tmp_path: Path, ruvlm: Run) -> None:
    for name in ("majority", "random"):
        arguments = ("--data", world, "--protocol", "gqa-ru/lmms", "--no-controls", "--out", tmp_path / name)
        assert ruvlm("eval", name, *arguments).code == 0
    ran = ruvlm("compare", tmp_path / "majority", tmp_path / "random", "--prompts")
    assert ran.code == 2
    assert "--prompts 4" in ran.err
    ran = ruvlm(
        "eval", "majority", "--data", world, "--protocol", "mmbench-ru/likelihood", "--prompts", "3", "--out", tmp_path
    )
    assert ran.code == 2
    assert "ни о чём не просит" in ran.err
