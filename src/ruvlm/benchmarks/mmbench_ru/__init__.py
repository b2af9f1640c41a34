"""deepvk/MMBench-ru: choices among up to four options, right in every rotation of them (CircularEval; PROTOCOLS.md)."""

from __future__ import annotations

from types import MappingProxyType

from ruvlm.benchmarks.base import Axis, Benchmark, Published
from ruvlm.benchmarks.choice import LetterProtocol, LikelihoodProtocol
from ruvlm.benchmarks.mmbench_ru.rows import MmbenchRows
from ruvlm.data.hub_sets import HubSet
from ruvlm.schema import Generation

CARD = "карточка deepvk/llava-saiga-8b"
# the references read answers to either wording; theirs is the headline
READ = MappingProxyType(
    {
        "mmbench-ru/lmms": "letters-lmms",
        "mmbench-ru/ru": "letters-ru",
        "mmbench-ru/vlmevalkit": "letters-vlmevalkit",
    }
)

# MMBench's categories and the skills that they belong to
CATEGORIES = MappingProxyType(
    {
        "image_style": "стиль картинки",
        "image_scene": "что за место",
        "image_emotion": "настроение",
        "image_quality": "качество картинки",
        "image_topic": "тема картинки",
        "object_localization": "где предмет",
        "attribute_recognition": "признак предмета",
        "celebrity_recognition": "кто это (знаменитость)",
        "ocr": "что написано",
        "spatial_relationship": "кто где относительно кого",
        "attribute_comparison": "сравнение признаков",
        "action_recognition": "что делает",
        "physical_property_reasoning": "физические свойства",
        "function_reasoning": "для чего предмет",
        "identity_reasoning": "кто это по роду занятий",
        "social_relation": "кем приходятся друг другу",
        "nature_relation": "отношения в природе",
        "physical_relation": "что с чем соприкасается",
        "future_prediction": "что будет дальше",
        "structuralized_imagetext_understanding": "таблицы и схемы",
    }
)
SKILLS = MappingProxyType(
    {
        "coarse_perception": "картинка в целом",
        "finegrained_perception (instance-level)": "один предмет",
        "finegrained_perception (cross-instance)": "несколько предметов",
        "attribute_reasoning": "вывод по признакам",
        "relation_reasoning": "вывод по отношениям",
        "logic_reasoning": "логика",
    }
)

BENCHMARK = Benchmark(
    name="mmbench-ru",
    title="MMBench-ru",
    rows=MmbenchRows(),
    protocols=(
        LetterProtocol(
            name="mmbench-ru/lmms",
            benchmark="mmbench-ru",
            generation=Generation(1024, ("ASSISTANT:",)),
            options_line="There are several options:\n",
            instruction="\n\nВыбери правильный вариант ответа буквой.",
            rules=READ,
        ),
        LetterProtocol(
            name="mmbench-ru/ru",
            benchmark="mmbench-ru",
            generation=Generation(1024, ("ASSISTANT:",)),
            options_line="Варианты ответа:\n",
            instruction="\n\nНапиши только букву правильного варианта.",
            rules=READ,
            usual=False,
        ),
        LikelihoodProtocol(
            name="mmbench-ru/likelihood",
            benchmark="mmbench-ru",
            generation=Generation(0),
            instruction="\nОтветь кратко.",
            rules=MappingProxyType(
                {"mmbench-ru/likelihood": "likelihood", "mmbench-ru/likelihood-sum": "likelihood-sum"}
            ),
        ),
    ),
    axes=(
        Axis(
            name="category",
            value=lambda e: e.category,
            of_groups="circular category",
            title="О чём вопрос",
            names=CATEGORIES,
        ),
        Axis(name="l2-category", value=lambda e: e.l2, of_groups="circular l2", title="Умение", names=SKILLS),
        Axis(name="letter", value=lambda e: e.answer, title="Верная буква"),
    ),
    splits=MappingProxyType({"test": "dev", "testdev": "dev"}),
    hub=HubSet(
        name="mmbench-ru",
        repo="deepvk/MMBench-ru",
        splits=MappingProxyType({"dev": ("mmbench_ru_dev.parquet",)}),
        default="dev",
        rows=MappingProxyType({"mmbench_ru_dev": 3_910}),
        licence="Apache-2.0",
    ),
    published=(
        Published(
            model="deepvk/llava-saiga-8b", value=56.65, source=CARD, rule="letters-lmms", split="dev", unit="group"
        ),
        Published(
            model="llava-1.5-7b",
            value=52.25,
            source=f"{CARD}, из вторых рук",
            rule="letters-lmms",
            split="dev",
            unit="group",
        ),
        Published(
            model="deepvk/llava-gemma-2b-lora", value=40.19, source=CARD, rule="letters-lmms", split="dev", unit="group"
        ),
    ),
    auditor="ruvlm.audit.mmbench:check",
    grouped=True,
    steering=60,
)
