"""Questions as a Hugging Face model reads them: chat template, the picture's tokens, its pixels once for all questions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import jinja2
from PIL import Image
from torch import Tensor

from ruvlm.errors import DataError, ModelError
from ruvlm.schema import Wording
from ruvlm.thoughts import marked

# what llava-1.5 was trained with, for checkpoints of that family saved without a template
VICUNA = (
    "A chat between a curious user and an artificial intelligence assistant. The assistant gives helpful, detailed, "
    "and polite answers to the user's questions. USER: {image}\n{text} ASSISTANT:"
)
PLAIN = "{image}\n{text}\n"
# inputs that say of every token what it is
TYPES = ("mm_token_type_ids", "token_type_ids")


@dataclass(frozen=True)
class Encoded:
    """Several questions about one picture.

    `ids` are the tokens of each, the picture's included; `types` the kind of every token of the first, by the name of the
    model's input, for models that ask for it: all after `seen` are words; `vision` the picture's inputs; `seen` is where
    the picture's tokens end in every row.
    """

    ids: list[list[int]]
    types: dict[str, list[int]]
    vision: dict[str, Tensor]
    seen: int


class PromptReader:
    """A processor together with the way its model is spoken to."""

    def __init__(self, processor: Any, model_type: str, thinking: bool = False) -> None:
        self.processor, self._type, self._thinking = processor, model_type, thinking
        self.image_token = str(getattr(processor, "image_token", None) or "<image>")
        self._image_id: int = processor.tokenizer.convert_tokens_to_ids(self.image_token)
        # what stands for a picture once its mark is expanded: not always the mark itself
        self._picture_ids = {self._image_id, getattr(processor, "image_token_id", None)}
        template = processor.chat_template or processor.tokenizer.chat_template
        self.templated = bool(template)
        # a template that asks whether the model is to think aloud
        self.thinks = "enable_thinking" in str(template)
        special = [str(token) for token in processor.tokenizer.all_special_tokens]
        self._thought_marks = [token for token in special if marked(token)]
        self._other_marks = [token for token in special if token not in self._thought_marks]

    def worded(self, said: Wording, pictures: int = 1) -> str:
        """A question in the model's template. Raises DataError if it holds the model's own mark of a picture."""
        if self.image_token in said.text + said.system:
            raise DataError(f"В вопросе «{said.text[:60]}» стоит служебная метка {self.image_token}: уберите её.")
        if not self.templated:
            return self._untemplated(said, pictures)
        content = [
            {"type": "image"} if part is None else {"type": "text", "text": part} for part in said.content(pictures)
        ]
        system = [{"role": "system", "content": [{"type": "text", "text": said.system}]}] if said.system else []
        template = self.processor if self.processor.chat_template else self.processor.tokenizer
        try:
            worded: str = template.apply_chat_template(
                [*system, {"role": "user", "content": content}],
                tokenize=False,
                add_generation_prompt=True,
                enable_thinking=self._thinking,
                thinking=self._thinking,
            )
        except (
            jinja2.TemplateError,
            ValueError,
            TypeError,
            KeyError,
            AttributeError,
            OverflowError,
            ArithmeticError,
        ) as error:
            first = (str(error).strip().splitlines() or [type(error).__name__])[0][:200]
            raise ModelError(
                f"Шаблон беседы модели (chat_template) не исполняется ({first}): исправьте его или возьмите другую модель."
            ) from error
        return worded

    def _untemplated(self, said: Wording, pictures: int) -> str:
        """As plain text, for a model that was never taught to chat."""
        template = VICUNA if self._type.startswith("llava") else PLAIN
        # BLIP-2's processor puts its picture before the text itself
        mark = "" if getattr(self.processor, "num_query_tokens", None) else self.image_token
        if not said.parts and pictures == 1:
            worded = template.format(image=mark, text=said.text).lstrip("\n")
        else:
            marks = [mark if part is None else part for part in said.content(pictures)]
            worded = template.format(image="", text="\n".join(marks)).replace("USER: \n", "USER: ").lstrip("\n")
        return f"{said.system}\n{worded}" if said.system else worded

    def batch(self, pictures: Sequence[Sequence[Image.Image]], said: Sequence[Wording]) -> dict[str, Tensor]:
        """The processor's own way: the pictures of each question, as many for all, padded on the left."""
        worded = [self.worded(one, len(pictures[0])) for one in said]
        given = {"images": [list(some) for some in pictures]} if pictures[0] else {}
        inputs: dict[str, Tensor] = self.processor(
            **given,
            text=worded,
            padding=True,
            return_tensors="pt",
            **self._special(worded),
        )
        return dict(inputs)

    def _special(self, worded: Sequence[str]) -> dict[str, bool]:
        """As transformers' apply_chat_template(tokenize=True): a template that writes the beginning-of-text itself gets no other."""
        begins = self.processor.tokenizer.bos_token
        return {"add_special_tokens": False} if begins and worded[0].startswith(begins) else {}

    @property
    def begins_itself(self) -> bool:
        """Does the model's template write its own beginning-of-text?"""
        return self.templated and bool(self._special([self.worded(Wording("?"))]))

    def encode(self, image: Image.Image, said: Sequence[Wording]) -> Encoded:
        """All questions about a picture, its pixels prepared once.

        The processor expands the picture's mark in the first question; the others get the same expansion. Raises ValueError
        where that expansion cannot be told from the words around it.
        """
        worded = [self.worded(one) for one in said]
        special = self._special(worded)
        first = dict(self.processor(images=[[image]], text=worded[:1], return_tensors="pt", **special))
        ids: list[int] = first.pop("input_ids")[0].tolist()
        first.pop("attention_mask", None)
        types = {name: first.pop(name)[0].tolist() for name in TYPES if name in first}
        plain: list[list[int]] = self.processor.tokenizer(worded, **special)["input_ids"]
        rows = self._replaced(plain, ids) or self._retold(worded, ids)
        marked = 1 + max((n for n, token in enumerate(ids) if token in self._picture_ids), default=-1)
        return Encoded(rows, types, first, marked or len(ids) - _common_end(ids, plain[0]))

    def _replaced(self, plain: list[list[int]], ids: list[int]) -> list[list[int]] | None:
        """Rows with their one mark replaced by what the first row has there in `ids`.

        None where it cannot be told, or where a word stands at the expansion's edge (Idefics2 puts a space there): with the
        words of another question it might be another token.
        """
        mark = self._image_id
        if any(row.count(mark) != 1 for row in plain) or len({row.index(mark) for row in plain}) > 1:
            return None
        place = plain[0].index(mark)
        end = len(ids) - (len(plain[0]) - place - 1)
        if ids[:place] != plain[0][:place] or ids[end:] != plain[0][place + 1 :] or end <= place:
            return None
        if not {ids[place], ids[end - 1]} <= self.processor.tokenizer.added_tokens_decoder.keys():
            return None
        return [row[:place] + ids[place:end] + row[place + 1 :] for row in plain]

    def _retold(self, worded: Sequence[str], ids: list[int]) -> list[list[int]]:
        """Rows tokenised anew from the text into which the processor turned the first: for marks that words merge with.

        Gemma 3 puts newlines around its picture, which become one token with those of the template.
        """
        tokenizer = self.processor.tokenizer
        whole = tokenizer.decode(ids, skip_special_tokens=False, clean_up_tokenization_spaces=False)
        same = _common_end(worded[0], whole)
        head, lead = worded[0][: len(worded[0]) - same], whole[: len(whole) - same]
        if not same or not all(text.startswith(head) for text in worded):
            raise ValueError("процессор модели переставляет слова вокруг картинки")
        texts = [lead + text[len(head) :] for text in worded]
        rows: list[list[int]] = tokenizer(texts, add_special_tokens=False)["input_ids"]
        if rows[0] != ids:
            raise ValueError("процессор модели переставляет слова вокруг картинки")
        return rows

    def option(self, text: str, said: Wording) -> list[int]:
        """Tokens of an answer that continues a worded prompt."""
        # how a prompt ends is not for its pictures to say
        lead = "" if self.worded(Wording(said.text))[-1:].isspace() else " "
        ids: list[int] = self.processor.tokenizer(lead + text, add_special_tokens=False)["input_ids"]
        return ids

    def decode(self, tokens: Sequence[int]) -> str:
        """Text of an answer, without the model's marks but for those of its thoughts."""
        tokenizer = self.processor.tokenizer
        text: str = tokenizer.decode(list(tokens), skip_special_tokens=not self._thought_marks)
        for mark in self._other_marks if self._thought_marks else ():
            text = text.replace(mark, "")
        return text


def _common_end(one: Sequence[object], other: Sequence[object]) -> int:
    """How many last items two sequences share."""
    pairs = zip(reversed(one), reversed(other), strict=False)
    return next((n for n, (a, b) in enumerate(pairs) if a != b), min(len(one), len(other)))


def common_prefix(rows: Sequence[list[int]]) -> int:
    """How many first tokens all rows share, at least one of every row left over."""
    shortest, other = min(rows), max(rows)
    limit = min(map(len, rows)) - 1
    for n, (a, b) in enumerate(zip(shortest, other, strict=False)):
        if n == limit or a != b:
            return n
    return limit
