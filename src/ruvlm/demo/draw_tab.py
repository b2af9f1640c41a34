"""The tab that draws a new scene and asks about it what the program knows the answer to."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import gradio as gr
from PIL import Image

from ruvlm.demo.drawing import HIGHEST, Riddle, drawn
from ruvlm.demo.opened import Models
from ruvlm.demo.spotlight import sized
from ruvlm.demo.widgets import BUTTONS, reply_parts, shown, told

ABOUT = (
    '<p class="ruvlm-limits">Программа рисует сцену встроенного мира и знает верные ответы. Это рисунки, не фотографии: '
    "умение отвечать о них – не балл GQA-ru.</p>"
)


def draw_tab(blocks: gr.Blocks, models: Models, folder: Path) -> None:
    """The scene on the left; its questions, the right answer and each model's reply on the right."""
    gr.HTML(ABOUT)
    with gr.Row():
        with gr.Column(min_width=300):
            level = gr.Radio([("простой (mini)", "mini"), ("полный (full)", "full")], value="mini", label="Мир")
            seed = gr.Number(value=1, precision=0, minimum=0, maximum=HIGHEST, label="Номер сцены")
            again = gr.Button("Нарисовать новую сцену")
            scene = gr.Image(label="Сцена", interactive=False, height=360, buttons=BUTTONS)
        with gr.Column(min_width=300):
            riddle = gr.Dropdown([], label="Вопрос", interactive=True)
            button = gr.Button("Спросить модель", variant="primary")
            gold = gr.Textbox(label="Верный ответ (его знает программа)", interactive=False)
            parts = reply_parts(models)
    where = gr.State()

    def draw(size: str, number: float | None) -> list[Any]:
        scene_drawn = drawn(size, int(number or 0))
        target = folder / f"scene-{size}-{int(number or 0)}.png"
        target.write_bytes(scene_drawn.png)
        names = [(_named(riddle), n) for n, riddle in enumerate(scene_drawn.riddles)]
        return [sized(Image.open(target)), str(target), gr.update(choices=names, value=0), ""]

    def ask(path: str | None, size: str, number: float | None, chosen: int | None) -> list[Any]:
        scene_drawn = drawn(size, int(number or 0)).riddles[int(chosen or 0)]
        replies = models.ask(Path(path) if path else None, scene_drawn.question, "; ".join(scene_drawn.options))
        return [scene_drawn.answer, *shown(replies)]

    kept: dict[str, Any] = {"api_visibility": "private"}
    drawing = {"fn": told(draw), "inputs": [level, seed], "outputs": [scene, where, riddle, gold], **kept}
    again.click(lambda: random.randrange(HIGHEST), None, seed, **kept).then(**drawing)
    for event in (blocks.load, seed.submit, level.input):
        event(**drawing)
    button.click(told(ask), [where, level, seed, riddle], [gold, *parts], concurrency_id="model", **kept)


def _named(riddle: Riddle) -> str:
    return f"{riddle.question} ({'; '.join(riddle.options)})" if riddle.options else riddle.question
