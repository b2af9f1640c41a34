"""The command line: parse, call one library function, print. Imports torch only inside the commands that need it."""

from ruvlm.cli.main import main

__all__ = ["main"]
