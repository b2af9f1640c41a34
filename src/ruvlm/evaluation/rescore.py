"""Every figure again from stored answers: no model, only the folder of an evaluation and the data it was on."""

from __future__ import annotations

from pathlib import Path

from ruvlm.benchmarks.catalog import protocol_named
from ruvlm.benchmarks.source import open_source
from ruvlm.errors import DataError
from ruvlm.evaluation.asking import rescored
from ruvlm.evaluation.folder import EvaluationFolder
from ruvlm.schema import Result


def rescore(folder: Path, data: str) -> Result:
    """Judge and score the answers in `folder` by today's rules.

    Raises DataError if it is not a finished evaluation, or if `data` is not what it was on.
    """
    place = EvaluationFolder(folder)
    identity = place.identity
    protocol = protocol_named(identity.protocol)
    dataset = open_source(data).load(protocol.benchmark, identity.split, limit=identity.sample)
    if dataset.fingerprint != identity.data:
        raise DataError(
            f"Оценка в {folder} – на других данных (отпечаток {identity.data}, а у {data} – {dataset.fingerprint}): укажите те же "
            "--data."
        )
    return rescored(dataset, protocol, place.responses)
