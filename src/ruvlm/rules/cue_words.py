"""Words by which a Russian or English answer says that a letter is its answer, mentions it, denies it or takes it back."""

from __future__ import annotations

import re

# marks beside options: «A ❌, B ✅»
MARKS = str.maketrans(
    {"❌": " неверно ", "✗": " неверно ", "✘": " неверно ", "✅": " верно ", "✓": " верно ", "✔": " верно "}
)
# an answer that only begins to look at the options
MUSING = re.compile(
    r"\A\W*(?:давайте|рассмотрим|сначала|начн[её]м|хорошо, (?:рассмотрим|посмотрим)|let me|let's|okay,? (?:so|let)|thinking process|first,)",
    re.IGNORECASE,
)
CORRECTIONS = frozenset(
    {
        "нет",
        "хотя",
        "ошибка",
        "ошибся",
        "ошиблась",
        "исправляю",
        "точнее",
        "вернее",
        "actually",
        "no",
        "wait",
        "correction",
    }
)
CUES = frozenset(
    {
        "ответ",
        "ответы",
        "ответа",
        "ответом",
        "вариант",
        "варианта",
        "вариантом",
        "вариантов",
        "буква",
        "букву",
        "буквой",
    }
    | {"пункт", "выбор", "выбираю", "выберу", "option", "answer", "choice", "letter"}
)
# words that may stand between a cue and its letter: «правильный ответ на вопрос – B», «answer is B»
LINKS = frozenset(
    {
        "это",
        "этот",
        "под",
        "буквой",
        "буква",
        "номер",
        "правильный",
        "верный",
        "вариант",
        "на",
        "вопрос",
        "будет",
        "является",
    }
    | {"is", "the", "option", "letter", "correct", "за", "именно", "мой"}
)
SKIPPED = CUES | LINKS
# «не думаю, что A», «не может быть A»
BETWEEN = frozenset({"думаю", "считаю", "что", "может", "быть"})
EITHER = frozenset({"или", "либо", "or"})
JOINTS = EITHER | {"и", "and"}
NEGATIONS = frozenset({"не", "ни", "not", "кроме"})
CORRECT = frozenset(
    {
        "верно",
        "верный",
        "верен",
        "верна",
        "правильно",
        "правильный",
        "правилен",
        "correct",
        "right",
        "подходит",
        "подходят",
    }
)
WRONG = frozenset(
    {"неверно", "неверный", "неверен", "неверна", "неправильно", "неправильный", "неправилен", "ошибочен", "ошибочный"}
    | {
        "неверны",
        "неправильны",
        "incorrect",
        "wrong",
        "false",
        "исключается",
        "исключаем",
        "отпадает",
        "исключен",
        "исключён",
    }
)
# cues that declare an answer; «вариант» and the like only mention a letter, unless it is called the right one
DECLARING = frozenset(
    {"ответ", "ответы", "ответа", "ответом", "выбираю", "выберу", "выбор", "answer", "answers", "choose", "choice"}
)
QUALIFIERS = CORRECT | {"верного", "правильного", "правильным", "верным", "best", "final", "лучший"}
# a text that breaks off at such a word was not over
DANGLING = frozenset({"но", "и", "или", "хотя", "однако", "but", "and", "or", "though", "however", "because", "hmm"})
