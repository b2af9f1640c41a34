"""The app of all verbs, and the one place where errors become sentences and exit codes."""

from __future__ import annotations

import difflib
import os
import re
import signal
import sys
import tempfile
import threading
import traceback
from collections.abc import Sequence
from typing import Any

import typer

from ruvlm.cli import (
    ask,
    compare,
    data,
    demo,
    doctor,
    evaluate,
    explain,
    leaderboard,
    model,
    push,
    quickstart,
    report,
    rules,
    score,
    submit,
    train,
)
from ruvlm.cli.console import say
from ruvlm.cli.russian import App
from ruvlm.doctor import MODELS
from ruvlm.errors import WITHOUT_MODELS, RuvlmError, because

app = App(
    name="ruvlm",
    help="Обучает зрительно-языковые модели и честно проверяет, как они отвечают по-русски.\n\n"
    'Пример: ruvlm ask nano photo.png "Кто в рубашке?"',
    no_args_is_help=True,
    add_completion=True,
    pretty_exceptions_enable=False,
)
app.add_typer(data.app, name="data")
app.add_typer(model.app, name="model")
app.add_typer(leaderboard.app, name="leaderboard")
app.command("train")(train.train)
app.command("quickstart")(quickstart.quickstart)
app.command("recipes")(train.recipes)
app.command("eval")(evaluate.evaluate)
app.command("score")(score.score)
app.command("compare")(compare.compare)
app.command("parse")(rules.parse)
app.command("match")(rules.match)
app.command("ask")(ask.ask)
app.command("demo")(demo.demo)
app.command("explain")(explain.explain)
app.command("submit")(submit.submit)
app.command("report")(report.report)
app.command("doctor")(doctor.doctor)
app.command("push")(push.push)


INTERRUPTED, TERMINATED = 130, 143


class Terminated(SystemExit):
    """SIGTERM, which schedulers send: like Ctrl-C, everything on the way out cleans up after itself."""


