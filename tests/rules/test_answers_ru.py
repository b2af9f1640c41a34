"""Answers as models give them, read as a Russian reader reads them: found by people who tried to fool the rules."""

from __future__ import annotations

import pytest

from ruvlm.rules.match import match_lemma, match_russian
from ruvlm.rules.parse_ru import read_russian, writes_cyrillic

R, F = True, False
FOUR = ["собака", "кошка", "стол", "поезд"]
Y, N, K, Z = ["да", "нет"], ["5", "-5", "0", "1"], ["100", "1000", "10", "1"], ["кот", "пёс", "конь", "слон"]


@pytest.mark.parametrize(
    ("prediction", "gold", "right"),
    [
        ("Ответ -5", "5", F),
        ("Ответ -5", "-5", R),
        ("Ответ: -5", "-5", R),
        ("(−5)", "-5", R),
        ("<5", "5", F),
        (">5", "5", F),
        ("дом 5 100", "дом 5100", F),
        ("1 000", "1000", R),
        ("2³", "23", F),
        ("④", "4", F),
        ("Да, то есть нет", "да", F),
        ("Да, но скорее всего нет", "да", F),
        ("Да вроде нет", "да", F),
        ("Нет. То есть да.", "нет", F),
        ("Нет, на самом деле да", "нет", F),
        ("Нет, данных нет", "нет", F),
        ("Нет, я не могу ответить", "нет", F),
        ("Да, не знаю", "да", F),
        ("Да, не уверен", "да", F),
        ("Да, на столе нет ничего", "да", R),
        ("Нет, стола нет", "нет", R),
        ("Нет, это не кот", "нет", R),
        ("Нет, на снимке нет людей", "нет", R),
        ("Да, на снимке есть кот", "да", R),
        ("Да, это стол.", "да", R),
        ("Нет, он синий", "нет", R),
        ("Да, потому что нет дождя", "да", R),
        ("Вопрос: Есть кот?\nОтвет: да\n\nВопрос: Есть пёс?\nОтвет: нет", "да", R),
        ("Question: Who?\nAnswer: кот\nQuestion: x?\nAnswer: дом", "кот", R),
        ("Ответ: кот\n\nЧто ещё?\nОтвет: дом", "кот", R),
        ("кот\n\nВопрос 2. Что это?\nОтвет: дом", "кот", R),
        ("### Response:\nкошка", "кошка", R),
        ("Bot: кошка", "кошка", R),
        ("<final_answer>кошка</final_answer>", "кошка", R),
        ("<CONCLUSION>кошка</CONCLUSION>", "кошка", R),
        ("<b>кошка</b>", "кошка", R),
        ("&quot;кошка&quot;", "кошка", R),
        ("[EOS]кошка", "кошка", R),
        ("▁кошка", "кошка", R),
        ("{'answer': 'кошка'}", "кошка", R),
        ('[{"answer":"кошка"}]', "кошка", R),
        ('{"answer":["кошка"]}', "кошка", R),
        ('{"answer": true}', "да", R),
        ("• кошка", "кошка", R),
        ("### Ответ\nкошка", "кошка", R),
        ("Ответ\nкошка", "кошка", R),
        ("Короткий ответ: кошка", "кошка", R),
        ("Одним словом: кошка", "кошка", R),
        ("Итог: кошка", "кошка", R),
        ("Вывод: кошка", "кошка", R),
        ("Ответ — это кошка", "кошка", R),
        ("Это кошка.", "кошка", R),
        ("На снимке зверь. Ответ: кошка", "кошка", R),
        ("Кто на снимке? Кошка", "кошка", R),
        ("Есть ли кот? Да", "да", R),
        ("Ответь одним словом.\nкошка", "кошка", R),
        ("Ответ да", "да", R),
        ("Ответ нет", "нет", R),
        ("без кота", "кот", F),
        ("Ответ: кот", "кот", R),
        ("Да.", "да", R),
        ("это", "это", R),
        ("Итого", "итого", R),
        ("<think>A<answer>кошка</answer>", "кошка", R),
        ("5", "5", R),
        ("-5", "-5", R),
        ("10:30", "10:30", R),
        ("да\nда", "да", R),
    ],
)
def test_short_answers(prediction: str, gold: str, right: bool) -> None:
    assert match_russian(prediction, gold) is right
    assert match_lemma(prediction, gold) is right


