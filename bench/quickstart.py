"""The main job on the embedded world, as `ruvlm quickstart` does it; the last line of stdout is the figures as JSON.

python bench/quickstart.py --out results/quickstart [--nano-minutes 5] [--cnn-minutes 0.75] [--quick]
"""

from __future__ import annotations

import argparse
import sys

from ruvlm.cli.main import main


def parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Главное дело на встроенном мире: то же, что ruvlm quickstart.")
    parser.add_argument("--out", default="results/quickstart", help="куда писать")
    parser.add_argument("--world", help="готовый мир; по умолчанию data/world-mini")
    parser.add_argument("--nano-minutes", default="5")
    parser.add_argument("--cnn-minutes", default="0.75")
    parser.add_argument("--quick", action="store_true", help="пробный прогон за минуту")
    return parser.parse_args()


if __name__ == "__main__":
    given = parsed()
    words = ["quickstart", "--out", given.out, "--nano-minutes", given.nano_minutes, "--cnn-minutes", given.cnn_minutes]
    sys.exit(main([*words, *(["--world", given.world] if given.world else []), *(["--quick"] if given.quick else [])]))
