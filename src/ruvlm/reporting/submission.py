"""submission.json: an evaluation's answers with the scores claimed for them, so that anyone can score them again."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ruvlm.benchmarks.catalog import protocol_named
from ruvlm.benchmarks.source import open_source
from ruvlm.errors import DataError
from ruvlm.evaluation.asking import rescored
from ruvlm.evaluation.compare import read_stored
from ruvlm.evaluation.evaluated import Identity, score_dict
from ruvlm.evaluation.folder import EvaluationFolder
from ruvlm.evaluation.stored import json_object, response_of
from ruvlm.schema import Result

FORMAT = "ruvlm-submission/1"
# scores are kept to four digits
CLOSE = 1e-3


@dataclass(frozen=True)
class Verified:
    """What scoring again gave, and every way in which the submission does not hold."""

    model: str
    source: str
    data: str
    result: Result
    problems: tuple[str, ...]


def pack(folder: Path) -> dict[str, Any]:
    """A submission of one evaluation. Raises DataError if it is none or unfinished."""
    read_stored(EvaluationFolder(folder))  # raises where the figures are not those of the verdicts
    place = EvaluationFolder(folder)
    measured = place.measured
    return {
        "format": FORMAT,
        "model": measured.model,
        "parameters": measured.parameters,
        "source": measured.source,
        "benchmark": measured.benchmark,
        "identity": place.identity.fields,
        "scores": {rule: score_dict(s) for rule, s in measured.scores.items()},
        "responses": {name: asdict(response) for name, response in place.responses.items()},
    }


def verify(path: Path, data: str) -> Verified:
    """Score a submission's responses on `data`. Raises DataError if the file or the data cannot be used at all."""
    try:
        given = json_object(path)
        if given["format"] != FORMAT:
            raise DataError(f"{path}: формат «{given['format']}», а нужен {FORMAT}.")
        identity, claimed = Identity.of(given["identity"]), dict(given["scores"])
        said = {name: response_of(fields) for name, fields in given["responses"].items()}
        model = str(given["model"])
    except FileNotFoundError as error:
        raise DataError(f"Файла {path} нет: проверьте путь.") from error
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise DataError(f"{path} – не заявка или повреждена ({error}): её делает ruvlm leaderboard pack.") from error
    source = open_source(data, skip_bad=True)
    protocol = protocol_named(identity.protocol)
    dataset = source.load(protocol.benchmark, identity.split, limit=identity.sample)
    problems = []
    if dataset.fingerprint != identity.data:
        problems.append(f"данные другие: в заявке {identity.data}, здесь {dataset.fingerprint}")
    if protocol.wording != identity.prompt:
        problems.append("вопрос к модели другой: формулировка или предел длины не по протоколу")
    strange = [name for name in said if name not in {example.id for example in dataset.examples}]
    missing = [example.id for example in dataset.examples if example.id not in said]
    if strange:
        problems.append(f"ответов не на эти вопросы: {len(strange)} (первый – {strange[0][:40]})")
    if missing:
        problems.append(f"вопросов без ответа: {len(missing)} (первый – {missing[0]})")
    result = rescored(dataset, protocol, said)
    problems += _disagreements(claimed, result)
    return Verified(model, dataset.source, dataset.fingerprint, result, tuple(problems))


def _disagreements(claimed: dict[str, Any], result: Result) -> list[str]:
    problems = [f"правила {rule} в заявке нет" for rule in result.scores if rule not in claimed]
    for rule, said in claimed.items():
        if rule not in result.scores:
            problems.append(f"балл по правилу {rule} из ответов не получить")
            continue
        own = score_dict(result.scores[rule])
        for key in ("n", "correct", "value", "low", "high"):
            mine, theirs = own[key], said.get(key) if isinstance(said, dict) else None
            if mine is None and theirs is None:
                continue
            if not isinstance(theirs, int | float) or mine is None or not abs(theirs - mine) <= CLOSE:
                problems.append(f"{rule}, {key}: в заявке {theirs}, по ответам {mine}")
    return problems
