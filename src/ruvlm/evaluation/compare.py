"""Two or more stored evaluations side by side on the same rows: differences with intervals, exact tests, words.

McNemar's exact test on paired units (rows, or CircularEval groups), a cluster-bootstrap interval of the difference,
Holm's correction over the whole table (PROTOCOLS.md, Statistics).
"""

from __future__ import annotations

import json
from collections import defaultdict
from dataclasses import dataclass, replace
from itertools import combinations
from pathlib import Path

from ruvlm.errors import DataError
from ruvlm.evaluation.stats import difference, holm, mcnemar

LEVEL = 0.05


@dataclass(frozen=True)
class Stored:
    """One evaluation as its folder holds it: what it is of, and each unit's verdict by rule.

    A unit is a row, for CircularEval a group of rows; `clusters` gives each unit's resampling cluster.
    """

    folder: Path
    model: str
    identity: dict[str, str]
    right: dict[str, dict[str, bool]]
    clusters: dict[str, str]


@dataclass(frozen=True)
class Difference:
    """`b` minus `a` under one rule, in points, with its 95 % interval and p-values before and after Holm."""

    a: str
    b: str
    rule: str
    n: int
    value_a: float
    value_b: float
    points: float
    low: float | None
    high: float | None
    p: float
    p_holm: float

    @property
    def words(self) -> str:
        """What may be said of it."""
        if self.p_holm >= LEVEL:
            return "неотличимы"
        better = self.b if self.points > 0 else self.a
        return f"различие значимо: лучше {better}"


def compare(folders: list[Path]) -> list[Difference]:
    """Every pair of evaluations under every rule they share.

    Raises DataError if they are of different data, splits or protocols, or judged by different rules, saying which.
    """
    stored = [read_stored(folder) for folder in folders]
    for other in stored[1:]:
        _comparable(stored[0], other)
    found = [_difference(a, b, rule) for a, b in combinations(stored, 2) for rule in a.right]
    corrected = holm([row.p for row in found])
    return [replace(row, p_holm=p) for row, p in zip(found, corrected, strict=True)]


def _difference(a: Stored, b: Stored, rule: str) -> Difference:
    units = list(a.right[rule])
    left, right = ([stored.right[rule][unit] for unit in units] for stored in (a, b))
    points, low, high = difference([a.clusters[unit] for unit in units], left, right)
    p = mcnemar(left, right)
    return Difference(
        a.model, b.model, rule, len(units), 100 * sum(left) / len(units), 100 * sum(right) / len(units), points, low, high, p, p
    )  # fmt: skip


def read_stored(folder: Path) -> Stored:
    """Read an evaluation folder. Raises DataError if it is none, or unfinished."""
    try:
        identity = json.loads((folder / "identity.json").read_text(encoding="utf-8"))
        summary = json.loads((folder / "summary.json").read_text(encoding="utf-8"))
        lines = (folder / "verdicts.jsonl").read_text(encoding="utf-8").split("\n")
        verdicts = [json.loads(line) for line in lines if line]
        rows = {row["id"]: (str(row["cluster"]), row["correct"]) for row in verdicts}
    except FileNotFoundError as error:
        if not folder.is_dir():
            raise DataError(f"Папки {folder} нет: проверьте путь.") from error
        inside = sorted(path.parent.name for path in folder.glob("*/summary.json"))
        if inside:
            raise DataError(
                f"{folder} – не сама оценка, а папка с оценками: укажите одну из них, например {folder / inside[0]}."
            ) from error
        raise DataError(
            f"В {folder} нет законченной оценки (нет {Path(error.filename).name}): закончите её командой ruvlm eval."
        ) from error
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(f"Оценка в {folder} повреждена ({error}): повторите ruvlm eval.") from error
    circular = identity["protocol"].startswith("mmbench")
    right: dict[str, dict[str, bool]] = defaultdict(dict)
    for name, (cluster, correct) in rows.items():
        for rule, verdict in correct.items():
            if circular:
                right[f"{rule}/circular"][cluster] = right[f"{rule}/circular"].get(cluster, True) and verdict
            else:
                right[rule][name] = verdict
    clusters = {cluster: cluster for cluster, _ in rows.values()} if circular else {n: c for n, (c, _) in rows.items()}
    return Stored(folder, summary["model"], identity, dict(right), clusters)


def _comparable(a: Stored, b: Stored) -> None:
    names = {"data": "данные", "split": "часть", "protocol": "протокол", "prompt": "вопрос к модели"}
    differ = [
        f"{said} ({a.identity.get(key)} и {b.identity.get(key)})"
        for key, said in names.items()
        if a.identity.get(key) != b.identity.get(key)
    ]
    if set(a.right) != set(b.right):
        differ.append(f"правила ({', '.join(sorted(set(a.right) ^ set(b.right)))})")
    elif set(a.clusters) != set(b.clusters):
        differ.append("наборы строк")
    if differ:
        raise DataError(f"Оценки {a.folder} и {b.folder} не сравнить: различаются {'; '.join(differ)}.")
