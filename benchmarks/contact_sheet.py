"""Eight test pictures of a world with a question and its answer each, as one picture for the README.

python benchmarks/contact_sheet.py --world data/world-mini --out docs/images/world-mini.png
"""

from __future__ import annotations

import argparse
import json
import textwrap
from pathlib import Path

from ruvlm.data.catalog import open_source
from ruvlm.data.images import load_image
from ruvlm.schema import Example

WANTED = ("Кто в рубашке?", "Какого цвета", "Что слева", "Сколько", "одного цвета", "Есть ли", "или", "Кто держит")


def chosen(examples: tuple[Example, ...]) -> list[Example]:
    """One example a wording, each of another picture."""
    found: list[Example] = []
    for words in WANTED:
        seen = {example.image_id for example in found}
        match = next((e for e in examples if words in e.question and e.image_id not in seen), None)
        if match is not None:
            found.append(match)
    return found


def main() -> None:
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    parser = argparse.ArgumentParser()
    parser.add_argument("--world", default="data/world-mini")
    parser.add_argument("--out", type=Path, default=Path("docs/images/world-mini.png"))
    arguments = parser.parse_args()
    examples = chosen(open_source(arguments.world).load("gqa-ru", "test").examples)
    figure, axes = plt.subplots(2, 4, figsize=(10, 6.4), dpi=80, layout="constrained")
    for axis in axes.flat:
        axis.axis("off")
    for axis, example in zip(axes.flat, examples, strict=False):
        axis.imshow(load_image(example.image))
        axis.set_title("\n".join(textwrap.wrap(example.question, 30)) + f"\n{example.answer}", fontsize=9)

    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(arguments.out)
    print(json.dumps({"pictures": len(examples), "out": str(arguments.out)}))


if __name__ == "__main__":
    main()
