"""The main job on the embedded world, as `ruvlm quickstart` does it; the last line of stdout is the figures as JSON.

python bench/quickstart.py --out results/quickstart [--nano-steps N] [--cnn-steps N] [--quick]
"""

from __future__ import annotations

import argparse
import sys

from ruvlm.cli.main import main


def parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Главное дело на встроенном мире: то же, что ruvlm quickstart.")
    parser.add_argument("--out", default="results/quickstart", help="куда писать")
    parser.add_argument("--world", help="готовый мир; по умолчанию data/world-mini")
    parser.add_argument("--nano-steps", help="по умолчанию – как в рецепте")
    parser.add_argument("--cnn-steps", help="по умолчанию – как в ruvlm quickstart")
    parser.add_argument("--quick", action="store_true", help="пробный прогон за минуту")
    return parser.parse_args()


if __name__ == "__main__":
    given = parsed()
    named = {"--world": given.world, "--nano-steps": given.nano_steps, "--cnn-steps": given.cnn_steps}
    words = [
        "quickstart",
        "--out",
        given.out,
        *(part for key, value in named.items() if value for part in (key, value)),
    ]
    sys.exit(main([*words, *(["--quick"] if given.quick else [])]))
