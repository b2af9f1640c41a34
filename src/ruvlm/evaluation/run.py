"""One evaluation: ask what has not been asked yet, store each answer, judge, score, write the summary last."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ruvlm.backends.base import Asked, Backend
from ruvlm.data.images import read_bytes
from ruvlm.errors import OutputError
from ruvlm.evaluation.judge import judge, score_gqa, score_mmbench
from ruvlm.evaluation.prompts import DEFAULT_PROTOCOLS, prompt_for, protocol_named
from ruvlm.evaluation.store import ResponseStore, image_mark, response_key, write_json, write_verdicts
from ruvlm.schema import Dataset, ImageRef, Response, Result, Score, Verdict

Progress = Callable[[int, int], None]
FLUSH_EVERY = 512


@dataclass(frozen=True)
class Evaluation:
    """What one protocol's run gave."""

    protocol: str
    dataset: Dataset
    model: str
    result: Result
    verdicts: tuple[Verdict, ...]
    asked: int
    folder: Path | None


def protocols_for(dataset: Dataset, backend: Backend) -> tuple[str, ...]:
    """The default protocols of a benchmark that the backend can follow."""
    found = []
    for name in DEFAULT_PROTOCOLS:
        protocol = protocol_named(name)
        if protocol.benchmark == dataset.name and (backend.scores_candidates or not protocol.likelihood):
            found.append(name)
    return tuple(found)


def ask_all(backend: Backend, dataset: Dataset, protocol: str, progress: Progress | None = None) -> list[Response]:
    """Responses in the order of the examples, nothing stored: what validation during training uses."""
    table = protocol_named(protocol)
    order = sorted(
        range(len(dataset.examples)), key=lambda n: (dataset.examples[n].image.path, dataset.examples[n].image.row or 0)
    )
    asked = [Asked(prompt_for(table, dataset.examples[n]), dataset.examples[n]) for n in order]
    found: list[Response | None] = [None] * len(order)
    for done, (n, response) in enumerate(zip(order, backend.answer(asked), strict=True)):
        found[n] = response
        if progress is not None and done % 64 == 0:
            progress(done, len(order))
    return [response for response in found if response is not None]


def score_responses(dataset: Dataset, protocol: str, responses: Sequence[Response]) -> tuple[Result, list[Verdict]]:
    """Judge and score responses given in the order of the examples."""
    verdicts = [
        judge(protocol, example, response) for example, response in zip(dataset.examples, responses, strict=True)
    ]
    if dataset.name == "gqa-ru":
        return score_gqa(dataset.examples, verdicts), verdicts
    return score_mmbench(protocol, dataset.examples, verdicts), verdicts


def evaluate(
    backend: Backend, dataset: Dataset, protocol: str, folder: Path, progress: Progress | None = None
) -> Evaluation:
    """Evaluate into a folder; answers that are there already are not asked for again.

    Raises OutputError if the folder holds an evaluation of something else.
    """
    identity = {"protocol": protocol, "data": dataset.fingerprint, "split": dataset.split, "model": backend.fingerprint}
    _claim(folder, identity)
    store = ResponseStore(folder)
    try:
        responses, asked = _ask_missing(backend, dataset, protocol, store, progress)
    finally:
        store.close()
    result, verdicts = score_responses(dataset, protocol, responses)
    write_verdicts(folder / "verdicts.jsonl", verdicts)
    done = Evaluation(protocol, dataset, backend.name, result, tuple(verdicts), asked, folder)
    write_json(folder / "summary.json", summary(done, identity, backend.parameters))
    return done


def _claim(folder: Path, identity: dict[str, str]) -> None:
    import json

    path = folder / "identity.json"
    if path.is_file():
        try:
            known = json.loads(path.read_text(encoding="utf-8"))
        except ValueError as error:
            raise OutputError(f"Файл {path} повреждён ({error}): удалите папку {folder}.") from error
        names = {"protocol": "протокол", "data": "данные", "split": "часть", "model": "модель"}
        differ = [names.get(key, key) for key, value in identity.items() if known.get(key) != value]
        if differ:
            raise OutputError(f"В {folder} другая оценка (отличаются: {', '.join(differ)}): укажите другую --out.")
        return
    if folder.is_dir() and any(folder.iterdir()):
        raise OutputError(f"Папка {folder} занята не оценкой: укажите другую --out.")
    write_json(path, identity)


def _ask_missing(
    backend: Backend, dataset: Dataset, protocol: str, store: ResponseStore, progress: Progress | None
) -> tuple[list[Response], int]:
    table = protocol_named(protocol)
    examples = dataset.examples
    prompts = [prompt_for(table, example) for example in examples]
    order = sorted(range(len(examples)), key=lambda n: (examples[n].image.path, examples[n].image.row or 0))
    marks = _image_marks([examples[n].image for n in order])
    model = backend.fingerprint
    keys = {n: response_key(examples[n].id, marks[examples[n].image], prompts[n], model) for n in order}
    missing = [n for n in order if store.get(keys[n]) is None]
    answers = backend.answer([Asked(prompts[n], examples[n]) for n in missing])
    for done, (n, response) in enumerate(zip(missing, answers, strict=True), 1):
        store.add(keys[n], examples[n].id, prompts[n], response)
        if done % FLUSH_EVERY == 0 or done == len(missing):
            store.flush()
        if progress is not None:
            progress(done, len(missing))
    found = [store.get(keys[n]) or Response("", error="нет ответа") for n in range(len(examples))]
    return found, len(missing)


def _image_marks(refs: Iterable[ImageRef]) -> dict[ImageRef, bytes]:
    """A hash of each picture's bytes, every picture read once."""
    marks: dict[ImageRef, bytes] = {}
    for ref in refs:
        if ref not in marks:
            marks[ref] = image_mark(read_bytes(ref))
    return marks


def score_dict(score: Score) -> dict[str, Any]:
    """{"n", "correct", "value", "low", "high", "error"}, values in per cent."""
    return {key: round(value, 4) if isinstance(value, float) else value for key, value in asdict(score).items()}


def summary(done: Evaluation, identity: dict[str, str], parameters: int | None) -> dict[str, Any]:
    """summary.json: the shape that `ruvlm score --json` prints, with breakdowns and provenance."""
    return {
        "n": done.result.n,
        "scores": {rule: score_dict(score) for rule, score in done.result.scores.items()},
        "breakdowns": {
            axis: {name: score_dict(score) for name, score in values.items()}
            for axis, values in done.result.breakdowns.items()
        },
        "unparsed": done.result.unparsed,
        "errors": done.result.errors,
        "notes": list(done.result.notes),
        "model": done.model,
        "parameters": parameters,
        "source": done.dataset.source,
        "benchmark": done.dataset.name,
        "protocol": done.protocol,
        "split": done.dataset.split,
        "fingerprints": {"data": identity["data"], "model": identity["model"]},
    }
