"""The main job on the embedded world, as `ruvlm quickstart` does it; the last line of stdout is the figures as JSON.

python bench/quickstart.py --out results/quickstart [--nano-minutes 5] [--cnn-minutes 0.75] [--quick]
"""

from __future__ import annotations

import sys

from ruvlm.cli.main import main

if __name__ == "__main__":
    sys.exit(main(["quickstart", *sys.argv[1:]]))
