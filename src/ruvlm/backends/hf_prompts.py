"""Questions as a Hugging Face model reads them: chat template, the picture's tokens, its pixels once for all questions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from PIL import Image
from torch import Tensor

from ruvlm.errors import DataError

# what llava-1.5 was trained with, for checkpoints of that family saved without a template
VICUNA = (
    "A chat between a curious user and an artificial intelligence assistant. The assistant gives helpful, detailed, "
    "and polite answers to the user's questions. USER: {image}\n{text} ASSISTANT:"
)
PLAIN = "{image}\n{text}\n"


@dataclass(frozen=True)
class Encoded:
    """Several questions about one picture.

    `ids` are the tokens of each, the picture's included; `types` their modality, where the model asks for it; `vision`
    the picture's inputs; `seen` is where the picture's tokens end in every row.
    """

    ids: list[list[int]]
    types: list[list[int]] | None
    vision: dict[str, Tensor]
    seen: int


class PromptReader:
    """A processor together with the way its model is spoken to."""

    def __init__(self, processor: Any, model_type: str) -> None:
        self.processor, self._type = processor, model_type
        self.image_token: str = getattr(processor, "image_token", None) or "<image>"
        self._image_id: int = processor.tokenizer.convert_tokens_to_ids(self.image_token)
        self.templated = bool(processor.chat_template or processor.tokenizer.chat_template)

    def worded(self, text: str) -> str:
        """A question in the model's template. Raises DataError if it holds the model's own mark of a picture."""
        if self.image_token in text:
            raise DataError(f"В вопросе «{text[:60]}» стоит служебная метка {self.image_token}: уберите её.")
        if not self.templated:
            template = VICUNA if self._type.startswith("llava") else PLAIN
            return template.format(image=self.image_token, text=text)
        content = [{"type": "image"}, {"type": "text", "text": text}]
        template = self.processor if self.processor.chat_template else self.processor.tokenizer
        worded: str = template.apply_chat_template(
            [{"role": "user", "content": content}], tokenize=False, add_generation_prompt=True
        )
        return worded

    def batch(self, images: Sequence[Image.Image], texts: Sequence[str]) -> dict[str, Tensor]:
        """The processor's own way: a picture a question, padded on the left."""
        found: dict[str, Tensor] = self.processor(
            images=[[image] for image in images], text=[self.worded(text) for text in texts], padding=True, return_tensors="pt"
        )  # fmt: skip
        return dict(found)

    def encode(self, image: Image.Image, texts: Sequence[str]) -> Encoded:
        """All questions about a picture, its pixels prepared once.

        The processor expands the picture's mark in the first question; the others get the same expansion. Raises ValueError
        where that expansion cannot be told from the words around it.
        """
        worded = [self.worded(text) for text in texts]
        first = dict(self.processor(images=[[image]], text=worded[:1], return_tensors="pt"))
        ids = first.pop("input_ids")[0].tolist()
        types = first.pop("mm_token_type_ids", None)
        first.pop("attention_mask", None)
        plain: list[list[int]] = self.processor.tokenizer(worded)["input_ids"]
        place = plain[0].index(self._image_id)
        tail = len(plain[0]) - place - 1
        seen = len(ids) - tail
        if ids[:place] != plain[0][:place] or ids[seen:] != plain[0][place + 1 :]:
            raise ValueError("процессор модели переставляет слова вокруг картинки")
        rows = [_expanded(row, self._image_id, ids[place:seen], place) for row in plain]
        shared = None if types is None else types[0].tolist()[:seen]
        kinds = None if shared is None else [shared + [0] * (len(row) - seen) for row in rows]
        return Encoded(rows, kinds, first, seen)

    def option(self, text: str, prompt: str) -> list[int]:
        """Tokens of an answer that continues a worded prompt."""
        lead = "" if self.worded(prompt)[-1:].isspace() else " "
        ids: list[int] = self.processor.tokenizer(lead + text, add_special_tokens=False)["input_ids"]
        return ids

    def decode(self, tokens: Sequence[int]) -> str:
        """Text of an answer, without the model's marks."""
        text: str = self.processor.tokenizer.decode(list(tokens), skip_special_tokens=True)
        return text


def _expanded(row: list[int], mark: int, run: list[int], place: int) -> list[int]:
    if row.count(mark) != 1 or row[place] != mark:
        raise ValueError("шаблон модели ставит картинку в разных вопросах на разные места")
    return row[:place] + run + row[place + 1 :]


def common_prefix(rows: Sequence[list[int]]) -> int:
    """How many first tokens all rows share, at least one of every row left over."""
    shortest, other = min(rows), max(rows)
    limit = min(map(len, rows)) - 1
    for n, (a, b) in enumerate(zip(shortest, other, strict=False)):
        if n == limit or a != b:
            return n
    return limit
