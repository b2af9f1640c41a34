"""A plain function as a model: (PIL image, question) -> str."""

from __future__ import annotations

import hashlib
import inspect
import uuid
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, final

from ruvlm.backends.base import Access, Asked, Backend
from ruvlm.data.images import load_image
from ruvlm.errors import ConfigError, ModelError
from ruvlm.registry import imported_by_user
from ruvlm.schema import Response

if TYPE_CHECKING:
    from PIL.Image import Image

Answering = Callable[["Image", str], str]
RESERVED = frozenset({"random", "majority", "question-only", "blind", "no-picture", "guess", "shuffled"})


@final
class FunctionBackend(Backend):
    """Asks a function, a question at a time, the options after it as the protocol lists them.

    What a function will answer is not to be known from outside: without a `mark` of its source its fingerprint is new each time, and its
    answers are never taken for those of an earlier one. What a call costs is not known either: it is not asked blind unless that is wanted.
    """

    free = False
    lasting = False

    def __init__(self, function: Answering, name: str = "", mark: str = "") -> None:
        self._function = function
        named = name or getattr(function, "__name__", type(function).__name__).strip("<>")
        # what controls are called is not a model's name
        self.name = f"function-{named}" if named in RESERVED else named
        self.fingerprint = f"function {self.name} {mark or uuid.uuid4().hex}"

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
    place, _, name = address.rpartition(":")
    if not callable(made):
        raise ConfigError(
            f"py:{address} – {type(made).__name__}: нужна модель (Backend) или функция (картинка, вопрос) -> str."
        )
    # the file that it is in says whether it is still the same; all that it imports does not
    mark = source_mark(made)
    return FunctionBackend(made, f"{Path(place).stem}.{name}-{mark[:4]}", mark)


def source_mark(made: Any) -> str:
    """A hash of the file that something is defined in; of its name where there is no file."""
    try:
        text = Path(inspect.getsourcefile(made) or "").read_bytes()
    except (TypeError, OSError):
        text = repr(made).encode()
    return hashlib.sha256(text).hexdigest()[:16]
