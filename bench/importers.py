"""Does every importer give what a reader of ten lines gives, row by row, on files drawn at random?

    python bench/importers.py [--cases 1000] [--quick]

For CSV, JSON, xlsx, logs of lmms-eval, COCO instances, GQA scene graphs and conversations: files of every build are drawn,
read by us and by a reference of the standard library (openpyxl for xlsx), and compared. Prints a table and, as its last
line, the counts as JSON; exits with 1 if anything differs.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from tests.support.importers import IMPORTERS, differing


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--cases", type=int, default=1000)
    parser.add_argument("--quick", action="store_true", help="50 cases an importer")
    arguments = parser.parse_args()
    cases = 50 if arguments.quick else arguments.cases
    print(f"{cases} generated files an importer\n| importer | differ |\n|---|---|")
    counts = {}
    for importer in IMPORTERS:
        wrong = differing(importer, cases)
        counts[importer] = len(wrong)
        print(f"| {importer} | {len(wrong)}{f' (first: {wrong[0]})' if wrong else ''} |", flush=True)
    print(json.dumps({"cases": cases, "differ": counts}))
    return int(any(counts.values()))


if __name__ == "__main__":
    sys.exit(main())
