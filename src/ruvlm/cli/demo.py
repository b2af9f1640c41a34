"""ruvlm demo: a web page where models are asked about pictures."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ruvlm.cli import completion
from ruvlm.cli.console import say


def demo(
    model: Annotated[
        str, typer.Argument(autocompletion=completion.models, help="папка запуска или модели, nano, hf:… или openai:…")
    ],
    against: Annotated[
        str | None, typer.Option(autocompletion=completion.models, help="вторая модель: отвечает рядом с первой")
    ] = None,
    run: Annotated[
        list[Path] | None, typer.Option(help="папка с оценками для вкладки «Ошибки»; без неё – папка модели")
    ] = None,
    data: Annotated[
        list[str] | None, typer.Option(autocompletion=completion.sets, help="где вопросы и картинки этих оценок")
    ] = None,
    host: Annotated[str, typer.Option(help="адрес; 0.0.0.0 откроет страницу всей вашей сети")] = "127.0.0.1",
    port: Annotated[int | None, typer.Option(help="порт; без него – первый свободный с 7860", min=1, max=65535)] = None,
    share: Annotated[
        bool,
        typer.Option(
            "--share", help="дать ссылку всем: страница пойдёт через чужой сервер gradio.live; по умолчанию нет"
        ),
    ] = False,
    seconds: Annotated[float, typer.Option(help="сколько секунд ждать ответа", min=1, max=3600)] = 60.0,
    device: Annotated[str, typer.Option(autocompletion=completion.devices, help="auto, cpu, cuda, mps")] = "auto",
) -> None:
    """Открыть веб-страницу, где модель спрашивают о картинках: свои, нарисованные; и её ошибки.

    Пример: ruvlm demo nano --against results/cnn_lstm
    """
    from ruvlm.demo.serving import Address, serve

    if share:
        say(
            "Страница будет видна всем, у кого есть ссылка, а картинки и вопросы пойдут через сервер gradio.live. "
            "Только своим её открывает ssh -L 7860:127.0.0.1:7860 ЭТА-МАШИНА."
        )
    names = [model, *([against] if against else [])]
    serve(names, run or [], data or [], Address(host, port, share), device, seconds, say)
