"""python -m ruvlm."""

from ruvlm.cli import main

if __name__ == "__main__":
    raise SystemExit(main())
