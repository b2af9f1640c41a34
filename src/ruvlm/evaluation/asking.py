"""One evaluation: ask what has not been asked yet, store each answer, judge, score, write the summary last; or score it again."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from pathlib import Path

from ruvlm.backends.base import Asked, Backend
from ruvlm.benchmarks.base import Protocol
from ruvlm.benchmarks.catalog import benchmark_named, protocol_named, score
from ruvlm.benchmarks.source import open_source
from ruvlm.data.images import read_bytes, refuse_changed
from ruvlm.errors import DataError
from ruvlm.evaluation.blind import BlindSection
from ruvlm.evaluation.encoder_judge import recovered
from ruvlm.evaluation.evaluated import AskedHow, Identity, Usage
from ruvlm.evaluation.folder import EvaluationFolder
from ruvlm.evaluation.judge import Judge, Judged
from ruvlm.evaluation.probe import Honesty, ProbeAnswer, honesty, kept_probe, probe, with_evaluation
from ruvlm.evaluation.store import RESPONSES, response_key
from ruvlm.files import picture_mark
from ruvlm.processes import Ranks
from ruvlm.schema import Absent, Dataset, Example, Response, Result, Verdict

Progress = Callable[[int, int], None]
# over this share of answers cut off or absent, the headline says so
MUCH = 0.05
UNASKED = Response("", error="нет ответа")
_CYRILLIC = re.compile("[а-яё]", re.IGNORECASE)


@dataclass(frozen=True)
class Evaluation:
    """What one protocol's run gave. `failed` requests got no answer; asking again asks only for those."""

    protocol: str
    dataset: Dataset
    model: str
    result: Result
    verdicts: tuple[Verdict, ...]
    asked: int
    folder: Path | None
    advice: str = ""
    blind: BlindSection | None = None
    usage: Usage | None = None

    @property
    def failed(self) -> int:
        return self.result.errors


def protocols_for(dataset: Dataset, backend: Backend) -> tuple[str, ...]:
    """The usual protocols of a benchmark that the backend can follow."""
    usual = [protocol for protocol in benchmark_named(dataset.name).protocols if protocol.usual]
    usual = [protocol for protocol in usual if backend.follows_system or not protocol.system]
    return tuple(protocol.name for protocol in usual if backend.scores_candidates or not protocol.likelihood)


def _noted(result: Result, table: Protocol, notes: Sequence[str]) -> Result:
    """With its notes, and what a judge adds to its metrics."""
    metrics = {**result.metrics, **recovered(result.scores, tuple(table.rules))}
    return replace(result, notes=(*result.notes, *notes), metrics=metrics)


def ask_all(backend: Backend, dataset: Dataset, protocol: Protocol, progress: Progress | None = None) -> list[Response]:
    """Responses in the order of the examples, nothing stored: what validation during training uses."""
    backend.refuse_unfit(dataset.examples)
    order = sorted(
        range(len(dataset.examples)),
        key=lambda n: [(image.path, image.row or 0) for image in dataset.examples[n].images],
    )
    asked = [Asked(protocol.prompt(dataset.examples[n]), dataset.examples[n]) for n in order]
    responses: list[Response | None] = [None] * len(order)
    for done, (n, response) in enumerate(zip(order, backend.answer(asked), strict=True)):
        responses[n] = response
        if progress is not None and done % 64 == 0:
            progress(done, len(order))
    return [response for response in responses if response is not None]


