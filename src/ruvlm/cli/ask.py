"""ruvlm ask: one question about one picture."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ruvlm.cli import completion
from ruvlm.cli.console import say, show_json, tell
from ruvlm.numerals import decimal


def ask(
    model: Annotated[
        str,
        typer.Argument(
            autocompletion=completion.models, help="nano (она в пакете), папка запуска или модели, hf:… или openai:…"
        ),
    ],
    image: Annotated[Path, typer.Argument(help="картинка: JPEG, PNG, WebP")],
    question: Annotated[str, typer.Argument(help="вопрос по-русски")],
    options: Annotated[str | None, typer.Option(help="варианты через «;»: выбрать один")] = None,
    top: Annotated[int, typer.Option(help="сколько ответов показать", min=1, max=20)] = 5,
    device: Annotated[str, typer.Option(autocompletion=completion.devices, help="auto, cpu, cuda, mps")] = "auto",
    json_: Annotated[bool, typer.Option("--json", help="итог в JSON")] = False,
) -> None:
    """Спросить модель о картинке.

    Пример: ruvlm ask nano photo.png "Кто в рубашке?"
    """
    from ruvlm.evaluation.single import ask_once

    answer = ask_once(model, image, question, options, top, device)
    if json_:
        show_json(
            {
                "question": question,
                "answer": answer.text,
                "probability": None if answer.probability is None else round(answer.probability, 4),
                "alternatives": [{"text": a.text, "probability": round(a.probability, 4)} for a in answer.alternatives],
            }
        )
        return
    sure = "" if answer.probability is None else f" ({decimal(100 * answer.probability, 0)} %)"
    tell(answer.text + sure)
    if answer.alternatives:
        others = ", ".join(f"{a.text} {decimal(100 * a.probability)} %" for a in answer.alternatives)
        tell(f"  ещё: {others}")
    if answer.note:
        say(answer.note)
