"""The tab where a person brings a picture and asks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gradio as gr

from ruvlm.demo.opened import MOST_PIXELS, Models
from ruvlm.demo.widgets import BUTTONS, as_sent, reply_parts, shown, told
from ruvlm.evaluation.single import LONGEST_QUESTION

MOST_BYTES = 20_000_000
RULES = (
    f'<p class="ruvlm-limits">Картинка – JPEG, PNG или WebP до {MOST_BYTES // 1_000_000} МБ и {MOST_PIXELS // 1_000_000} млн '
    f"пикселей; вопрос до {LONGEST_QUESTION} знаков. Ничего не сохраняется: присланное лежит во временной папке, пока открыта эта "
    "программа.</p>"
)


@dataclass(frozen=True)
class SamplePicture:
    """A picture on the disk with a question that may be asked about it."""

    picture: Path
    question: str
    options: str


def ask_tab(models: Models, samples: Sequence[SamplePicture]) -> None:
    """Picture, question and options on the left; each model's reply on the right."""
    with gr.Row():
        with gr.Column(min_width=300):
            picture = as_sent(
                gr.Image(
                    label="Картинка",
                    type="filepath",
                    sources=["upload", "webcam", "clipboard"],
                    height=360,
                    buttons=BUTTONS,
                )
            )
            question = gr.Textbox(label="Вопрос", placeholder="Кто в рубашке?", max_length=LONGEST_QUESTION)
            options = gr.Textbox(
                label="Варианты ответа (не обязательно)",
                placeholder="кошка; собака; птица",
                max_length=LONGEST_QUESTION,
            )
            button = gr.Button("Спросить", variant="primary")
            gr.HTML(RULES)
        with gr.Column(min_width=300):
            parts = reply_parts(models)

    def ask(path: str | None, text: str | None, choices: str | None) -> list[Any]:
        return shown(models.ask(Path(path) if path else None, text or "", choices or ""))

    for event in (button.click, question.submit, options.submit):
        event(told(ask), [picture, question, options], parts, concurrency_id="model", api_visibility="private")
    if samples:
        gr.Examples(
            [[str(s.picture), s.question, s.options] for s in samples],
            [picture, question, options],
            label="Примеры",
            cache_examples=False,
            api_visibility="private",
        )
