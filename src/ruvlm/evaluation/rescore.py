"""Every figure again from stored answers: no model, only the folder of an evaluation and the data it was on."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from ruvlm.data.catalog import open_source
from ruvlm.errors import DataError
from ruvlm.evaluation.compare import read_stored
from ruvlm.evaluation.judge import judge_all, score
from ruvlm.evaluation.prompts import protocol_named
from ruvlm.evaluation.run import warned
from ruvlm.evaluation.store import responses_by_id
from ruvlm.schema import Response, Result


def rescore(folder: Path, data: str) -> Result:
    """Judge and score the answers in `folder` by today's rules.

    Raises DataError if it is not a finished evaluation, or if `data` is not what it was on.
    """
    stored = read_stored(folder)
    protocol = protocol_named(stored.identity["protocol"])
    limit = int(stored.identity["sample"]) if "sample" in stored.identity else None
    dataset = open_source(data).load(protocol.benchmark, stored.identity["split"], limit=limit)
    if dataset.fingerprint != stored.identity["data"]:
        raise DataError(
            f"Оценка в {folder} – на других данных (отпечаток {stored.identity['data']}, а у {data} – "
            f"{dataset.fingerprint}): укажите те же --data."
        )
    known = responses_by_id(folder)
    responses = [known.get(example.id) or Response("", error="нет ответа") for example in dataset.examples]
    result = score(dataset, protocol.name, judge_all(dataset, protocol.name, responses))
    return warned(replace(result, notes=(*result.notes, *dataset.notes)), protocol, responses)
