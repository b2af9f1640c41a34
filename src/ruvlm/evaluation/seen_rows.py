"""Rows one by one: what was asked, what was answered, how it was read, who takes it for right."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from ruvlm.backends.base import Access
from ruvlm.benchmarks.base import Protocol
from ruvlm.benchmarks.catalog import protocol_named
from ruvlm.benchmarks.source import open_source
from ruvlm.errors import DataError, MissingSplitError
from ruvlm.evaluation.asking import UNASKED, ask_all
from ruvlm.evaluation.folder import EvaluationFolder
from ruvlm.evaluation.plan import backends_of, protocols_of
from ruvlm.schema import Dataset, Example, Response, Verdict

PICTURE = "[картинка]"
NAMED = 3


@dataclass(frozen=True, kw_only=True)
class SeenRow:
    """One row under one protocol. `text` has [картинка] where a picture stands; `right_by` are the rules that it is right by."""

    id: str
    protocol: str
    system: str
    text: str
    golds: tuple[str, ...]
    answer: str
    error: str | None
    parsed: str | None
    reason: str | None
    scores: dict[str, float]


def wanted_ids(said: str) -> tuple[str, ...]:
    """«a,b,c», or «@file» with an id a line. Raises DataError for a file that is not there, and for no id at all."""
    if said.startswith("@"):
        path = Path(said[1:])
        try:
            ids = tuple(line.strip() for line in path.read_text(encoding="utf-8").splitlines() if line.strip())
        except (OSError, UnicodeError) as error:
            raise DataError(
                f"--ids {said}: файл {path} не прочитать ({error}): нужен текст, номер в строке."
            ) from error
    else:
        ids = tuple(part.strip() for part in said.split(",") if part.strip())
    if not ids:
        raise DataError(f"--ids «{said}»: номеров нет, нужны a,b,c или @файл.")
    return ids


def ask_rows(
    model: str, data: str, split: str, ids: Sequence[str], protocols: tuple[str, ...], access: Access, limit: int | None
) -> list[SeenRow]:
    """Ask a model about rows alone; nothing is stored. `limit` is of new tokens. Raises RuvlmError."""
    source = open_source(data)
    (backend,) = backends_of(model, source, split, False, access, None, lambda _: None)
    rows: list[SeenRow] = []
    known: set[str] = set()
    for name in source.benchmarks:
        try:
            dataset = source.load(name, split)
        except MissingSplitError:
            continue
        part = _only(dataset, ids)
        known |= {example.id for example in part.examples}
        if not part.examples:
            continue
        backend.begin(dataset)
        for chosen in protocols_of(backend, dataset, protocols):
            protocol = protocol_named(chosen).limited(limit)
            rows += _rows(part.examples, protocol, ask_all(backend, part, protocol))
    _refuse_unknown(ids, known, data)
    return rows


def stored_rows(folder: Path, data: str, ids: Sequence[str]) -> list[SeenRow]:
    """Rows of an evaluation, by the answers that it holds and today's rules. Raises DataError."""
    place = EvaluationFolder(folder)
    identity = place.identity
    source = open_source(data, skip_bad=True)
    protocol = protocol_named(identity.protocol)
    part = _only(source.load(protocol.benchmark, identity.split, limit=identity.sample), ids)
    _refuse_unknown(ids, {example.id for example in part.examples}, data)
    said = place.responses
    return _rows(part.examples, protocol, [said.get(example.id, UNASKED) for example in part.examples])


def _only(dataset: Dataset, ids: Sequence[str]) -> Dataset:
    return replace(dataset, examples=tuple(example for example in dataset.examples if example.id in ids))


def _refuse_unknown(ids: Sequence[str], known: set[str], data: str) -> None:
    strange = [name for name in ids if name not in known]
    if strange:
        raise DataError(f"--ids: в {data} нет строк {', '.join(strange[:NAMED])}: проверьте номера и --split.")


def _rows(examples: Sequence[Example], protocol: Protocol, responses: Sequence[Response]) -> list[SeenRow]:
    verdicts = protocol.judge_all(examples, responses)
    return [_row(*one, protocol=protocol) for one in zip(examples, responses, verdicts, strict=True)]


def _row(example: Example, response: Response, verdict: Verdict, protocol: Protocol) -> SeenRow:
    prompt = protocol.prompt(example)
    parts = prompt.wording.content(len(prompt.images))
    return SeenRow(
        id=example.id,
        protocol=protocol.name,
        system=prompt.system,
        text="\n".join(PICTURE if part is None else part for part in parts),
        golds=example.answers,
        answer=response.text,
        error=response.error,
        parsed=verdict.parsed,
        reason=verdict.reason,
        scores=verdict.scores,
    )
