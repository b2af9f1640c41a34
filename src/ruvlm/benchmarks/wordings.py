"""The same question in other words: what a benchmark itself has, then wordings of ours.

Ours are for asking the same rows again; none of them is any benchmark's own, and no figure under them is one.
"""

from __future__ import annotations

from dataclasses import replace

from ruvlm.benchmarks.base import Benchmark, Protocol
from ruvlm.errors import ConfigError

# what stands between a protocol's name and the number of a wording of ours
MARK = "~"
SHORT = {
    "ru": (
        "Посмотри на картинку и ответь на вопрос одним словом.\n{question}",
        "Вопрос: {question}\nКраткий ответ:",
        "{question}\nНапиши только ответ, без пояснений.",
        "{question}\nОтвет – одно-два слова.",
        "Вот картинка. {question} Ответь коротко.",
        "Ответь на вопрос по картинке одним словом или короткой фразой: {question}",
        "{question}",
    ),
    "en": (
        "Look at the picture and answer in one word.\n{question}",
        "Question: {question}\nShort answer:",
        "{question}\nWrite the answer only, no explanation.",
        "{question}\nAnswer in one or two words.",
        "Here is a picture. {question} Answer briefly.",
        "Answer the question about the picture using a single word or phrase: {question}",
        "{question}",
    ),
}
LETTER = {
    "ru": (
        "{question}\n{options}\nОтветь буквой верного варианта.",
        "Выбери верный вариант.\n\n{question}\n{options}\n\nОтвет (одна буква):",
        "Вопрос: {question}\nВарианты:\n{options}\nНапиши только букву.",
        "Посмотри на картинку. {question}\n\n{options}\n\nКакой вариант верен? Назови его букву.",
        "{question}\nЕсть такие ответы:\n{options}\nБуква правильного ответа:",
        "Реши задание по картинке и укажи букву ответа.\n{question}\n{options}",
    ),
    "en": (
        "{question}\n{options}\nAnswer with the option's letter from the given choices directly.",
        "Choose the right option.\n\n{question}\n{options}\n\nAnswer (one letter):",
        "Question: {question}\nOptions:\n{options}\nWrite the letter only.",
        "Look at the picture. {question}\n\n{options}\n\nWhich option is right? Name its letter.",
        "{question}\nThe answers are:\n{options}\nThe letter of the right one:",
        "Solve the task about the picture and give the letter of the answer.\n{question}\n{options}",
    ),
}


def other_wordings(benchmark: Benchmark, protocol: Protocol, count: int) -> tuple[Protocol, ...]:
    """`count` further ways of asking the same and judging it by the same rules: the benchmark's own first, then ours.

    Raises ConfigError where there are not so many, or the protocol does not ask in words.
    """
    if protocol.likelihood:
        raise ConfigError(f"--prompts: протокол {protocol.name} ни о чём не просит словами, других просьб у него нет.")
    own = [one for one in benchmark.protocols if one is not protocol and _alike(one, protocol)][:count]
    ours = () if protocol.fixed else _templates(benchmark.language, protocol)
    if len(own) + len(ours) < count:
        why = (
            "; своими словами его не спросить: просьба своя в каждой строке или её требует правило"
            if protocol.fixed
            else ""
        )
        raise ConfigError(f"--prompts {count + 1}: просьб у {protocol.name} есть {1 + len(own) + len(ours)}{why}.")
    return (*own, *(worded_as(benchmark, protocol, number + 1) for number in range(count - len(own))))


def worded_as(benchmark: Benchmark, protocol: Protocol, number: int) -> Protocol:
    """A protocol with wording `number` of ours, counted from 1. Raises ConfigError where there is none."""
    templates = _templates(benchmark.language, protocol)
    if protocol.likelihood or protocol.fixed or not 1 <= number <= len(templates):
        raise ConfigError(f"Просьбы «{protocol.name}{MARK}{number}» нет: наших здесь {len(templates)}.")
    return replace(protocol, name=f"{protocol.name}{MARK}{number}", template=templates[number - 1], usual=False)


def _templates(language: str, protocol: Protocol) -> tuple[str, ...]:
    table = LETTER if protocol.asks_letter else SHORT
    return table.get(language, table["en"])


def _alike(one: Protocol, other: Protocol) -> bool:
    """Asked in words for the same kind of answer, and judged by the same rules?"""
    kinds = [(p.asks_letter, p.likelihood, p.system, p.generation, dict(p.rules)) for p in (one, other)]
    return kinds[0] == kinds[1]