def evaluate(
    backend: Backend,
    dataset: Dataset,
    protocol: str,
    folder: Path,
    progress: Progress | None = None,
    max_new_tokens: int | None = None,
    ranks: Ranks = Ranks(),  # noqa: B008
    judge: Judge | None = None,
    where: str = "",
    probed: bool = True,
) -> Evaluation:
    """Evaluate into a folder; answers that are there already are not asked for again.

    `judge` adds a rule of its own. `where` is what the data were named by. A server is probed first, unless not to be `probed`.

    Raises OutputError if another process writes there, or the folder holds an evaluation of something else.
    """
    table = protocol_named(protocol).limited(max_new_tokens)
    identity = _identity(backend, dataset, table)
    place = EvaluationFolder(folder)
    with place.claimed(identity, backend.replays) if ranks.first else nullcontext():
        _merge_shards(place, ranks)
        backend.refuse_unfit(dataset.examples)
        backend.begin(dataset)
        keyed = _keyed(dataset, table, backend.fingerprint)
        probe_answers = _probed(backend, keyed, place) if probed and ranks.first else []
        ranks.wait()  # a probe's questions are asked alone
        asked, damaged = _ask_missing(backend, keyed, place, ranks, progress)
        refuse_changed(dataset.files)
        ranks.wait()
        _merge_shards(place, ranks)
        responses = _stored(keyed, place)
        honest = _honesty(probe_answers, dataset, responses)
        if dataset.hidden:
            return _unscored(protocol, dataset, backend, responses, asked, folder, honest.faults)
        verdicts = table.judge_all(dataset.examples, responses)
        notes = (*_told(backend, dataset, keyed, responses), *damaged)
        if judge is not None and ranks.first:
            judged = _judged(judge, table, dataset, responses, verdicts, place.judgements)
            verdicts, notes = judged.verdicts, (*notes, judged.note)
        result = score(table, dataset, verdicts)
        result = warned(result, table, responses, (*honest.faults, *dataset.warnings, *backend.warnings))
        result = _noted(result, table, (*honest.notes, *dataset.notes, *notes))
        usage = Usage.of(responses, backend.prices)
        advice = backend.advice
        done = Evaluation(protocol, dataset, backend.name, result, tuple(verdicts), asked, folder, advice, None, usage)
        if ranks.first:
            place.finish(
                identity=identity,
                source=dataset.source,
                benchmark=dataset.name,
                model=backend.name,
                parameters=backend.parameters,
                result=result,
                verdicts=verdicts,
                usage=usage,
                how=_asked_how(table, keyed, where),
            )
    return done


def _judged(
    judge: Judge,
    protocol: Protocol,
    dataset: Dataset,
    responses: Sequence[Response],
    verdicts: list[Verdict],
    judgements: Path,
) -> Judged:
    """Verdicts with a judge's own beside them; as they are where it can say nothing of such answers."""
    if not judge.covers(protocol):
        return Judged(verdicts, f"судья {judge.name} таких ответов не судит")
    return judge.judge(dataset.examples, responses, verdicts, judgements)


def _identity(backend: Backend, dataset: Dataset, protocol: Protocol) -> Identity:
    return Identity(
        protocol=protocol.name,
        prompt=protocol.wording,
        data=dataset.fingerprint,
        split=dataset.split,
        model=backend.fingerprint,
        sample=dataset.sample,
    )


def _asked_how(protocol: Protocol, keyed: Sequence[Keyed], where: str) -> AskedHow:
    """A mark of every word that was said, whatever the order, and the settings of the answers."""
    said = hashlib.sha256()
    for one in sorted(keyed, key=lambda one: one.place):
        prompt = one.asked.prompt
        said.update(repr((one.asked.example.id, prompt.text, prompt.parts, prompt.system)).encode())
    settings = {
        "max_new_tokens": str(protocol.generation.max_new_tokens),
        "stop": repr(protocol.generation.stop),
        "image_size": str(protocol.image_size),
    }
    return AskedHow(said=said.hexdigest()[:16], settings=settings, data=where)


def _unscored(
    protocol: str,
    dataset: Dataset,
    backend: Backend,
    responses: Sequence[Response],
    asked: int,
    folder: Path,
    faults: tuple[str, ...],
) -> Evaluation:
    """Answers to questions whose own answers are not published: kept, and not judged."""
    failed = sum(response.error is not None for response in responses)
    closed = f"ответы {dataset.name} закрыты: балла нет, файл для организаторов делает ruvlm submit"
    warnings = (closed, *faults, *dataset.warnings, *backend.warnings)
    result = Result(n=len(responses), scores={}, errors=failed, notes=dataset.notes, warnings=warnings)
    return Evaluation(protocol, dataset, backend.name, result, (), asked, folder, backend.advice)


def _probed(backend: Backend, keyed: Sequence[Keyed], place: EvaluationFolder) -> list[ProbeAnswer]:
    """A server's answers to rows asked several ways; nothing of what is no server."""
    if not backend.served:
        return []
    in_order = [one.asked for one in sorted(keyed, key=lambda one: one.place)]
    return kept_probe(place.probed, lambda: probe(backend, in_order))


def _honesty(answers: Sequence[ProbeAnswer], dataset: Dataset, responses: Sequence[Response]) -> Honesty:
    """What a probe shows beside the answers of the evaluation itself, which were got many at once."""
    return honesty(with_evaluation(answers, {e.id: r for e, r in zip(dataset.examples, responses, strict=True)}))


