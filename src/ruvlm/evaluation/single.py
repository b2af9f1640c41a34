"""One question about one picture, as `ruvlm ask` puts it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ruvlm.backends.base import Access, Alternative, Asked, Backend
from ruvlm.benchmarks.catalog import CHOICE, SHORT
from ruvlm.data.images import load_image
from ruvlm.errors import ConfigError, DataError, ModelError
from ruvlm.evaluation.plan import backend_named
from ruvlm.files import sound
from ruvlm.rules.match import match_lemma
from ruvlm.rules.parse_ru import read_russian
from ruvlm.schema import LETTERS, Example, ImageRef, is_drawn

DRAWN = "Модель обучена на нарисованных сценах: на фотографиях она гадает."
LONGEST_QUESTION = 1000
# an answer less likely than this is none that a model considers
FAINT = 0.001


@dataclass(frozen=True)
class Answer:
    """What the model says and, where that is known, how sure it is and what else it might have said."""

    text: str
    probability: float | None
    alternatives: tuple[Alternative, ...]
    note: str


def ask_once(model: str, image: Path, question: str, options: str | None, top: int, device: str) -> Answer:
    """Ask any model. Raises RuvlmError for a bad picture, question, option list or model."""
    asked = question_asked(image, question, options)
    load_image(asked.prompt.image)
    return answered(backend_named(model, [], Access(device=device)), asked, top)


def answered(backend: Backend, asked: Asked, top: int) -> Answer:
    """What an open model answers, with up to `top` answers in all. Raises RuvlmError."""
    backend.refuse_unfit([asked.example])
    if not backend.ranks_answers:
        return _said(backend, asked)
    ranked = backend.alternatives(asked, 2 * top)
    if not ranked:
        raise DataError("Модель не дала ответа: обучите её дольше.")
    best, *others = ranked if asked.example.options else _distinct(ranked)
    return Answer(best.text, best.probability, tuple(others[: top - 1]), limits(backend))


def _distinct(ranked: Sequence[Alternative]) -> list[Alternative]:
    """The best answer, and of the rest those that are likely at all and no other form of a word that stands before them."""
    kept = list(ranked[:1])
    for one in ranked[1:]:
        if one.probability >= FAINT and not any(match_lemma(one.text, other.text) for other in kept):
            kept.append(one)
    return kept


def limits(backend: Backend) -> str:
    """What whoever asks a model should know of what it has seen; empty where nothing is known."""
    known = backend.trained_on
    if known is None:
        return ""
    if not known:
        return "На чём модель обучена, в её папке не записано."
    return DRAWN if all(map(is_drawn, known.split(", "))) else f"Модель обучена на {known}."


def _said(backend: Backend, asked: Asked) -> Answer:
    """What a model without alternatives of its own says; of options, the one that it chose."""
    options = asked.example.options
    if options and backend.scores_candidates:
        asked = Asked(CHOICE.open_protocol.prompt(asked.example), asked.example)
    said = next(iter(backend.answer([asked])))
    if said.error is not None:
        raise ModelError(f"Модель {backend.name} не ответила ({said.error}): повторите вопрос позже.")
    text = said.text.strip()
    if not options:
        return Answer(text, said.probability, (), "")
    if said.mean_logprobs:
        return Answer(text, None, (), "Выбран самый правдоподобный для модели вариант.")
    reading = read_russian(text, options)
    if reading.letter is None:
        return Answer(text, None, (), f"Вариант по этому ответу не прочитать ({reading.reason}).")
    return Answer(options[LETTERS.index(reading.letter)], None, (), f"Модель написала: {text[:200]}")


def question_asked(image: Path, question: str, options: str | None) -> Asked:
    """Check what was typed and word it. Raises DataError or ConfigError."""
    text = " ".join(sound(question).split())
    if not text:
        raise DataError("Вопрос пуст: напишите, о чём спросить, например «Кто в рубашке?».")
    if len(text) > LONGEST_QUESTION:
        raise DataError(f"Вопрос в {len(text)} знаков слишком длинный (можно {LONGEST_QUESTION}): сократите его.")
    choices = tuple(part.strip() for part in (options or "").split(";") if part.strip())
    if options is not None and not 2 <= len(choices) <= len(LETTERS):
        raise ConfigError(f"--options «{options}»: нужно от 2 до {len(LETTERS)} вариантов через «;».")
    benchmark = CHOICE if choices else SHORT
    example = Example(
        id="ask",
        benchmark=benchmark.name,
        question=text,
        answers=(),
        images=(ImageRef(image),),
        image_id="ask",
        cluster="ask",
        options=choices,
    )
    return Asked(benchmark.protocols[0].prompt(example), example)
