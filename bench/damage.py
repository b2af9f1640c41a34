"""Plant damage of more than forty kinds into a clean world, one kind at a time: does `ruvlm data check` find each, and nothing on clean data?

python bench/damage.py [--quick]: --quick leaves out the second clean world. A finding counts only under the kind that
was planted: that a file differs from its manifest is not enough, except where that is the damage.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from tests.support.damage import find_all, small_world

from ruvlm.audit.whole import audit
from ruvlm.world.export import build


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--quick", action="store_true")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        clean = small_world(Path(name) / "world", 4)
        found = find_all(clean, Path(name))
        alarms = len(audit(str(clean)).findings)
        if not arguments.quick:
            build("mini", Path(name) / "whole", seed=11)
            alarms += len(audit(str(Path(name) / "whole")).findings)
    for damage, codes in found:
        beside = sorted(codes - {damage.code, "changed-file"})
        print(f"{'найдено' if damage.code in codes else 'НЕТ':8} {damage.code:26} рядом: {', '.join(beside) or '–'}")
    caught = [damage for damage, codes in found if damage.code in codes]
    print(
        f"найдено {len(caught)} из {len(found)} порч ({len({d.code for d, _ in found})} видов); на чистых данных тревог: {alarms}"
    )
    print(
        json.dumps(
            {
                "planted": len(found),
                "found": len(caught),
                "kinds": len({d.code for d, _ in found}),
                "false_alarms": alarms,
            }
        )
    )


if __name__ == "__main__":
    main()
