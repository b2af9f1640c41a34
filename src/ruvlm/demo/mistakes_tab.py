"""The tab that goes through an evaluation row by row."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import gradio as gr

from ruvlm.demo import mistakes
from ruvlm.demo.mistakes import Browsed
from ruvlm.demo.widgets import BUTTONS, told

NONE = (
    "Законченных оценок здесь нет. Сделайте их – `ruvlm eval МОДЕЛЬ --data ПАПКА` – и откройте страницу с `--run ПАПКА-ЗАПУСКА`: "
    "появятся все вопросы с ответами модели."
)


def mistakes_tab(blocks: gr.Blocks, runs: Sequence[Browsed]) -> None:
    """Filters above; below them one row with its picture."""
    if not runs:
        gr.Markdown(NONE)
        return
    with gr.Row():
        which = gr.Dropdown([(run.title, n) for n, run in enumerate(runs)], value=0, label="Оценка", scale=3)
        kind = gr.Radio(list(mistakes.KINDS), value=mistakes.WRONG, label="Какие строки", scale=2)
    with gr.Row():
        of_type = gr.Dropdown(_types(runs[0]), value="", label="Тип вопроса")
        words = gr.Textbox(label="Слова вопроса или ответа", max_length=200)
    with gr.Row():
        back, forth = gr.Button("← Предыдущая"), gr.Button("Следующая →")
    status = gr.Markdown("", elem_id="ruvlm-status")
    with gr.Row():
        picture = gr.Image(label="Картинка строки", interactive=False, height=360, buttons=BUTTONS)
        row = gr.HTML("")
    place = gr.State(0)

    def show(number: int, what: str, of: str | None, text: str | None, at: int = 0) -> list[Any]:
        rows = mistakes.chosen(runs[number], what, of or None, text or "")
        if not rows:
            return [0, "Таких строк нет.", None, ""]
        at %= len(rows)
        one = runs[number]
        return [
            at,
            f"Строка {at + 1} из {len(rows)}",
            mistakes.picture(one, rows[at]),
            mistakes.described(one, rows[at]),
        ]

    def other(number: int, what: str, text: str | None) -> list[Any]:
        return [gr.update(choices=_types(runs[number]), value=""), *show(number, what, "", text)]

    def moved(step: int, number: int, what: str, of: str | None, text: str | None, at: int) -> list[Any]:
        return show(number, what, of, text, at + step)

    asked, outputs = [which, kind, of_type, words], [place, status, picture, row]
    kept: dict[str, Any] = {"api_visibility": "private"}
    which.input(told(other), [which, kind, words], [of_type, *outputs], **kept)
    for event in (blocks.load, kind.input, of_type.input, words.submit):
        event(told(show), asked, outputs, **kept)
    for button, step in ((back, -1), (forth, 1)):
        button.click(told(partial(moved, step)), [*asked, place], outputs, **kept)


def _types(run: Browsed) -> list[Any]:
    return [("любой", ""), *run.types]
