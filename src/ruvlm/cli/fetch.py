"""ruvlm data fetch: the published sets from the hub."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ruvlm.cli import completion
from ruvlm.cli.console import counting, say, show_json

if TYPE_CHECKING:
    from ruvlm.benchmarks.cards.card_fields import BenchmarkCard
    from ruvlm.data.hub_sets import HubSet
    from ruvlm.data.manifest import Manifest


def fetch(
    names: Annotated[
        list[str],
        typer.Argument(
            autocompletion=completion.benchmarks,
            help="gqa-ru, mmbench-ru, llava-instruct-ru, имена карточек или карточка .toml",
        ),
    ],
    split: Annotated[
        list[str] | None,
        typer.Option(
            autocompletion=completion.splits,
            help="часть: testdev или train у gqa-ru, dev у mmbench-ru, train или val у llava-instruct-ru",
        ),
    ] = None,
    limit: Annotated[
        int | None, typer.Option(help="сделать рядом выборку стольких строк: data/gqa-ru-500", min=1)
    ] = None,
    out: Annotated[Path, typer.Option(help="куда складывать")] = Path("data"),
    revision: Annotated[
        str | None, typer.Option(help="ревизия на хабе; по умолчанию та, что уже скачана, иначе новая")
    ] = None,
    offline: Annotated[bool, typer.Option("--offline", help="без сети: только проверить, что всё уже здесь")] = False,
    json_: Annotated[bool, typer.Option("--json", help="итог в JSON")] = False,
) -> None:
    """Скачать наборы с хаба: только нужные файлы, с продолжением, со сверкой сумм и записанной ревизией.

    Сначала говорит, сколько качать. Прерванное продолжает та же команда. HF_TOKEN – для закрытых наборов,
    HF_ENDPOINT – зеркало, HTTPS_PROXY – прокси, HF_HUB_OFFLINE=1 – то же, что --offline.

    Пример: ruvlm data fetch gqa-ru mmbench-ru
    """
    from ruvlm.benchmarks.cards.card_fetch import card_to_fetch
    from ruvlm.benchmarks.catalog import hub_set

    cards = [card for card in map(card_to_fetch, names) if card is not None]
    if cards and limit is not None:
        say("--limit у карточек не делает выборки: её делает --limit у ruvlm eval")
    fetched = [_fetched_card(card, split, out, revision, offline) for card in cards]
    sources = [hub_set(name) for name in names if card_to_fetch(name) is None]
    for source in sources:
        splits = _splits(source, split, alone=len(sources) == 1)
        manifest = _fetched(source, splits, out / source.name, revision, offline)
        fetched.append(_told(source.name, out / source.name, manifest))
        for part in splits if limit is not None else ():
            fetched[-1].setdefault("samples", []).append(_sample(source, part, limit or 0, out))
    if json_:
        show_json(fetched)


def _told(name: str, folder: Path, manifest: Manifest) -> dict[str, Any]:
    files = {name: record.size for name, record in manifest.files.items()}
    return {"name": name, "folder": str(folder), "revision": manifest.revision, "files": files}


def _fetched_card(
    card: BenchmarkCard, split: list[str] | None, out: Path, revision: str | None, offline: bool
) -> dict[str, Any]:
    """A card's own set, what is joined to it, and the pictures that its rows name."""
    from ruvlm.benchmarks.cards.card_fetch import parts_of_card, with_named_pictures

    parts = parts_of_card(card)
    for part in parts:
        splits = _splits(part.hub, split, alone=True)
        pinned = (revision if part is parts[-1] else None) or part.revision or None
        manifest = _fetched(part.hub, splits, out / part.folder, pinned, offline)
    pictured = with_named_pictures(card, parts[-1], out / card.name, splits)
    if pictured is not None:
        manifest = _fetched(pictured.hub, splits, out / card.name, manifest.revision, offline)
    return _told(card.name, out / card.name, manifest)


def _splits(source: HubSet, wanted: list[str] | None, alone: bool) -> tuple[str, ...]:
    """The splits asked for that a set has; its main one where none was named."""
    if not wanted:
        return (source.default,) if source.default else tuple(source.splits)[:1]
    mine = [{"test": source.default, "testdev": source.default, "dev": source.default}.get(s, s) for s in wanted]
    known = [name for name in mine if name in source.splits]
    if not known and not alone:
        say(f"{source.name}: части {', '.join(wanted)} у него нет, беру {source.default}")
        return (source.default,)
    return tuple(dict.fromkeys(known or mine))


def _fetched(source: HubSet, splits: tuple[str, ...], folder: Path, revision: str | None, offline: bool) -> Manifest:
    from huggingface_hub import constants

    from ruvlm.data import hub

    if offline or constants.HF_HUB_OFFLINE:
        manifest = hub.fetched_offline(source, splits, folder)
        say(f"{source.name} ({', '.join(splits)}): всё здесь, {folder}, ревизия {manifest.revision[:8]}")
        return manifest
    plan = hub.plan_fetch(source, splits, folder, revision)
    what = f"{source.name} ({', '.join(splits)}): файлов {len(plan.files)}, {hub.megabytes(plan.size)}"
    if plan.missing:
        say(f"{what}; качаю {hub.megabytes(plan.to_transfer)} в {folder}, ревизия {plan.revision[:8]}")
    with counting(source.name, of_bytes=True) as progress:
        manifest = hub.fetch(plan, progress)
    say(f"{what}: {'готово' if plan.missing else 'уже здесь'}, {folder}, ревизия {plan.revision[:8]}, суммы сошлись")
    return manifest


def _sample(source: HubSet, split: str, limit: int, out: Path) -> str:
    from ruvlm.benchmarks.catalog import benchmarks
    from ruvlm.benchmarks.subset import write_sample
    from ruvlm.errors import ConfigError

    if source.name not in benchmarks():
        raise ConfigError(
            f"--limit {limit}: у {source.name} выборки не делаю, ограничьте её в смеси: limit в [[data.mix]]."
        )
    from ruvlm.benchmarks.source import open_source

    if limit >= (whole := len(open_source(str(out / source.name)).load(source.name, split).examples)):
        say(f"выборка не нужна: в {source.name} ({split}) всего {whole} строк")
        return str(out / source.name)
    name = f"{source.name}-{limit}" if split == source.default else f"{source.name}-{split}-{limit}"
    rows = write_sample(out / source.name, source.name, split, limit, out / name)
    say(f"выборка: {rows} строк в {out / name}")
    return str(out / name)
