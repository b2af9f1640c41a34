"""A plain function as a model: (PIL image, question) -> str."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, final

from ruvlm.backends.base import Access, Asked, Backend
from ruvlm.data.images import load_image
from ruvlm.errors import ConfigError, ModelError
from ruvlm.registry import imported_by_user
from ruvlm.schema import Response

if TYPE_CHECKING:
    from PIL.Image import Image

Answering = Callable[["Image", str], str]


@final
class FunctionBackend(Backend):
    """Asks a function, a question at a time, the options after it as the protocol lists them.

    What a function will answer is not to be known from outside, so its fingerprint is new each time: answers are never
    taken for those of an earlier one.
    """

    def __init__(self, function: Answering, name: str = "") -> None:
        self._function = function
        self.name = name or getattr(function, "__name__", type(function).__name__).strip("<>")
        self.fingerprint = f"function {self.name} {uuid.uuid4().hex}"

    def answer(self, asked: Sequence[Asked]) -> Iterator[Response]:
        for one in asked:
            try:
                said: Any = self._function(load_image(one.prompt.image), one.prompt.text)
            except Exception as error:
                raise ModelError(
                    f"Функция {self.name} упала на вопросе {one.example.id} ({type(error).__name__}: {error}): почините её."
                ) from error
            if not isinstance(said, str):
                raise ModelError(
                    f"Функция {self.name} на вопрос {one.example.id} вернула {type(said).__name__}, а нужен текст (str)."
                )
            yield Response(said)


def open_python(address: str, access: Access) -> Backend:
    """«MODULE:NAME» or «FILE.py:NAME» → a backend, what makes one, or a function (image, question) -> str. Raises ConfigError."""
    made: Any = imported_by_user(address)
    if isinstance(made, type) and issubclass(made, Backend):
        made = made()
    if isinstance(made, Backend):
        return made
    if not callable(made):
        raise ConfigError(
            f"py:{address} – {type(made).__name__}: нужна модель (Backend) или функция (картинка, вопрос) -> str."
        )
    return FunctionBackend(made)
