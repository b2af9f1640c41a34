"""Whatever text a model, a set or a server sends, every rule and reader ends in a verdict, and in the same one twice."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ruvlm.backends.openai_reply import read_reply
from ruvlm.benchmarks.cards.read_card import card_of
from ruvlm.errors import RuvlmError
from ruvlm.evaluation.table import score_file
from ruvlm.rules.named import MATCHERS, OPTIONLESS, READERS
from ruvlm.schema import Response

# what real answers are made of, so that rules are met where they look
PIECES = (
    *(
        "да",
        "нет",
        "кот",
        "КОТ",
        "ё",
        "е",
        "на столе",
        "под столом",
        "A",
        "А",
        "b)",
        "(В)",
        "ответ:",
        "Ответ – ",
        "1",
        "1,5",
        "½",
        "²",
    ),
    *(
        "<think>",
        "</think>",
        "```json",
        "{",
        '"choice":',
        "}",
        "\\boxed{",
        "**",
        "\n",
        " ",
        ".",
        ";",
        "|",
        "[",
        "null",
        "=",
        "\u202e",
        "\x00",
    ),
)
WORDS = st.lists(st.one_of(st.sampled_from(PIECES), st.text(max_size=4)), max_size=12).map("".join)
JSON = st.recursive(
    st.one_of(
        st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=6), st.sampled_from(("stop", "length"))
    ),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(
            st.one_of(
                st.sampled_from(
                    ("choices", "message", "content", "usage", "error", "completion_tokens", "text", "model")
                ),
                st.text(max_size=3),
            ),
            inner,
            max_size=4,
        ),
    ),
    max_leaves=12,
)


@pytest.mark.parametrize("rule", MATCHERS)
@given(said=WORDS, gold=WORDS)
def test_a_matcher_gives_a_share_and_the_same_one_twice(rule: str, said: str, gold: str) -> None:
    score = float(MATCHERS[rule](said, gold))
    assert 0 <= score <= 1
    assert score == float(MATCHERS[rule](said, gold))


@pytest.mark.parametrize("rule", READERS)
@given(said=WORDS, options=st.lists(st.one_of(st.none(), WORDS), min_size=2, max_size=6), cyrillic=st.booleans())
def test_a_reader_gives_an_option_or_a_reason(rule: str, said: str, options: list[str | None], cyrillic: bool) -> None:
    reading = READERS[rule](said, options, cyrillic)
    assert (reading.letter is None) is (reading.reason is not None)
    if reading.letter is not None and rule not in OPTIONLESS:
        assert "ABCDEFGHIJ".index(reading.letter) < len(options)
    assert reading == READERS[rule](said, options, cyrillic)


@given(document=JSON, stops=st.lists(st.text(max_size=3), max_size=2))
def test_any_json_is_a_reply(document: Any, stops: list[str]) -> None:
    response = read_reply(json.dumps(document).encode(), stops, 0.5).response
    assert isinstance(response, Response)
    assert response.text or response.error or response.absent is not None or response.finish


@given(body=st.binary(max_size=60))
def test_any_bytes_are_a_reply(body: bytes) -> None:
    assert read_reply(body, (), 0.5).response is not None


@settings(max_examples=60)
@given(name=st.sampled_from(("a.csv", "a.tsv", "a.jsonl", "a.json")), text=WORDS, head=st.booleans())
def test_any_file_of_answers_is_scored_or_refused(
    name: str, text: str, head: bool, tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.mktemp("answers") / name
    path.write_text(("id,gold,prediction\n1," if head else "") + text, encoding="utf-8")
    try:
        scored = score_file(path)
    except RuvlmError:
        return
    assert scored.n > 0
    assert all(0 <= score.value <= 100 for score in scored.scores.values() if not math.isnan(score.value))


@given(
    document=st.dictionaries(
        st.sampled_from(("schema", "benchmark", "source", "columns", "answer", "protocol", "axes")), JSON, max_size=7
    )
)
def test_any_document_is_a_card_or_refused(document: dict[str, Any]) -> None:
    with pytest.raises(RuvlmError):  # none of these is whole
        card_of({"schema": 1, **document}, Path("card.toml"))
