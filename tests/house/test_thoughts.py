"""Thoughts come off before anything else: every mark in use, closed or cut, before stop texts and before reading."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ruvlm.models.vlm.greedy import Endings
from ruvlm.rules.cleaning import cleaned
from ruvlm.rules.match import match_russian, strip_reasoning
from ruvlm.rules.parse_ru import read_russian
from ruvlm.schema import Absent
from ruvlm.thoughts import apart, opens, until

MARKS = [
    ("<think>", "</think>"),
    ("<thinking>", "</thinking>"),
    ("<reasoning>", "</reasoning>"),
    ("<thought>", "</thought>"),
    ("<analysis>", "</analysis>"),
    ("<THINK>", "</THINK>"),
    ("[THINK]", "[/THINK]"),
    ("◁think▷", "◁/think▷"),
    ("<|channel>thought\n", "<channel|>"),
    ("<|START_THINKING|>", "<|END_THINKING|>"),
    ("<seed:think>", "</seed:think>"),
    ("<|begin_of_thought|>", "<|end_of_thought|>"),
    ("<|channel|>analysis<|message|>", "<|end|><|start|>assistant<|channel|>final<|message|>"),
]
OPTIONS = ("собака", "кошка", "стол", "поезд")


@pytest.mark.parametrize(("begin", "end"), MARKS)
def test_a_closed_thought_comes_off(begin: str, end: str) -> None:
    said = f"{begin}Вариант A похож.\n\nИли D?{end}\n\nB"
    assert read_russian(said, OPTIONS).letter == "B"
    assert match_russian(f"{begin}нет?\n\nда?{end}\nкот", "кот")
    assert until(f"{said}\n\nещё", ("\n\n",)) == said


@pytest.mark.parametrize(("begin", "end"), MARKS)
def test_a_cut_thought_is_no_answer(begin: str, end: str) -> None:
    said = f"{begin}Вариант A похож. Ответ: A"
    assert read_russian(said, OPTIONS).reason == Absent.THOUGHT
    assert not match_russian(f"{begin}да", "да")
    assert until(f"{said}\n\nB", ("\n\n",)) == f"{said}\n\nB"
    assert opens(f"USER: Кто? ASSISTANT:{begin}") or "final" in end


def test_a_thought_that_the_prompt_began() -> None:
    assert apart("думаю\n\nA</think>B", opened=True).said == "B"
    assert apart("думаю\n\nA", opened=True).unfinished
    assert until("думаю\n\nещё</think>да\n\nнет", ("\n\n",), opened=True) == "думаю\n\nещё</think>да"
    assert not opens("<think>\n\n</think>\n\n")


def test_generation_is_not_stopped_inside_a_thought() -> None:
    words = ["<think>", " ", "\n", "\n", " ок ", "</think>", "\n", "\n", "да", "\n", "\n", "нет"]

    def decode(tokens: Sequence[int]) -> str:
        return "".join(words[token] for token in tokens)

    endings = Endings(frozenset({99}), ("\n\n",), decode)
    reached = [endings.reached(list(range(n))) for n in range(1, len(words) + 1)]
    assert reached.index(True) == 10, "at the blank line after the answer, and not before"
    assert endings.text(range(11)) == "<think> \n\n ок </think>\n\nда"
    assert (endings.finish(list(range(11)), 11), endings.finish(list(range(5)), 5)) == ("stop", "length")


@given(st.text(alphabet="аб \n<>/think", max_size=60))
def test_the_references_own_step_is_what_it_was(text: str) -> None:
    import re

    expected = re.sub(r"<think>.*?</think>", "", text, flags=re.DOTALL)
    if "</think>" in expected:
        expected = expected.rsplit("</think>", 1)[1]
    assert strip_reasoning(text) == expected


@given(st.text(max_size=200))
def test_cleaning_takes_any_text(text: str) -> None:
    assert isinstance(cleaned(text).text, str)
    assert until(text, ("\n\n", "ASSISTANT:")) == text[: len(until(text, ("\n\n", "ASSISTANT:")))]


@pytest.mark.parametrize(
    "sign",
    ["<think>", "</think>", "Ответ: A ", "да нет ", "Assistant: ", "</s>", "{", "\\boxed{", "<A>", "1 000", "\n?", "а"],
)
def test_long_answers_take_linear_time(sign: str) -> None:
    """By calls of Python functions and not by a clock: four times the text, at most five times the calls."""
    import sys

    def calls(count: int) -> int:
        total = 0

        def counted(frame: object, event: str, argument: object) -> None:
            nonlocal total
            total += 1

        text = sign * count + str(count)
        sys.setprofile(counted)
        try:
            read_russian(text, OPTIONS)
            match_russian(text, "кот")
            match_russian(text, "да")
        finally:
            sys.setprofile(None)
        return total

    calls(3)
    assert calls(4000) < 5 * calls(1000) + 2000
