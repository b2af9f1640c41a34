"""What the tabs share: a picture as it was sent, errors in our words, a model's reply."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import wraps
from html import escape
from typing import Any

import gradio as gr

from ruvlm.demo.opened import ModelReply, Models
from ruvlm.errors import RuvlmError
from ruvlm.numerals import decimal

# not «share»: that one sends the picture to the hub
BUTTONS: list[Any] = ["fullscreen", "download"]


def as_sent(picture: gr.Image) -> gr.Image:
    """Let a picture's component hand over the file as it was sent: what is no picture is told of in our words.

    Not a subclass: gradio writes a stub file beside the source of each.
    """
    component: Any = picture
    component.preprocess = lambda payload: payload.path if payload is not None else None
    return picture


def told(function: Callable[..., Any]) -> Callable[..., Any]:
    """Our errors as a message on the page, without a traceback in the terminal."""

    @wraps(function, ("__doc__",), ())
    def asked(*arguments: Any) -> Any:
        try:
            return function(*arguments)
        except RuvlmError as error:
            raise gr.Error(escape(str(error)), title="Не получилось", print_exception=False) from error

    return asked


def reply_parts(models: Models) -> list[Any]:
    """For each model: what must be known before its answer, likely answers, how it came to them, where it looked."""
    parts: list[Any] = []
    with gr.Row():
        for title in models.titles:
            with gr.Column(min_width=260):
                parts.append(gr.HTML(elem_classes="ruvlm-note"))
                parts.append(gr.Label(label=f"Ответ: {title}", num_top_classes=5))
                parts.append(gr.Textbox(label="Как отвечала", interactive=False))
                parts.append(
                    gr.Image(label="Куда смотрела (ярче – дольше)", interactive=False, visible=False, buttons=BUTTONS)
                )
    return parts


def shown(replies: Sequence[ModelReply]) -> list[Any]:
    """Values of `reply_parts`."""
    parts: list[Any] = []
    for reply in replies:
        answer = reply.answer
        parts.append(f"<p>⚠ {escape(answer.note)}</p>" if answer.note else "")
        if answer.probability is None:
            parts.append({"label": answer.text or "(пусто)"})
        else:
            ranked = ((answer.text, answer.probability), *((a.text, a.probability) for a in answer.alternatives))
            parts.append({text or "(пусто)": probability for text, probability in ranked})
        look = f"На картинку пришлось {decimal(100 * reply.share, 0)} % взгляда." if reply.looked is not None else ""
        parts.append(" ".join(filter(None, (look, f"Ответ за {decimal(reply.seconds, 2)} с."))))
        parts.append(gr.update(value=reply.looked, visible=reply.looked is not None))
    return parts
