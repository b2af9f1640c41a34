"""A real Chromium for the tests of pages; where there is none those tests are skipped and say so."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.support.house import ROOT

AXE = ROOT / ".venv" / "axe.min.js"
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
]


def chromium() -> str:
    """Where Chromium is. Skips the test where it is not."""
    for name in ("chromium", "chromium-browser", "google-chrome"):
        if found := shutil.which(name):
            return found
    pytest.skip("нет Chromium (apt-get install chromium): страницы здесь не проверить")


@contextmanager
def browsing(width: int = 1280, height: int = 900, dark: bool = False) -> Iterator[Any]:
    """A page in a fresh Chromium that reaches no network; `page.said` are errors, dialogs and requests it should not make."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as play:
        browser = play.chromium.launch(executable_path=chromium(), args=FLAGS)
        context = browser.new_context(
            viewport={"width": width, "height": height}, color_scheme="dark" if dark else "light", locale="ru-RU"
        )
        context.set_default_timeout(180_000)  # events are waited for, however loaded the machine is
        page: Any = context.new_page()
        page.said = []
        page.on("pageerror", lambda error: page.said.append(f"error: {error}"))
        page.on("dialog", lambda dialog: (page.said.append(f"dialog: {dialog.message}"), dialog.dismiss()))
        page.on("console", lambda message: page.said.append(message.text) if message.type == "error" else None)
        page.on(
            "request",
            lambda r: (
                page.said.append(f"request: {r.url}") if r.url.startswith("http") and "127.0.0.1" not in r.url else None
            ),
        )
        yield page
        browser.close()


def violations(page: Any) -> list[str]:
    """Serious and critical findings of axe-core on a page."""
    if not AXE.is_file():
        pytest.skip("нет axe-core (npm не было при make test): доступность здесь не проверить")
    page.evaluate(AXE.read_text(encoding="utf-8"))
    found = page.evaluate("axe.run(document, {resultTypes: ['violations']})")
    return [
        f"{v['id']}: {v['nodes'][0]['html'][:160]} ({len(v['nodes'])})"
        for v in found["violations"]
        if v["impact"] in ("serious", "critical")
    ]


def screenshot(page: Any, path: Path) -> None:
    page.screenshot(path=str(path), full_page=False)