@pytest.mark.parametrize(
    ("prediction", "letter", "options"),
    [
        ("Ответ: B\nВопрос: Что?\nA. нос\nB. рот\nОтвет: A", "B", FOUR),
        ("B\n\nВопрос: что?\nОтвет: A", "B", FOUR),
        ("Ответ: A. Нет, B.", "B", FOUR),
        ("Ответ: A. Хотя нет, B", "B", FOUR),
        ("Ответ: A, нет, B", "B", FOUR),
        ("Ответ: A. Ошибка. B.", "B", FOUR),
        ("Ответ: A (исправляю: B)", "B", FOUR),
        ("A – нет, B – да", "B", FOUR),
        ("A ❌\nB ✅\nC ❌\nD ❌", "B", FOUR),
        ("A – нет", None, FOUR),
        ("A нет", None, FOUR),
        ("Вариант A исключён", None, FOUR),
        ("не думаю, что A", None, FOUR),
        ("Ответ не может быть A", None, FOUR),
        ("Кошки на снимке нет", None, FOUR),
        ("Нет кошки", None, FOUR),
        ("Без кошки", None, FOUR),
        ("Кошка не подходит", None, FOUR),
        ("кошка – неверно", None, FOUR),
        ("кошка не видна", None, FOUR),
        ("Нет собаки, нет стола. Кошка.", "B", FOUR),
        ("Ответ: кошка. Собака не видна.", "B", FOUR),
        ("да или нет", None, Y),
        ("Да нет", None, Y),
        ("да, но нет", None, Y),
        ("Нет данных", None, Y),
        ("Да, на снимке кот", "A", Y),
        ("Нет, это не кот", "B", Y),
        ("да", "A", Y),
        ("A", "A", Y),
        ("<rationale>Вариант A похож, но надо", None, FOUR),
        ("Okay, let me look. Option A says dog. Hmm, wait", None, FOUR),
        ("Давайте рассмотрим варианты. Вариант A: собака.", None, FOUR),
        ("Сначала проверим вариант A", None, FOUR),
        ("<cot>A</cot>B", "B", FOUR),
        ("<|thinking|>A<|/thinking|>B", "B", FOUR),
        ("<think>A<answer>B</answer>", "B", FOUR),
        ("кошка, A", None, FOUR),
        ("кошка. Ответ: A", None, FOUR),
        ("A, то есть кошка", None, FOUR),
        ("Ответ: в поле конь", "C", Z),
        ("Ответ в картинке", None, Z),
        ("не Б, а В", "C", Z),
        ("-5", "B", N),
        ("5", "A", N),
        ("1 000", "B", K),
        ("A. собака B. кошка C. стол D. поезд", None, FOUR),
        ("Ответ: В", "B", FOUR),
        ("В", "B", FOUR),
        ("вариант В", "B", FOUR),
        ("Ответ: В, кошка", "B", FOUR),
        ("Давайте рассмотрим. Ответ: C", "C", FOUR),
        ("B – кошка", "B", FOUR),
        ("Правильный ответ: B, кошка сидит", "B", FOUR),
    ],
)
def test_letters(prediction: str, letter: str | None, options: list[str]) -> None:
    assert read_russian(prediction, options).letter == letter


def test_one_slip_does_not_turn_the_alphabet_of_a_run() -> None:
    assert writes_cyrillic(["А", "В", "Б", "Г"])
    assert writes_cyrillic(["В) конь"] * 10 + ["Г) слон"])
    assert not writes_cyrillic(["В"] * 30 + ["Д. Медведев", "Где Г стоит", "г. Москва"])
    assert not writes_cyrillic(["В"] * 30 + ["Б"])
