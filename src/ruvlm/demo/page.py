"""The page itself: its tabs, its looks, what a reader should know of the models."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from pathlib import Path

import gradio as gr

from ruvlm.demo.ask_tab import SamplePicture, ask_tab
from ruvlm.demo.draw_tab import draw_tab
from ruvlm.demo.mistakes import Browsed
from ruvlm.demo.mistakes_tab import mistakes_tab
from ruvlm.demo.opened import Models

FONTS = ["system-ui", "sans-serif"]  # nothing is fetched from a font server
CSS = """
.ruvlm-row { display: grid; grid-template-columns: max-content 1fr; gap: .3rem 1rem; margin: 0; }
.ruvlm-row dt { font-weight: 600; }
.ruvlm-row dd { margin: 0; overflow-wrap: anywhere; }
.ruvlm-note p { font-weight: 600; border-left: 4px solid #b04a00; padding-left: .6rem; margin: .2rem 0; }
.ruvlm-sheet { width: 100%; border-collapse: collapse; }
.ruvlm-sheet th, .ruvlm-sheet td { text-align: left; padding: .2rem .5rem .2rem 0; border-bottom: 1px solid #8888; font-weight: 400; }
.ruvlm-limits { font-size: .9rem; overflow-wrap: anywhere; }
"""


def page(models: Models, samples: Sequence[SamplePicture], runs: Sequence[Browsed], folder: Path) -> gr.Blocks:
    """The whole page; `folder` is where drawn scenes are kept while it runs."""
    blocks: gr.Blocks = gr.Blocks(title="RuVLM: спросить о картинке", analytics_enabled=False)
    with blocks:
        gr.Markdown("# RuVLM: спросить о картинке")
        gr.HTML("".join(f'<p class="ruvlm-limits">{escape(line)}</p>' for line in models.about()))
        with gr.Tab("Спросить"):
            ask_tab(models, samples)
        with gr.Tab("Нарисовать сцену"):
            draw_tab(blocks, models, folder)
        with gr.Tab("Ошибки"):
            mistakes_tab(blocks, runs)
    return blocks