KEYS = ("RUVLM_API_KEY", "OPENAI_API_KEY", "HF_TOKEN")
# typer carries its own copy of click, whose names are private: the public BadParameter leads to their base
UsageError: type[Exception] = typer.BadParameter.__mro__[1]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit code: 0 done, 2 bad input, 130 interrupted, 143 terminated.

    What is no RuvlmError is a fault of ours or of a library: one sentence and the path of a log with its traceback.
    """
    before = _hear_termination()
    try:
        return _run(arguments)
    except (Terminated, Exception) as error:
        if _came_of(error, Terminated):
            say("Остановлено сигналом SIGTERM.")
            return TERMINATED
        if _came_of(error, KeyboardInterrupt):
            say("Прервано.")
            return INTERRUPTED
        say(_unexpected(error) if not isinstance(error, RuvlmError) else f"Ошибка: {error}")
        return 2
    finally:
        if before is not None:
            signal.signal(signal.SIGTERM, before)


def _hear_termination() -> Any:
    """Turn SIGTERM into an exception; the handler that was there, None where only the main thread may."""
    if threading.current_thread() is not threading.main_thread():
        return None

    def stop(number: int, frame: Any) -> None:
        raise Terminated

    return signal.signal(signal.SIGTERM, stop)


def _came_of(error: BaseException | None, kind: type[BaseException]) -> bool:
    """Is it a stop, or what a library raised while it was stopping (a pool whose workers had not all started)?"""
    while error is not None and not isinstance(error, kind):
        error = error.__cause__ or error.__context__
    return error is not None


def _unexpected(error: BaseException) -> str:
    """One sentence about an error that nobody foresaw; the traceback goes to a file."""
    if isinstance(error, OSError) and error.errno:
        place = f" ({error.filename})" if error.filename else ""
        return f"Ошибка: {because(error)}{place}: освободите место, проверьте права или укажите другую папку."
    if isinstance(error, MemoryError):
        return "Ошибка: не хватило памяти: возьмите меньше данных (--limit) или модель поменьше."
    if isinstance(error, ModuleNotFoundError) and (error.name or "").split(".")[0] in MODELS:
        return f"Ошибка: {WITHOUT_MODELS}"
    if isinstance(error, ModuleNotFoundError) and error.name and not error.name.startswith("ruvlm"):
        return f"Ошибка: нет пакета {error.name}: поставьте его (pip install {error.name}); чего ещё нет, скажет ruvlm doctor."
    text = "".join(traceback.format_exception(error))
    for name in KEYS:
        key = os.environ.get(name, "")
        text = text.replace(key, "…") if len(key) >= 8 else text
    try:
        with tempfile.NamedTemporaryFile(
            "w", prefix="ruvlm-", suffix=".log", delete=False, encoding="utf-8", errors="replace"
        ) as log:
            log.write(text)
        where = f"подробности: {log.name}"
    except OSError:
        where = "записать подробности не вышло"
    last = " ".join(text.strip().splitlines()[-1].split())[:200]
    return f"Ошибка, которой мы не предвидели ({last}): проверьте входные файлы и сообщите нам; {where}."


def _run(arguments: Sequence[str] | None) -> int:
    try:
        code = app(list(arguments) if arguments is not None else None, standalone_mode=False)
        if code == INTERRUPTED:  # typer has turned Ctrl-C into a code
            say("Прервано.")
        return code if isinstance(code, int) else 0
    except typer.Exit as error:
        return int(error.exit_code)
    except (typer.Abort, KeyboardInterrupt):
        say("Прервано.")
        return INTERRUPTED
    except UsageError as error:
        return _usage(error)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1


def _commands(error: Any) -> list[str]:
    """The commands that there are where one was not found."""
    return list(getattr(getattr(getattr(error, "ctx", None), "command", None), "commands", None) or ())


def _named(error: Any, parameter: str) -> str:
    """An option as it is typed, an argument as the help shows it."""
    options = getattr(error.param, "opts", None) or [parameter]
    return options[0] if options[0].startswith("-") else parameter.upper()


def _in_russian(text: str) -> str:
    """What typer says of a value, in our words; what we have no words for as it is."""
    for pattern, words in (
        (r"greater than or equal to ([\d.]+)", "нужно не меньше {}"),
        (r"less than or equal to ([\d.]+)", "нужно не больше {}"),
        (r"([\d.]+)<=x<=([\d.]+)", "нужно от {} до {}"),
        (r"x>=([\d.]+)", "нужно не меньше {}"),
        (r"valid integer", "нужно целое число"),
        (r"valid (?:number|float|decimal)", "нужно число"),
        (r"'?([^' ]*)'? is not a valid (?:int|integer|float|number)", "«{}» – не число"),
    ):
        match = re.search(pattern, text)
        if match:
            return words.format(*match.groups())
    return text.rstrip(".")


def _usage(error: Any) -> int:
    """Say in Russian what was wrong with the arguments; no arguments at all is a request for help."""
    kind = type(error).__name__
    text = error.format_message()
    if kind == "NoArgsIsHelpError":
        print(text)
        return 0
    parameter = getattr(getattr(error, "param", None), "name", None) or "?"
    if kind == "NoSuchOption":
        near = f" Может быть, {', '.join(error.possibilities)}?" if error.possibilities else ""
        said = f"ключа {error.option_name} нет.{near}"
    elif kind == "MissingParameter":
        said = f"не хватает {_named(error, parameter)}."
    elif kind == "BadParameter":
        said = f"{_named(error, parameter)} не подходит: {_in_russian(str(error.message))}."
    elif text.startswith("No such command"):
        wrong = text.removeprefix("No such command ").split("'")[1]
        likely = difflib.get_close_matches(wrong, _commands(error), 1)
        said = f"команды «{wrong}» нет." + (f" Может быть, {likely[0]}?" if likely else "")
    elif "unexpected extra argument" in text:
        said = f"лишний аргумент {text[text.rfind('(') + 1 : text.rfind(')')]}: возьмите фразу с пробелами в кавычки."
    else:
        said = text
    command = getattr(getattr(error, "ctx", None), "command_path", None) or "ruvlm"
    say(f"Ошибка: {said} Справка: {command} --help")
    return 2
