"""The file of answers that a benchmark with hidden answers takes: in its own form, checked against its questions."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from zipfile import ZIP_DEFLATED, ZipFile, ZipInfo

from ruvlm.benchmarks.base import Benchmark, Protocol, Submission
from ruvlm.benchmarks.catalog import benchmark_named
from ruvlm.benchmarks.source import Source, open_source
from ruvlm.data.predictions import read_answers
from ruvlm.errors import ConfigError, DataError
from ruvlm.evaluation.evaluated import Identity
from ruvlm.evaluation.folder import IDENTITY, EvaluationFolder
from ruvlm.evaluation.stored import text_object
from ruvlm.files import write_bytes
from ruvlm.rules.named import READERS
from ruvlm.rules.parse_ru import writes_cyrillic
from ruvlm.schema import LETTERS, Example

NAMED = 3
# of letters and numbers, what stands for an answer that could not be read
UNREAD = {"letter": "", "index0": "-1", "index1": "-1"}


@dataclass(frozen=True, kw_only=True)
class OfficialAnswers:
    """The answers to one set as its organisers want them: (id, value), and how many could not be read."""

    name: str
    submission: Submission
    values: tuple[tuple[str, str], ...]
    unread: int

    @property
    def file(self) -> str:
        """What its file is called."""
        return self.submission.file or f"{self.name}.{self.submission.format.removeprefix('mera-')}"


def write_official(name: str, results: Path, out: Path) -> tuple[OfficialAnswers, ...]:
    """Answers to the sets of `name`, from evaluations under `results` or from a file of answers, in the form that is wanted.

    Raises DataError where a question has no answer or an answer no question, ConfigError for sets that take no file.
    """
    source = open_source(name)
    zipped = out.suffix.lower() == ".zip"
    if len(source.benchmarks) > 1 and not zipped:
        raise ConfigError(f"--out {out}: наборов {len(source.benchmarks)}, а файл один: назовите его .zip.")
    sets = tuple(_official(source, benchmark_named(one), results) for one in source.benchmarks)
    texts = {one.file: _text(one).encode() for one in sets}
    if len(texts) < len(sets):
        raise ConfigError(
            f"--out {out}: у двух наборов файл зовётся одинаково ({', '.join(one.file for one in sets)}): сдайте их порознь."
        )
    write_bytes(out, _archive(texts) if zipped else next(iter(texts.values())))
    return sets


def _official(source: Source, benchmark: Benchmark, results: Path) -> OfficialAnswers:
    submission = benchmark.submission
    if submission is None:
        raise ConfigError(f"Набору {benchmark.name} файл ответов не нужен: ответы открыты, балл считает ruvlm eval.")
    protocol, split, said = _answers(benchmark, results)
    place = source.places[benchmark.name]
    examples = list(benchmark.rows.stream(place, benchmark.own_split(split)))
    ids = dict.fromkeys(example.id for example in examples)
    missing = [name for name in ids if name not in said]
    strange = [name for name in said if name not in ids]
    if missing:
        raise DataError(
            f"{benchmark.name}: нет ответов на {len(missing)} вопросов из {len(ids)} ({_few(missing)}): доспросите их."
        )
    if strange:
        raise DataError(
            f"{benchmark.name}: ответов не на его вопросы – {len(strange)} ({_few(strange)}): это другой набор."
        )
    values = _values(examples, protocol, submission, said)
    unread = sum(value == UNREAD.get(submission.value) for _, value in values)
    return OfficialAnswers(name=benchmark.name, submission=submission, values=tuple(values), unread=unread)


def _few(names: Sequence[str]) -> str:
    return ", ".join(sorted(names)[:NAMED])


def _answers(benchmark: Benchmark, results: Path) -> tuple[Protocol, str, dict[str, str]]:
    """By which protocol, on which split, what was said to each question. Raises DataError."""
    by_name = {protocol.name: protocol for protocol in benchmark.protocols}
    if not results.is_dir():
        lines = read_answers(results, joined=True).lines
        said = {line.identity or "": line.prediction or "" for line in lines}
        return benchmark.protocols[0], "", said
    folders = [path.parent for path in sorted(results.rglob(IDENTITY))]
    identities = [(folder, _identity(folder)) for folder in folders]
    mine = [(folder, identity) for folder, identity in identities if identity.protocol in by_name]
    if len(mine) != 1:
        where = ", ".join(folder.name for folder, _ in mine[:NAMED]) or "ни одной"
        raise DataError(
            f"В {results} нужна одна оценка набора {benchmark.name}, а их {len(mine)} ({where}): назовите её папку."
        )
    folder, identity = mine[0]
    responses = EvaluationFolder(folder).responses
    answered = {name: response.text for name, response in responses.items() if response.error is None}
    return by_name[identity.protocol], identity.split, answered


def _identity(folder: Path) -> Identity:
    """Of a folder of answers, judged or not. Raises DataError."""
    try:
        return Identity.of(text_object(folder / IDENTITY))
    except (OSError, ValueError) as error:
        raise DataError(
            f"Оценка в {folder} повреждена ({IDENTITY}: {error}): повторите ruvlm eval, ответы уже сохранены."
        ) from error


def _values(
    examples: Sequence[Example], protocol: Protocol, submission: Submission, said: dict[str, str]
) -> list[tuple[str, str]]:
    if submission.value == "text":
        return [(example.id, said[example.id]) for example in examples]
    rule = next((rule for rule in protocol.rules.values() if rule in READERS), None)
    if rule is None:
        raise ConfigError(
            f"{protocol.benchmark}: организаторы ждут букву, а протокол {protocol.name} букв не спрашивает: возьмите другой."
        )
    cyrillic = writes_cyrillic(said.values(), max(len(example.options) for example in examples))
    values = []
    for example in examples:
        letter = READERS[rule](said[example.id], example.options, cyrillic).letter
        place = LETTERS.index(letter) if letter else None
        written = {"letter": letter or "", "index0": place, "index1": None if place is None else place + 1}
        value = written[submission.value]
        values.append((example.id, UNREAD[submission.value] if value is None else str(value)))
    return values


def _text(answers: OfficialAnswers) -> str:
    form, values = answers.submission.format, answers.values
    if form == "mera-json":
        rows = [{"outputs": value, "meta": {"id": _number(name)}} for name, value in values]
        return json.dumps({"data": {"test": rows}}, ensure_ascii=False, indent=1)
    names = answers.submission.columns or ("id", "answer")
    if form == "csv":
        stream = io.StringIO()
        csv.writer(stream, lineterminator="\n").writerows([names, *values])
        return stream.getvalue()
    written = [dict(zip(names, (name, _typed(answers, value)), strict=True)) for name, value in values]
    if form == "json":
        return json.dumps(written, ensure_ascii=False, indent=1)
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in written)


def _typed(answers: OfficialAnswers, value: str) -> str | int:
    return int(value) if answers.submission.value.startswith("index") else value


def _number(name: str) -> int | str:
    return int(name) if name.isdecimal() else name


def _archive(texts: Mapping[str, bytes]) -> bytes:
    """A zip whose bytes depend on the answers alone."""
    stream = io.BytesIO()
    with ZipFile(stream, "w", ZIP_DEFLATED) as archive:
        for name, data in texts.items():
            archive.writestr(ZipInfo(name), data, ZIP_DEFLATED)
    return stream.getvalue()
