"""deepvk/GQA-ru: short answers about 398 photographs, by exact match (PROTOCOLS.md)."""

from __future__ import annotations

from types import MappingProxyType

from ruvlm.benchmarks.base import Axis, Benchmark, Published
from ruvlm.benchmarks.gqa_ru.metrics import NOT_COMPUTED, gqa_metrics
from ruvlm.benchmarks.gqa_ru.rows import GqaRows
from ruvlm.benchmarks.gqa_ru.type_names import DETAILED, SEMANTIC, STRUCTURAL
from ruvlm.benchmarks.short import ShortProtocol
from ruvlm.data.hub_sets import HubSet
from ruvlm.schema import Example, Generation

SPATIAL = ("to the left of", "to the right of", ",above", ",below", ",near")
CARD = "карточка deepvk/llava-saiga-8b"


def is_spatial(example: Example) -> bool:
    """Does the program relate things in space?"""
    return any(name in example.program for name in SPATIAL)


def _length(question: str) -> str:
    """How many words a question has, in threes."""
    start = 3 * min(5, (max(1, len(question.split())) - 1) // 3) + 1
    return f"{start}–{start + 2}" if start < 16 else "16 и больше"


def _files(split: str) -> tuple[str, ...]:
    return tuple(f"{split}_balanced_{kind}/{split}-*.parquet" for kind in ("instructions", "images"))


BENCHMARK = Benchmark(
    name="gqa-ru",
    title="GQA-ru",
    rows=GqaRows(),
    protocols=(
        ShortProtocol(
            name="gqa-ru/lmms",
            benchmark="gqa-ru",
            generation=Generation(16, ("\n\n",)),
            instruction="\nОтветь одним словом.",
            rules=MappingProxyType(
                {
                    "gqa-ru/lmms": "exact",
                    "gqa-ru/ru": "exact-ru",
                    "gqa-ru/lemma": "lemma",
                    "gqa-ru/vlmevalkit": "exact-vlmevalkit",
                }
            ),
        ),
    ),
    axes=(
        Axis(name="structural", value=lambda e: e.structural, title="Тип вопроса", names=STRUCTURAL),
        Axis(name="semantic", value=lambda e: e.semantic, title="О чём вопрос", names=SEMANTIC),
        Axis(name="detailed", value=lambda e: e.detailed, title="Подробный тип", names=DETAILED),
        Axis(name="spatial", value=lambda e: "пространственные" if is_spatial(e) else None, title="Где что стоит"),
        Axis(
            name="steps",
            value=lambda e: str(min(9, e.program.count("->") + 1)) if e.program else None,
            title="Шагов рассуждения",
        ),
        Axis(name="length", value=lambda e: _length(e.question), title="Слов в вопросе"),
        Axis(
            name="answer",
            value=lambda e: "да/нет" if e.answer.strip().lower() in ("да", "нет") else "открытый",
            title="Вид ответа",
        ),
    ),
    splits=MappingProxyType({"test": "testdev", "dev": "testdev"}),
    hub=HubSet(
        name="gqa-ru",
        repo="deepvk/GQA-ru",
        splits=MappingProxyType({split: _files(split) for split in ("testdev", "train")}),
        default="testdev",
        rows=MappingProxyType(
            {
                "testdev_balanced_instructions": 12_216,
                "testdev_balanced_images": 398,
                "train_balanced_instructions": 40_000,
                "train_balanced_images": 27_519,
            }
        ),
        licence="Apache-2.0",
    ),
    metrics=gqa_metrics,
    notes=(NOT_COMPUTED,),
    published=(
        Published(model="deepvk/llava-saiga-8b", value=51.44, source=CARD, rule="exact", split="testdev", unit="row"),
        Published(
            model="deepvk/llava-gemma-2b-lora", value=46.37, source=CARD, rule="exact", split="testdev", unit="row"
        ),
        Published(
            model="llava-1.5-7b",
            value=28.39,
            source=f"{CARD}, из вторых рук",
            rule="exact",
            split="testdev",
            unit="row",
        ),
    ),
    auditor="ruvlm.audit.gqa:check",
)
