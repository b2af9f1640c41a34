"""Per-row bias of the published sets, from their words alone: docs/bias/gqa-ru-testdev.csv and docs/bias/mmbench-ru-dev.csv.

    python bench/bias.py [--real ../shared/real] [--out docs/bias]

The rows are those that ../shared/real holds: GQA-ru's 3,110 of testdev with questions and answers; MMBench-ru's 3,910 with questions
and letters but without the texts of the options, so there only the letter can be learnt. No picture and no model is involved.
"""

from __future__ import annotations

import argparse
import csv
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from bench.blind import read

from ruvlm.benchmarks.catalog import benchmark_named, protocol_named
from ruvlm.benchmarks.circular import ROTATION
from ruvlm.benchmarks.stats import score_columns
from ruvlm.evaluation.blind import RowBias, row_biases
from ruvlm.schema import Example, ImageRef

SETS = {
    "gqa-ru": ("gqa_ru/testdev_rows.jsonl", "gqa-ru/lmms", "gqa-ru-testdev.csv"),
    "mmbench-ru": ("mmbench_ru/dev_rows.jsonl", "mmbench-ru/lmms", "mmbench-ru-dev.csv"),
}


def lettered(path: Path) -> list[Example]:
    """MMBench-ru's rows without their options: what is chosen is a letter."""
    rows: list[dict[str, Any]] = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    return [
        Example(
            id=str(row["index"]),
            benchmark="mmbench-ru",
            question=row["question"],
            answers=(row["answer"],),
            images=(ImageRef(Path("none")),),
            image_id=str(row["index"] % ROTATION),
            cluster=str(row["index"] % ROTATION),
            options=tuple("ABCD"),
            rotation=row["index"] // ROTATION,
        )
        for row in rows
    ]


def written(path: Path, biases: dict[str, RowBias]) -> None:
    """A line a row: its id, its bias, whether the classifier's one answer is right."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding="utf-8", newline="") as file:
        table = csv.writer(file, lineterminator="\n")
        table.writerow(["id", "bias", "right"])
        table.writerows([row.id, row.bias, int(row.right)] for row in biases.values())


def main() -> None:
    """Write both tables and print what they say."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--real", type=Path, default=Path("../shared/real"))
    parser.add_argument("--out", type=Path, default=Path("docs/bias"))
    arguments = parser.parse_args()
    figures = {}
    for name, (file, protocol, table) in SETS.items():
        path = arguments.real / file
        examples = read(path) if name == "gqa-ru" else lettered(path)
        found = row_biases(protocol_named(protocol), examples)
        biases = {example.id: found[example.id] for example in examples}
        written(arguments.out / table, biases)
        rights = np.array([[float(row.right), row.bias] for row in biases.values()])
        right, bias = score_columns([e.cluster for e in examples], rights, np.ones_like(rights, dtype=bool))
        figures[name] = {"rows": len(biases), "right": round(right.value, 2), "bias": round(bias.value, 2)}
        print(
            f"{benchmark_named(name).title}: верно по словам вопроса {right.value:.1f} % ({right.low:.1f}–{right.high:.1f}), "
            f"среднее смещение {bias.value / 100:.3f}, строк {len(biases)}"
        )
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
