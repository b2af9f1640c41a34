"""The tab that draws a new scene and asks about it what the program knows the answer to."""

from __future__ import annotations

import random
from functools import partial
from pathlib import Path
from typing import Any

import gradio as gr
from PIL import Image

from ruvlm.demo.drawing import HIGHEST, Drawn, Riddle, drawn
from ruvlm.demo.opened import Models
from ruvlm.demo.scoring import Tally, is_right, sheet
from ruvlm.demo.spotlight import sized
from ruvlm.demo.widgets import BUTTONS, reply_parts, shown, told
from ruvlm.errors import DataError
from ruvlm.evaluation.single import LONGEST_QUESTION

ABOUT = (
    '<p class="ruvlm-limits">Программа рисует сцену встроенного мира и знает верные ответы. Это рисунки, не фотографии: '
    "умение отвечать о них – не балл GQA-ru.</p>"
)
OWN = "вопрос ваш: программа ответа не знает, в счёт он не идёт"


def draw_tab(blocks: gr.Blocks, models: Models, folder: Path) -> None:
    """The scene on the left; its questions or one's own, the right answer, each model's reply and the score on the right."""
    gr.HTML(ABOUT)
    with gr.Row():
        with gr.Column(min_width=300):
            level = gr.Radio([("простой (mini)", "mini"), ("полный (full)", "full")], value="mini", label="Мир")
            seed = gr.Number(value=1, precision=0, minimum=0, maximum=HIGHEST, label="Номер сцены")
            again = gr.Button("Нарисовать новую сцену")
            scene = gr.Image(label="Сцена", interactive=False, height=360, buttons=BUTTONS)
        with gr.Column(min_width=300):
            riddle = gr.Dropdown([], label="Вопрос программы", interactive=True)
            own = gr.Textbox(
                label="Или свой вопрос об этой сцене", placeholder="Кто держит мяч?", max_length=LONGEST_QUESTION
            )
            with gr.Row():
                button = gr.Button("Спросить модель", variant="primary")
                every = gr.Button("Спросить всё, что знает программа")
            gold = gr.Textbox(label="Верный ответ (его знает программа)", interactive=False)
            score = gr.Textbox(label="Счёт", value=Tally.empty(models.titles).words, interactive=False)
            parts = reply_parts(models)
            table = gr.HTML()
    # what is shown: the field may say another number by now
    where, shown_scene, tally = gr.State(), gr.State(), gr.State(Tally.empty(models.titles))

    kept: dict[str, Any] = {"api_visibility": "private"}
    drawing = {
        "fn": told(partial(_draw, folder)),
        "inputs": [level, seed],
        "outputs": [scene, where, shown_scene, riddle, gold, own, table],
        **kept,
    }
    again.click(lambda: random.randrange(HIGHEST), None, seed, **kept).then(**drawing)
    for event in (blocks.load, seed.submit, level.input):
        event(**drawing)
    asking: dict[str, Any] = {"concurrency_id": "model", **kept}
    for press in (button.click, own.submit):
        press(
            told(partial(_ask, models)),
            [where, shown_scene, riddle, own, tally],
            [gold, tally, score, *parts],
            **asking,
        )
    every.click(told(partial(_ask_all, models)), [where, shown_scene, tally], [tally, score, table], **asking)


def _riddles(scene_drawn: Drawn | None) -> tuple[Riddle, ...]:
    if scene_drawn is None:
        raise DataError("Сцены ещё нет: нарисуйте её.")
    return scene_drawn.riddles


def _draw(folder: Path, size: str, number: float | None) -> list[Any]:
    scene = drawn(size, int(number or 0))
    target = folder / f"scene-{size}-{int(number or 0)}.png"
    target.write_bytes(scene.png)
    names = [(one.asked, n) for n, one in enumerate(scene.riddles)]
    return [sized(Image.open(target)), str(target), scene, gr.update(choices=names, value=0), "", "", ""]


def _ask(
    models: Models, path: str | None, scene: Drawn | None, chosen: int | None, words: str | None, before: Tally
) -> list[Any]:
    """One question: one's own, which nobody judges, or the program's."""
    picture = Path(path) if path else None
    if (words or "").strip():
        return [OWN, before, before.words, *shown(models.ask(picture, words or "", ""))]
    asked = _riddles(scene)[int(chosen or 0)]
    replies = models.ask(picture, asked.question, "; ".join(asked.options))
    after = before.with_question([is_right(asked, reply.answer.text) for reply in replies])
    return [asked.answer, after, after.words, *shown(replies)]


def _ask_all(models: Models, path: str | None, scene: Drawn | None, before: Tally) -> list[Any]:
    """Every question of the program about the scene that is shown."""
    riddles = _riddles(scene)
    said = []
    for one in riddles:
        replies = models.ask(Path(path) if path else None, one.question, "; ".join(one.options))
        said.append([reply.answer.text for reply in replies])
        before = before.with_question([is_right(one, text) for text in said[-1]])
    return [before, before.words, sheet(riddles, said, models.titles)]
