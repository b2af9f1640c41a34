"""How each protocol words its question to the model (PROTOCOLS: the prompts of lmms-eval, to the letter, and ours)."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from types import MappingProxyType

from ruvlm.errors import ConfigError
from ruvlm.schema import LETTERS, Benchmark, Example, Generation, Prompt

GQA_INSTRUCTION = "\nОтветь одним словом."
OPTIONS_LINE = "There are several options:\n"
LETTER_INSTRUCTION = "\n\nВыбери правильный вариант ответа буквой."
RU_OPTIONS_LINE = "Варианты ответа:\n"
RU_LETTER_INSTRUCTION = "\n\nНапиши только букву правильного варианта."
LIKELIHOOD_INSTRUCTION = "\nОтветь кратко."


@dataclass(frozen=True)
class Protocol:
    """A named way of asking: the wording and the generation settings of one benchmark."""

    name: str
    benchmark: Benchmark
    generation: Generation
    options_line: str = ""
    instruction: str = ""
    likelihood: bool = False

    @property
    def asks_letter(self) -> bool:
        """Is the answer to be the letter of an option?"""
        return bool(self.options_line)


PROTOCOLS: MappingProxyType[str, Protocol] = MappingProxyType(
    {
        protocol.name: protocol
        for protocol in (
            Protocol("gqa-ru/lmms", "gqa-ru", Generation(16, ("\n\n",)), instruction=GQA_INSTRUCTION),
            Protocol(
                "mmbench-ru/lmms", "mmbench-ru", Generation(1024, ("ASSISTANT:",)), OPTIONS_LINE, LETTER_INSTRUCTION
            ),
            Protocol(
                "mmbench-ru/ru", "mmbench-ru", Generation(1024, ("ASSISTANT:",)), RU_OPTIONS_LINE, RU_LETTER_INSTRUCTION
            ),
            Protocol(
                "mmbench-ru/likelihood",
                "mmbench-ru",
                Generation(0),
                instruction=LIKELIHOOD_INSTRUCTION,
                likelihood=True,
            ),
        )
    }
)
DEFAULT_PROTOCOLS = ("gqa-ru/lmms", "mmbench-ru/lmms", "mmbench-ru/likelihood")


def limited(protocol: Protocol, max_new_tokens: int | None) -> Protocol:
    """The protocol with another limit on the answer's length, which makes it another way of asking."""
    if max_new_tokens is None or protocol.likelihood:
        return protocol
    return replace(protocol, generation=replace(protocol.generation, max_new_tokens=max_new_tokens))


def wording_mark(protocol: Protocol) -> str:
    """A short hash of all that a protocol says to the model."""
    return hashlib.sha256(repr(protocol).encode()).hexdigest()[:12]


def protocol_named(name: str) -> Protocol:
    """Raises ConfigError for a name that is not in the table."""
    if name not in PROTOCOLS:
        raise ConfigError(f"Протокола «{name}» нет: есть {', '.join(PROTOCOLS)}.")
    return PROTOCOLS[name]


def question_text(protocol: Protocol, question: str, options: tuple[str, ...] = (), hint: str | None = None) -> str:
    """The text part of a prompt."""
    start = f"{hint} {question}" if hint else question
    if not protocol.options_line:
        return start + protocol.instruction
    listed = "\n".join(f"{letter}. {text}" for letter, text in zip(LETTERS, options, strict=False))
    return f"{start} {protocol.options_line}{listed}{protocol.instruction}"


def prompt_for(protocol: Protocol, example: Example) -> Prompt:
    """The prompt of one example under a protocol."""
    text = question_text(protocol, example.question, example.options, example.hint)
    candidates = example.options if protocol.likelihood else ()
    return Prompt(protocol.name, text, example.image, protocol.generation, candidates)
