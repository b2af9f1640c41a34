"""ruvlm model …: build models out of pretrained parts."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ruvlm.cli import completion
from ruvlm.cli.console import say, show_json
from ruvlm.cli.russian import App
from ruvlm.numerals import decimal

HELP = "Модели: собрать из готовых частей, влить адаптер."
app = App(help=HELP, no_args_is_help=True)


@app.callback()
def group() -> None:
    """Модели: собрать из готовых частей, влить адаптер."""


@app.command("compose")
def compose(
    vision: Annotated[str, typer.Option(help="зрительная модель: CLIP, SigLIP или SigLIP 2, имя на хабе или папка")],
    llm: Annotated[str, typer.Option(help="языковая модель: Llama, Qwen, Gemma, Mistral…, имя на хабе или папка")],
    out: Annotated[Path, typer.Option(help="куда записать")],
    dtype: Annotated[str, typer.Option(help="точность весов: float32, bfloat16, float16")] = "float32",
    seed: Annotated[int, typer.Option(help="зерно проектора")] = 0,
    json_: Annotated[bool, typer.Option("--json", help="итог в JSON")] = False,
) -> None:
    """Собрать LLaVA из зрительной и языковой модели: обычная папка transformers, vLLM и lmms-eval её читают.

    Проектор – случайный: его учит первая ступень. Перед записью проверяется, что на слова модель отвечает как прежде.

    Пример: ruvlm model compose --vision google/siglip-base-patch16-224 --llm Qwen/Qwen2.5-0.5B-Instruct --out models/llava
    """
    from ruvlm.errors import ConfigError
    from ruvlm.models.vlm.compose import DTYPES
    from ruvlm.models.vlm.compose import compose as build
    from ruvlm.runtime import quiet_transformers

    if dtype not in DTYPES:
        raise ConfigError(f"--dtype «{dtype}»: есть {', '.join(DTYPES)}.")
    quiet_transformers()
    built = build(vision, llm, out, DTYPES[dtype], seed)
    if json_:
        show_json(
            {
                "out": str(out),
                "vision": built.vision,
                "projector": built.projector,
                "language": built.language,
                "image_tokens": built.image_tokens,
            }
        )
        return
    millions = " + ".join(decimal(count / 1e6) for count in (built.vision, built.projector, built.language))
    say(f"Готово: {out}: {millions} млн параметров (зрение, проектор, язык), токенов картинки: {built.image_tokens}.")


@app.command("merge")
def merge(
    model: Annotated[
        str, typer.Argument(autocompletion=completion.models, help="МОДЕЛЬ+АДАПТЕР: имя или папка модели и папка LoRA")
    ],
    out: Annotated[Path, typer.Option(help="куда записать")],
    dtype: Annotated[str, typer.Option(help="точность весов: float32, bfloat16, float16")] = "float32",
    json_: Annotated[bool, typer.Option("--json", help="итог в JSON")] = False,
) -> None:
    """Влить адаптер LoRA в веса модели. Если логиты после слияния не те, что под адаптером, веса не записываются.

    Пример: ruvlm model merge models/llava+results/llava_stage2/final_model --out models/llava-ru
    """
    from ruvlm.models.vlm.merge import merge_adapter
    from ruvlm.runtime import quiet_transformers

    quiet_transformers()
    merge_adapter(model, out, dtype)
    if json_:
        show_json({"out": str(out), "merged": True})
    else:
        say(f"Готово: {out}: адаптер влит, логиты совпали.")