def _merge_shards(place: EvaluationFolder, ranks: Ranks) -> None:
    """The first process puts all processes' answers together while the others wait."""
    if ranks.first:
        place.merge_shards()
    ranks.wait()


def rescored(
    dataset: Dataset,
    protocol: Protocol,
    answers: Mapping[str, Response],
    judge: Judge | None = None,
    judgements: Path | None = None,
) -> Result:
    """Figures of answers by their examples' ids, by today's rules; what has no answer counts as not asked.

    A `judge` adds its own, with what it said before read from `judgements`.
    """
    responses = [answers.get(example.id, UNASKED) for example in dataset.examples]
    verdicts, notes = protocol.judge_all(dataset.examples, responses), dataset.notes
    if judge is not None and judgements is not None:
        judged = _judged(judge, protocol, dataset, responses, verdicts, judgements)
        verdicts, notes = judged.verdicts, (*notes, judged.note)
    result = score(protocol, dataset, verdicts)
    result = replace(result, metrics={**result.metrics, **recovered(result.scores, tuple(protocol.rules))})
    return warned(replace(result, notes=(*result.notes, *notes)), protocol, responses, dataset.warnings)


def warned(result: Result, protocol: Protocol, responses: Sequence[Response], missing: tuple[str, ...] = ()) -> Result:
    """A result with what must be known before its figures: answers cut off, answers that are none, what else is `missing`."""
    return replace(result, warnings=(*_cut_short(protocol, responses), *_absent(result), *_unread(result), *missing))


def _cut_short(protocol: Protocol, responses: Sequence[Response]) -> tuple[str, ...]:
    """A model that does not stop by itself answers slowly, and its answers are read as far as they go."""
    limit = protocol.generation.max_new_tokens
    # how an answer ended is known from what the server or the decoder says; only without that the tokens are counted
    ended = [r.finish == "length" or (not r.finish and r.tokens >= limit) for r in responses if r.error is None]
    count = sum(ended) if limit else 0
    if not count:
        return ()
    said = f"ответов, оборванных на пределе в {limit} токенов: {count} из {len(responses)}"
    much = count > MUCH * len(responses)
    return (f"{said}; балл от этого занижен: поднимите --max-new-tokens" if much else said,)


def _absent(result: Result) -> tuple[str, ...]:
    """Answers that are none, by reason; a score with many of them says little of the model."""
    if not result.absent:
        return ()
    said = ", ".join(f"{reason} – {count}" for reason, count in result.absent.items())
    total = sum(result.absent.values())
    line = f"без ответа {total} из {result.n}: {said}; в балле они неверны"
    if total > MUCH * result.n and Absent.THOUGHT in result.absent:
        line += "; дайте рассуждению место (--thinking on, --max-new-tokens) или выключите его (--thinking off)"
    return (line,)


def _unread(result: Result) -> tuple[str, ...]:
    """Answers that no rule could read, beyond those that are none: where there are many, the score says little of the model."""
    count = result.unparsed - sum(result.absent.values())
    if count <= MUCH * result.n:
        return ()
    return (f"не прочитано ответов: {count} из {result.n}; в балле они неверны",)


def _foreign(dataset: Dataset, responses: Sequence[Response]) -> tuple[str, ...]:
    """Questions that are not in Russian are not this benchmark's; answers in another script match no Russian gold."""
    notes = []
    russian = benchmark_named(dataset.name).language == "ru"
    latin = sum(not _CYRILLIC.search(example.question) for example in dataset.examples)
    if russian and latin > len(dataset.examples) / 2:
        notes.append(
            f"вопросов без русских букв: {latin} из {len(dataset.examples)}; правила здесь для русских ответов"
        )
    answered = [(e, r) for e, r in zip(dataset.examples, responses, strict=True) if not e.options and r.text.strip()]
    foreign = sum(
        bool(_CYRILLIC.search(e.answer)) and not _CYRILLIC.search(r.text) and any(map(str.isalpha, r.text))
        for e, r in answered
    )
    if russian and foreign:
        notes.append(f"ответов не по-русски: {foreign} из {len(answered)}")
    return tuple(notes)


def _told(backend: Backend, dataset: Dataset, keyed: Sequence[Keyed], responses: Sequence[Response]) -> tuple[str, ...]:
    """What a reader of the figures should know of how they came about."""
    return (*backend.notes, *_moved(backend, keyed), *_empty(responses), *_foreign(dataset, responses))


