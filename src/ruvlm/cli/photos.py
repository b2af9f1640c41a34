"""ruvlm data from-coco and from-graphs: Russian questions about one's own annotated photographs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ruvlm.cli.console import counting, say, show_json

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from ruvlm.photos.asker import PhotoAsker
    from ruvlm.photos.scene import PhotoScene
    from ruvlm.photos.skipped import Skipped
    from ruvlm.questions.entries import FormEntry

    Reader = Callable[[Path, Path, Skipped], Iterator[PhotoScene]]

Images = Annotated[Path, typer.Option(help="папка с картинками")]
Out = Annotated[Path, typer.Option(help="куда писать набор")]
Split = Annotated[str, typer.Option(help="в какую часть: testdev, train или val")]
Questions = Annotated[int, typer.Option(help="вопросов о картинке, не больше", min=1, max=60)]
Choices = Annotated[int, typer.Option(help="вопросов с вариантами о картинке, не больше", min=0, max=20)]
Seed = Annotated[int, typer.Option(help="зерно: те же вопросы при том же зерне")]
Json = Annotated[bool, typer.Option("--json", help="итог в JSON")]


def from_coco(
    instances: Annotated[Path, typer.Option(help="instances_*.json: рамки в формате COCO")],
    images: Images,
    out: Out,
    split: Split = "testdev",
    questions: Questions = 12,
    choices: Choices = 2,
    seed: Seed = 0,
    json_: Json = False,
) -> None:
    """Сделать из размеченных фотографий вопросы: есть ли, сколько, где, левее или правее, что больше – и с вариантами.

    Спрашивается только то, что по разметке видно наверняка; что пропущено и почему, сказано в конце.

    Пример: ruvlm data from-coco --instances instances.json --images photos --out data/my-photos
    """
    from ruvlm.photos.coco import read_coco
    from ruvlm.photos.forms import BOX_ENTRIES

    _make(read_coco, BOX_ENTRIES, instances, images, out, split, questions, choices, seed, json_)


def from_graphs(
    graphs: Annotated[Path, typer.Option(help="sceneGraphs.json набора GQA или такой же свой")],
    images: Images,
    out: Out,
    split: Split = "testdev",
    questions: Questions = 12,
    seed: Seed = 0,
    json_: Json = False,
) -> None:
    """Сделать вопросы из графов сцен GQA: с цветом, материалом, кто во что одет и что держит.

    Пример: ruvlm data from-graphs --graphs val_sceneGraphs.json --images vg --out data/my-graphs
    """
    from ruvlm.photos.graph_forms import GRAPH_ENTRIES
    from ruvlm.photos.graphs import read_graphs

    _make(read_graphs, GRAPH_ENTRIES, graphs, images, out, split, questions, 0, seed, json_)


def _make(
    read: Reader,
    entries: Sequence[FormEntry[PhotoAsker]],
    annotations: Path,
    images: Path,
    out: Path,
    split: str,
    questions: int,
    choices: int,
    seed: int,
    json_: bool,
) -> None:
    from ruvlm.errors import ConfigError, DataError
    from ruvlm.photos.export import export
    from ruvlm.photos.skipped import Skipped

    if split not in ("testdev", "train", "val"):
        raise ConfigError(f"--split «{split}»: есть testdev, train и val.")
    if not images.is_dir():
        raise DataError(f"Папки с картинками {images} нет: проверьте --images.")
    skipped = Skipped()
    with counting("спрашиваю о картинках") as progress:
        made = export(
            read(annotations, images, skipped),
            entries,
            out,
            out.resolve().name,
            split,
            questions,
            choices,
            seed,
            skipped,
            lambda number: progress(number, None),
        )
    if json_:
        show_json(
            {
                "out": str(out),
                "pictures": made.pictures,
                "questions": made.questions,
                "choices": made.choices,
                "forms": dict(made.forms),
                "skipped": made.skipped,
            }
        )
        return
    for line in made.skipped:
        say(f"пропущено – {line}")
    say(f"Готово: {out}: картинок {made.pictures}, вопросов {made.questions}, с вариантами {made.choices}.")
    say(f"Посмотреть: ruvlm data show {out}; проверить модель: ruvlm eval МОДЕЛЬ --data {out}")
