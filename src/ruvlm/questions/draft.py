"""A question as a functional program over a scene, and the wording engine that puts it into Russian."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import lru_cache
from types import MappingProxyType
from typing import Protocol

from ruvlm.questions.grammar import Noun, capitalise, phrase, with_preposition

Fact = tuple[object, ...]
Step = tuple[str, str]
YES, NO = "да", "нет"

# relation -> (preposition, case of what follows, GQA's English name)
RELATION_WORDS: MappingProxyType[str, tuple[str, str, str]] = MappingProxyType(
    {
        "left": ("слева от", "gent", "to the left of"),
        "right": ("справа от", "gent", "to the right of"),
        "above": ("над", "ablt", "above"),
        "below": ("под", "ablt", "below"),
        "near": ("рядом с", "ablt", "near"),
    }
)
SPATIAL = frozenset(name for _, _, name in RELATION_WORDS.values())


class Named(Protocol):
    """What a phrase may name: a drawn thing, or one in a photograph."""

    @property
    def id(self) -> int: ...


@dataclass(frozen=True)
class Reference:
    """A noun phrase for one thing (or for none, in «Есть ли на картинке мяч?»), and how a program selects it."""

    noun: Noun
    adjectives: tuple[str, ...]
    steps: tuple[Step, ...]
    thing: Named | None = None

    def text(self, case: str, number: str = "sing") -> str:
        return phrase(self.adjectives, self.noun, case, number)


@dataclass(frozen=True)
class Related:
    """A relation to a thing as an adverbial: «слева от машины», «рядом со стулом»."""

    relation: str
    reference: Reference

    def text(self) -> str:
        preposition, case, _ = RELATION_WORDS[self.relation]
        return with_preposition(preposition, self.reference.text(case))


Argument = Reference | Related | str


@dataclass(frozen=True)
class Form:
    """A form of question: its balance key and GQA's three types."""

    key: str
    structural: str
    semantic: str
    detailed: str


@dataclass(frozen=True, kw_only=True)
class Draft:
    """A question before it is worded.

    `arguments` fill the templates' numbered slots. `needs` are facts that settle the answer, `gives` the facts that
    question and answer together state: a question entails another when it gives what the other needs. `answer_things`
    are what one has to look at to answer.
    """

    form: Form
    wordings: tuple[str, ...]
    full: str
    arguments: tuple[Argument, ...]
    answer: str
    program: tuple[tuple[Step, tuple[int, ...]], ...]
    needs: frozenset[Fact]
    gives: frozenset[Fact]
    group: str | None = None
    answer_things: tuple[int, ...] = ()


@dataclass(frozen=True)
class Naming:
    """Characters [start, end) of a text that name thing `thing`."""

    start: int
    end: int
    thing: int


@dataclass(frozen=True)
class Question:
    """A worded question about one scene."""

    draft: Draft
    text: str
    full_answer: str
    mentions: tuple[Naming, ...]
    held_out: bool = field(default=False)

    @property
    def answer(self) -> str:
        return self.draft.answer

    @property
    def semantic_string(self) -> str:
        """GQA's semanticStr: «select: ball (3)->query: color [0]»."""
        parts = []
        for (operation, argument), needs in self.draft.program:
            parts.append(f"{operation}: {argument}" + (f" [{', '.join(map(str, needs))}]" if needs else ""))
        return "->".join(parts)


_SLOT = re.compile(r"\{(\d)(?::([^}]*))?\}")


@lru_cache(maxsize=4096)
def _compiled(template: str) -> tuple[str | tuple[int, str], ...]:
    parts: list[str | tuple[int, str]] = []
    position = 0
    for match in _SLOT.finditer(template):
        parts.append(template[position : match.start()])
        parts.append((int(match[1]), match[2] or ""))
        position = match.end()
    parts.append(template[position:])
    return tuple(part for part in parts if part)


def worded(template: str, arguments: tuple[Argument, ...]) -> tuple[str, tuple[Naming, ...]]:
    """Fill a template: `{0:gent}` the phrase in a case, `{0:с ablt}` with a preposition, `{1}` a string or relation."""
    text = ""
    mentions = []
    for part in _compiled(template):
        if isinstance(part, str):
            text += part
            continue
        argument, spec = arguments[part[0]], part[1]
        if isinstance(argument, str):
            text += argument
            continue
        if isinstance(argument, Related):
            piece, reference = argument.text(), argument.reference
            named = piece[len(piece) - len(reference.text(_case_of(argument))) :]
        else:
            reference = argument
            preposition, _, case = spec.rpartition(" ")
            case, _, number = case.partition("/")
            named = reference.text(case, number or "sing")
            piece = with_preposition(preposition, named) if preposition else named
        text += piece
        if reference.thing is not None:
            mentions.append(Naming(len(text) - len(named), len(text), reference.thing.id))
    return capitalise(text), tuple(mentions)


def _case_of(related: Related) -> str:
    return RELATION_WORDS[related.relation][1]


def finish(draft: Draft, template: str, colours: dict[int, bool]) -> Question:
    """Word a draft by one of its templates. `colours` says which thing ids are held-out pairs."""
    text, mentions = worded(template, draft.arguments)
    full, _ = worded(draft.full, draft.arguments)
    touched = {mention.thing for mention in mentions} | set(draft.answer_things)
    return Question(draft, text, full, mentions, any(colours.get(thing, False) for thing in touched))


def chain(*references: Reference, then: tuple[Step, ...] = ()) -> tuple[tuple[Step, tuple[int, ...]], ...]:
    """A program that selects each reference in turn and applies `then` to the last result of each."""
    steps: list[tuple[Step, tuple[int, ...]]] = []
    ends = []
    for reference in references:
        for number, step in enumerate(reference.steps):
            steps.append((step, (len(steps) - 1,) if number else ()))
        ends.append(len(steps) - 1)
    for step in then:
        steps.append((step, tuple(ends)))
        ends = [len(steps) - 1]
    return tuple(steps)


def about(
    form: Form,
    *arguments: Argument,
    wordings: tuple[str, ...],
    full: str,
    answer: str,
    then: tuple[Step, ...],
    needs: frozenset[Fact],
    also: Iterable[Fact] = (),
    select: tuple[Reference, ...] | None = None,
    group: str | None = None,
    things: tuple[int, ...] = (),
) -> Draft:
    """A draft whose program selects things and applies `then` to them, and which states what it needs, and `also` more.

    `select` are the phrases of what is selected, all of the arguments where it is not said.
    """
    chosen = select if select is not None else tuple(a for a in arguments if isinstance(a, Reference))
    return Draft(
        form=form,
        wordings=wordings,
        full=full,
        arguments=arguments,
        answer=answer,
        program=chain(*chosen, then=then),
        needs=needs,
        gives=needs.union(also),
        group=group,
        answer_things=things,
    )