def _moved(backend: Backend, keyed: Sequence[Keyed]) -> tuple[str, ...]:
    """Where a model is not asked as its protocol says."""
    if backend.follows_system or not any(one.asked.prompt.parts or one.asked.prompt.image_size for one in keyed):
        return ()
    return ("картинка стоит перед текстом и в своём размере, а протокол ставит её иначе: модель по-другому не умеет",)


def _empty(responses: Sequence[Response]) -> tuple[str, ...]:
    count = sum(not r.text.strip() and r.error is None and r.absent is None and not r.mean_logprobs for r in responses)
    return (f"пустых ответов: {count} из {len(responses)}",) if count else ()


@dataclass(frozen=True)
class Keyed:
    """One thing to ask, its place among the examples, its key in the store, and its picture's number."""

    place: int
    asked: Asked
    key: str
    picture: int


def _keyed(dataset: Dataset, protocol: Protocol, model: str) -> list[Keyed]:
    """Everything there is to ask, questions about one picture together, whichever rows it is stored in."""
    refuse_changed(dataset.files)
    refs = dict.fromkeys(image for example in dataset.examples for image in example.images)
    marks = {ref: picture_mark(read_bytes(ref)) for ref in refs}
    # rows without a picture have nothing to share: each is its own
    shown = [b"".join(marks[image] for image in example.images) for example in dataset.examples]
    alone = [mark or f"no picture {place}".encode() for place, mark in enumerate(shown)]
    pictures = {mark: number for number, mark in enumerate(dict.fromkeys(alone))}

    def keyed(place: int, example: Example) -> Keyed:
        prompt, mark = protocol.prompt(example), shown[place]
        return Keyed(
            place, Asked(prompt, example), response_key(example.id, mark, prompt, model), pictures[alone[place]]
        )

    everything = [keyed(place, example) for place, example in enumerate(dataset.examples)]
    return sorted(everything, key=lambda one: (one.picture, one.place))


def _ask_missing(
    backend: Backend, keyed: Sequence[Keyed], place: EvaluationFolder, ranks: Ranks, progress: Progress | None
) -> tuple[int, tuple[str, ...]]:
    """Ask for what has no answer yet and is this process's; how many that were, and what was damaged in the store."""
    store = place.store(None if ranks.size == 1 else ranks.rank)
    try:
        missing = [one for one in keyed if ranks.owns(one.picture) and not store.answered(one.key)]
        answers = backend.answer([one.asked for one in missing])
        for done, (one, response) in enumerate(zip(missing, answers, strict=True), 1):
            store.add(one.key, one.asked.example.id, one.asked.prompt, response)
            if progress is not None:
                progress(done, len(missing))
    finally:
        store.close()
    if not store.damaged:
        return len(missing), ()
    return len(missing), (
        f"в {RESPONSES} повреждено строк: {len(store.damaged)} (первая – {store.damaged[0]}), эти вопросы спрошены заново",
    )


def _stored(keyed: Sequence[Keyed], place: EvaluationFolder) -> list[Response]:
    """Responses in the order of the examples."""
    store = place.store()
    store.close()
    responses = {one.place: store.get(one.key) or UNASKED for one in keyed}
    return [responses[place] for place in range(len(responses))]


def rescore(folder: Path, data: str, judge: Judge | None = None) -> Result:
    """Judge and score the answers in `folder` by today's rules.

    Raises DataError if it is not a finished evaluation, or if `data` is not what it was on.
    """
    place = EvaluationFolder(folder)
    identity = place.identity
    # rows that were skipped then are skipped now; where there is none, nothing is
    source = open_source(data, skip_bad=True)
    protocol = protocol_named(identity.protocol)
    dataset = source.load(protocol.benchmark, identity.split, limit=identity.sample)
    if dataset.fingerprint != identity.data:
        raise DataError(
            f"Оценка в {folder} – на других данных (отпечаток {identity.data}, а у {data} – {dataset.fingerprint}): укажите те же "
            "--data."
        )
    responses = place.responses
    result = rescored(dataset, protocol, responses, judge, place.judgements)
    if not place.probed.is_file():
        return result
    honest = honesty(with_evaluation(kept_probe(place.probed, lambda: []), responses))
    return replace(result, warnings=(*honest.faults, *result.warnings))
