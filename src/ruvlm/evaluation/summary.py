"""summary.json and verdicts.jsonl: what an evaluation leaves for people and for other commands."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ruvlm.backends.base import Backend
from ruvlm.evaluation.store import write_verdicts
from ruvlm.files import write_json
from ruvlm.schema import Dataset, Response, Result, Score, Verdict


@dataclass(frozen=True)
class Usage:
    """Tokens read (None where nobody counted) and written, and what they cost where prices were given."""

    input_tokens: int | None
    output_tokens: int
    cost: float | None

    @classmethod
    def of(cls, responses: Iterable[Response], prices: tuple[float, float] | None) -> Usage:
        """Of all answers together; `prices` are of a million tokens in and out."""
        counts = [(response.input_tokens, response.tokens) for response in responses]
        read, written = sum(n for n, _ in counts), sum(n for _, n in counts)
        cost = None if prices is None else round((read * prices[0] + written * prices[1]) / 1e6, 6)
        return cls(read or None, written, cost)  # not every way to reach a model counts what it reads


def score_dict(score: Score) -> dict[str, Any]:
    """{"n", "correct", "value", "low", "high", "error"}, values in per cent."""
    return {key: round(value, 4) if isinstance(value, float) else value for key, value in asdict(score).items()}


def write_summary(
    folder: Path,
    identity: dict[str, str],
    dataset: Dataset,
    backend: Backend,
    result: Result,
    verdicts: Sequence[Verdict],
    usage: Usage,
) -> None:
    """Verdicts, then the summary: where there is one, the evaluation is whole."""
    write_verdicts(folder / "verdicts.jsonl", verdicts)
    found = {
        "n": result.n,
        "scores": {rule: score_dict(score) for rule, score in result.scores.items()},
        "breakdowns": {
            axis: {name: score_dict(score) for name, score in values.items()}
            for axis, values in result.breakdowns.items()
        },
        "metrics": {name: asdict(metric) for name, metric in result.metrics.items()},
        "letters": [asdict(use) for use in result.letters],
        "incomplete_groups": list(result.incomplete),
        "unparsed": result.unparsed,
        "errors": result.errors,
        "absent": result.absent,
        "warnings": list(result.warnings),
        "notes": list(result.notes),
        "model": backend.name,
        "parameters": backend.parameters,
        "source": dataset.source,
        "benchmark": dataset.name,
        "protocol": identity["protocol"],
        "split": dataset.split,
        "usage": asdict(usage),
        "fingerprints": {key: identity[key] for key in ("data", "model", "prompt")},
    }
    write_json(folder / "summary.json", found)
