"""What a model answers about a drawn scene, judged: one question, or all that the program asks; and the score so far."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

from ruvlm.demo.drawing import Riddle
from ruvlm.rules.match import match_russian


@dataclass(frozen=True)
class Tally:
    """Right answers of so many questions, by the models' titles."""

    titles: tuple[str, ...]
    right: tuple[int, ...]
    asked: int = 0

    @classmethod
    def empty(cls, titles: Sequence[str]) -> Tally:
        return cls(tuple(titles), (0,) * len(titles))

    def with_question(self, right: Sequence[bool]) -> Tally:
        """After one more question."""
        counts = tuple(count + int(hit) for count, hit in zip(self.right, right, strict=True))
        return Tally(self.titles, counts, self.asked + 1)

    @property
    def words(self) -> str:
        """«nano: 7 из 9»."""
        if not self.asked:
            return "Пока ни одного вопроса с известным ответом."
        return "; ".join(
            f"{title}: верно {n} из {self.asked}" for title, n in zip(self.titles, self.right, strict=True)
        )


def is_right(riddle: Riddle, said: str) -> bool:
    """Of options the very text, else by the Russian rule of exact match."""
    return said == riddle.answer if riddle.options else match_russian(said, riddle.answer)


def sheet(riddles: Sequence[Riddle], said: Sequence[Sequence[str]], titles: Sequence[str]) -> str:
    """All questions as a table of HTML: the right answer, what each model said, marked; everything escaped."""
    head = "".join(f"<th scope='col'>{escape(name)}</th>" for name in ("вопрос", "верно", *titles))
    rows = []
    for riddle, answers in zip(riddles, said, strict=True):
        cells = "".join(f"<td>{'✓' if is_right(riddle, text) else '✗'} {escape(text)}</td>" for text in answers)
        rows.append(f"<tr><th scope='row'>{escape(riddle.asked)}</th><td>{escape(riddle.answer)}</td>{cells}</tr>")
    return f"<table class='ruvlm-sheet'><thead><tr>{head}</tr></thead><tbody>{''.join(rows)}</tbody></table>"
