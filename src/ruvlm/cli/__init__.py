"""The command line: parse, call one library function, print. Imports torch only inside the commands that need it."""

from __future__ import annotations

from collections.abc import Sequence


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; Ctrl-C while it is still starting is quiet too."""
    try:
        from ruvlm.cli.main import main as run
    except KeyboardInterrupt:
        return 130
    return run(arguments)
