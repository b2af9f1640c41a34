"""Every benchmark that there is: each folder beside this file that holds one. A further benchmark is a further folder."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from importlib import import_module
from pkgutil import iter_modules
from types import MappingProxyType

import ruvlm.benchmarks
from ruvlm.benchmarks.base import Benchmark, Protocol
from ruvlm.benchmarks.cards.carded import benchmark_of
from ruvlm.benchmarks.cards.read_card import card_values, read_card, shipped_cards
from ruvlm.benchmarks.gqa_ru import BENCHMARK as GQA_RU
from ruvlm.benchmarks.mmbench_ru import BENCHMARK as MMBENCH_RU
from ruvlm.benchmarks.wordings import MARK, worded_as
from ruvlm.data.conversations import LLAVA_INSTRUCT
from ruvlm.data.hub_sets import HubSet
from ruvlm.errors import ConfigError, DataError
from ruvlm.rules.named import MATCHERS, READERS
from ruvlm.schema import Dataset, Result, Verdict

# whose wordings and rules serve where no benchmark is named: a question typed by hand, a file of answers
SHORT, CHOICE = GQA_RU, MMBENCH_RU


# what users' cards describe, from the moment that a card is opened
_described: dict[str, Benchmark] = {}


def benchmarks() -> Mapping[str, Benchmark]:
    """By name: those of the house in the order of their folders, then those whose cards were opened."""
    own = house_benchmarks()
    return MappingProxyType({**own, **_described}) if _described else own


def house_benchmarks() -> Mapping[str, Benchmark]:
    """Those that are a folder here."""
    return _benchmarks(tuple(ruvlm.benchmarks.__path__))


def describe(benchmark: Benchmark, replacing: bool = False) -> None:
    """Know a benchmark by its name from now on.

    Raises ConfigError for the name of one that is a folder here, unless it is to take its place.
    """
    if benchmark.name in house_benchmarks() and not replacing:
        raise ConfigError(
            f"Карточка зовёт набор «{benchmark.name}», а такой здесь уже есть: назовите его иначе или дайте карточку ключом --card."
        )
    _described[benchmark.name] = benchmark


@lru_cache(maxsize=4)
def _benchmarks(places: tuple[str, ...]) -> Mapping[str, Benchmark]:
    names = sorted(module.name for module in iter_modules(places) if module.ispkg and module.name != "cards")
    known: list[Benchmark] = [import_module(f"ruvlm.benchmarks.{name}").BENCHMARK for name in names]
    return MappingProxyType({benchmark.name: benchmark for benchmark in known})


def benchmark_or_none(name: str) -> Benchmark | None:
    """One that is known, or whose card comes with the package; of a card that leaves columns to be guessed nothing is known."""
    known = benchmarks().get(name)
    path = shipped_cards().get(name)
    if known is not None or path is None:
        return known
    try:
        return benchmark_of(read_card(path))
    except DataError:
        return None


def benchmark_named(name: str) -> Benchmark:
    """Raises ConfigError for a name that no benchmark has."""
    if name not in benchmarks():
        raise ConfigError(f"Набора «{name}» нет: есть {', '.join(benchmarks())}.{_near(name, benchmarks())}")
    return benchmarks()[name]


def protocols() -> Mapping[str, Protocol]:
    """By name."""
    return {protocol.name: protocol for benchmark in benchmarks().values() for protocol in benchmark.protocols}


def protocol_named(name: str) -> Protocol:
    """One by its name, in a wording of ours where a number of that follows. Raises ConfigError for a name that none has."""
    known = protocols()
    base, mark, number = name.partition(MARK)
    if mark and base in known and number.isdecimal():
        return worded_as(benchmark_named(known[base].benchmark), known[base], int(number))
    if name not in known:
        raise ConfigError(f"Протокола «{name}» нет: есть {', '.join(known)}.")
    return known[name]


def score(protocol: Protocol, dataset: Dataset, verdicts: list[Verdict] | tuple[Verdict, ...]) -> Result:
    """Every figure of a data set's benchmark."""
    return benchmark_named(dataset.name).score(protocol, dataset, verdicts)


def matcher_named(name: str) -> str:
    """A matcher's own name from it, or from what some benchmark's figures by it are called. Raises ConfigError."""
    return _rule(name, MATCHERS, "сравнения")


def reader_named(name: str) -> str:
    """A reader's own name from it, or from what some benchmark's figures by it are called. Raises ConfigError."""
    return _rule(name, READERS, "чтения")


def _rule(name: str, table: Mapping[str, object], what: str) -> str:
    labels = {
        label: rule for protocol in protocols().values() for label, rule in protocol.rules.items() if rule in table
    }
    if name in table:
        return name
    if name not in labels:
        raise ConfigError(f"Правила {what} «{name}» нет: есть {', '.join((*table, *labels))}.")
    return labels[name]


def hub_sets() -> Mapping[str, HubSet]:
    """Everything that can be fetched: the benchmarks that are published on the hub, and the sets to train on."""
    published = [benchmark.hub for benchmark in benchmarks().values() if benchmark.hub is not None]
    return {hub.name: hub for hub in (*published, LLAVA_INSTRUCT)}


def hub_set(name: str) -> HubSet:
    """A set by its name here or on the hub. Raises ConfigError that lists them."""
    for known in hub_sets().values():
        if name.lower() in (known.name, known.repo.lower()):
            return known
    raise ConfigError(
        f"Набора «{name}» на хабе не знаю: есть {', '.join((*hub_sets(), *shipped_cards()))}."
        f"{_near(name.lower(), (*hub_sets(), *shipped_cards()))}"
    )


def _near(name: str, known: Iterable[str]) -> str:
    near = difflib.get_close_matches(name, list(known), 1)
    return f" Может быть, «{near[0]}»?" if near else ""


@dataclass(frozen=True, kw_only=True)
class ListedBenchmark:
    """What is said of a benchmark in a list: `human` is people's published figure, per cent, by `human_rule`."""

    name: str
    title: str
    licence: str
    rules: tuple[str, ...]
    repo: str
    choice: bool
    hidden: bool
    human: float | None
    human_rule: str


def listed_benchmarks() -> list[ListedBenchmark]:
    """Every benchmark that has a name here, those of the house first."""
    rows = [_listed(one, one.hub.licence, one.hub.repo) for one in house_benchmarks().values() if one.hub is not None]
    for path in shipped_cards().values():
        values = card_values(path)
        known = benchmark_or_none(path.stem)
        about, source = values["benchmark"], values["source"]
        if known is not None:
            rows.append(_listed(known, about["licence"], source["repo"], about.get("hidden_answers", False)))
            continue
        first = values["protocol"][0]
        rows.append(
            ListedBenchmark(
                name=path.stem,
                title=about["title"],
                licence=about["licence"],
                rules=tuple(first["rules"]),
                repo=source["repo"],
                choice=first["kind"] == "choice",
                hidden=False,
                human=None,
                human_rule="",
            )
        )
    return rows


def _listed(benchmark: Benchmark, licence: str, repo: str, hidden: bool = False) -> ListedBenchmark:
    people = next((figure for figure in benchmark.published if figure.model == "человек"), None)
    return ListedBenchmark(
        name=benchmark.name,
        title=benchmark.title,
        licence=licence,
        rules=tuple(benchmark.protocols[0].rules.values()),
        repo=repo,
        choice=benchmark.choice,
        hidden=hidden,
        human=people.value if people is not None else None,
        human_rule=people.rule if people is not None else "",
    )
