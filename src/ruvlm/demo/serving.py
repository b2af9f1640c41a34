"""The page as a local server: one temporary folder for everything, no analytics, limits, an end by Ctrl-C."""

from __future__ import annotations

import os
import signal
import socket
import tempfile
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ruvlm.errors import ConfigError, DataError
from ruvlm.run_folder import RunFolder

if TYPE_CHECKING:
    from ruvlm.demo.mistakes import Browsed

FIRST_PORT, PORTS = 7860, 100
WAITING = 16
LOCAL = ("127.0.0.1", "localhost")


@dataclass(frozen=True)
class Address:
    """Where the page is served: `port` None takes the first free one from FIRST_PORT."""

    host: str = "127.0.0.1"
    port: int | None = None
    share: bool = False


def serve(
    names: Sequence[str],
    runs: Sequence[Path],
    data: Sequence[str],
    place: Address,
    device: str,
    seconds: float,
    report: Callable[[str], None],
) -> None:
    """Open the models and serve until Ctrl-C or SIGTERM. Raises RuvlmError; nothing is left on the disk.

    Without `runs` the models' own folders are looked into; that nothing can be shown from them is no error.
    """
    check_port(place)  # before anything is loaded
    with tempfile.TemporaryDirectory(prefix="ruvlm-demo-") as name:
        folder = Path(name)
        _settle(folder)
        try:
            import gradio as gr
        except ImportError as error:
            raise ConfigError("Для страницы нужен gradio: pip install 'ruvlm[demo]'.") from error
        from ruvlm.demo.ask_tab import MOST_BYTES
        from ruvlm.demo.mistakes import evaluated
        from ruvlm.demo.opened import Models
        from ruvlm.demo.page import CSS, FONTS, page
        from ruvlm.demo.try_outs import samples

        models = Models(names, device, seconds)
        blocks = page(models, samples(folder), evaluated(runs, data) if runs else _own(names, data, report), folder)
        blocks.queue(max_size=WAITING, default_concurrency_limit=1, api_open=False)
        stop = threading.Event()
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, lambda *_: stop.set())
        try:
            theme = gr.themes.Default(font=FONTS, font_mono=FONTS)
            _launch(blocks, place, {"max_file_size": MOST_BYTES, "css": CSS, "theme": theme}, report)
            while not stop.wait(0.5):
                pass
        finally:
            blocks.close(verbose=False)
    report("Страница закрыта.")


def _launch(blocks: Any, place: Address, looks: dict[str, Any], report: Callable[[str], None]) -> None:
    """Open the page's address. Raises ConfigError where it is taken.

    A page for this machine alone answers to this machine's names alone: a stranger's site whose name has been made to lead here
    (DNS rebinding) would else read it through the visitor's browser.
    """
    from starlette.middleware import Middleware
    from starlette.middleware.trustedhost import TrustedHostMiddleware

    closed = dict.fromkeys(("ssr_mode", "pwa", "mcp_server", "run_history"), False)
    own = place.host in LOCAL and not place.share
    middleware = [Middleware(TrustedHostMiddleware, allowed_hosts=list(LOCAL))] if own else []
    try:
        _, here, shared = blocks.launch(
            server_name=place.host,
            server_port=place.port,
            share=place.share,
            quiet=True,
            prevent_thread_lock=True,
            footer_links=[],
            app_kwargs={"middleware": middleware},
            **closed,
            **looks,
        )
    except OSError as error:
        raise ConfigError(
            f"Порт {place.port or FIRST_PORT} занят или недоступен ({error}): укажите другой ключом --port."
        ) from error
    report(f"Страница открыта: {here} – остановить: Ctrl-C.")
    if place.share:
        absent = "Ссылки для всех не дали: нет доступа к gradio.live."
        report(f"И для всех, у кого есть ссылка: {shared}" if shared else absent)


def _own(names: Sequence[str], data: Sequence[str], report: Callable[[str], None]) -> list[Browsed]:
    from ruvlm.demo.mistakes import evaluated

    folders = [Path(name) for name in names if RunFolder(Path(name)).evaluations.is_dir()]
    try:
        return evaluated(folders, data) if folders else []
    except DataError as error:
        report(f"Вкладка «Ошибки» будет пуста. {error}")
        return []


def _settle(folder: Path) -> None:
    """What gradio and the hub's client read from the environment, before they are imported."""
    os.environ.update(
        GRADIO_ANALYTICS_ENABLED="False",
        GRADIO_TEMP_DIR=str(folder / "sent"),
        HF_HUB_DISABLE_TELEMETRY="1",
        MPLCONFIGDIR=os.environ.get("MPLCONFIGDIR", str(folder / "matplotlib")),
    )


def check_port(place: Address) -> None:
    """Raises ConfigError where the port asked for, or every one of the first hundred, is taken.

    Without a port the server itself takes the first that it can hold: one seen free here may be another's by then.
    """
    wanted = (place.port,) if place.port else range(FIRST_PORT, FIRST_PORT + PORTS)
    for port in wanted:
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((place.host, port))
                return
            except (OSError, OverflowError) as error:
                said = error
    if isinstance(said, socket.gaierror):
        raise ConfigError(f"Адреса {place.host} на этой машине нет: проверьте --host.")
    raise ConfigError(
        f"Порт {place.port or FIRST_PORT} на {place.host} занят или закрыт ({said}): укажите другой --port."
    )
