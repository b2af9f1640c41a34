"""Does damaged input of every kind end in a result or in one sentence, and in nothing else?

    python bench/fuzz.py [--cases 20000] [--first N] [--only NAME …] [--quick]

Files of answers, logs, pictures, recipes, cards, annotations, replies of servers and of the hub, sets, evaluations, submissions,
models, runs: a clean folder of each is copied, one file of it damaged (bits, cuts, values of another type, lost and doubled parts),
and read by the commands that read it. Cases are shared out evenly; the same numbers are the same cases. Ends in one line of JSON;
exits with 1 if a case ended in anything else, and prints how to have it again.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections import Counter
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from tests.support.fuzzing import INPUTS, Fault, input_named, prepared, tried

# seconds a case: the slower kinds get fewer of the cases
SHARES = {"hf": 0.1, "nano": 0.5, "cnn_lstm": 0.5}


def main() -> int:
    parser = argparse.ArgumentParser(description="Портит входные файлы всех видов и смотрит, чем кончится.")
    parser.add_argument("--cases", type=int, default=20_000, help="случаев всего")
    parser.add_argument("--first", type=int, default=0, help="номер первого случая каждого вида")
    parser.add_argument("--only", nargs="+", default=[], choices=[given.name for given in INPUTS])
    parser.add_argument("--quick", action="store_true", help="200 случаев")
    given = parser.parse_args()
    cases = 200 if given.quick else given.cases
    faults: list[Fault] = []
    counts = {}
    with prepared(tuple(given.only)) as clean:
        whole = sum(SHARES.get(name, 1.0) for name in clean)
        for name, folder in clean.items():
            count = max(1, round(cases * SHARES.get(name, 1.0) / whole))
            before, started = len(faults), time.monotonic()
            faults += [
                fault for n in range(given.first, given.first + count) if (fault := tried(input_named(name), folder, n))
            ]
            counts[name] = {"tried": count, "faults": len(faults) - before}
            print(f"{name}: {count}, плохо {len(faults) - before}, {time.monotonic() - started:.0f} с", flush=True)
    for (name, what), times in Counter((fault.input, fault.what[:110]) for fault in faults).most_common():
        first = next(fault for fault in faults if fault.input == name and fault.what.startswith(what))
        print(f"{times} × {name} {first.how} {first.file}: {what}\n    --only {name} --first {first.number} --cases 1")
    print(json.dumps({"cases": sum(c["tried"] for c in counts.values()), "faults": len(faults), "kinds": counts}))
    return int(bool(faults))


if __name__ == "__main__":
    sys.exit(main())
