"""Any OpenAI-compatible server: vLLM, SGLang, Ollama, llama.cpp, a cloud. Keys come from the environment only."""

from __future__ import annotations

import asyncio
import base64
import io
import itertools
import os
import time
from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from typing import Any
from urllib.parse import urlsplit

from PIL import Image

from ruvlm.backends.base import Access, Asked, Backend, TextModel, until
from ruvlm.data.images import decode, read_bytes
from ruvlm.errors import ConfigError, ModelError
from ruvlm.schema import Generation, ImageRef, Response

KEYS = ("RUVLM_API_KEY", "OPENAI_API_KEY")
# so many requests failed for good one after another: the server is gone, and asking on would only take time
GONE = 16
MEDIA = {"JPEG": "image/jpeg", "PNG": "image/png", "WEBP": "image/webp", "GIF": "image/gif"}
ORIENTATION = 0x0112


class OpenAIBackend(Backend, TextModel):
    """A model behind an address. Answers come in order; up to `requests` questions are under way at once."""

    free = False

    def __init__(self, model: str, url: str, access: Access) -> None:
        self.name, self.fingerprint = f"openai:{model}", f"openai {model} {url}"
        self._model, self._url = model, url
        self._key = next((os.environ[name] for name in KEYS if os.environ.get(name)), "none")
        self._requests, self._timeout, self._retries = access.requests, access.timeout_s, access.retries
        self._limit_name = "max_tokens"
        self._failed = 0
        self.prices = access.prices

    def answer(self, asked: Sequence[Asked]) -> Iterator[Response]:
        pictures = _Pictures()

        async def ask(client: Any, item: Asked) -> Response:
            picture = {"type": "image_url", "image_url": {"url": pictures.uri(item.prompt.image)}}
            return await self._ask(
                client, [picture, {"type": "text", "text": item.prompt.text}], item.prompt.generation
            )

        yield from self._in_order(ask, asked)

    def complete(self, texts: Sequence[str], generation: Generation) -> Iterator[Response]:
        """Answers to texts without pictures, in order."""

        async def ask(client: Any, text: str) -> Response:
            return await self._ask(client, text, generation)

        yield from self._in_order(ask, texts)

    def _in_order(self, ask: Callable[[Any, Any], Awaitable[Response]], items: Sequence[Any]) -> Iterator[Response]:
        """Answers in order; whatever is under way is dropped at once when the caller stops."""
        import openai

        loop = asyncio.new_event_loop()
        # the client waits between tries: exponentially, with jitter, and as long as Retry-After says
        client = openai.AsyncOpenAI(
            base_url=self._url, api_key=self._key, timeout=self._timeout, max_retries=self._retries
        )
        places = asyncio.Semaphore(self._requests)

        async def placed(item: Any) -> Response:
            async with places:
                return await ask(client, item)

        coming = (loop.create_task(placed(item)) for item in items)
        under_way = deque(itertools.islice(coming, 2 * self._requests))
        try:
            while under_way:
                response = loop.run_until_complete(under_way[0])
                under_way.popleft()
                under_way.extend(itertools.islice(coming, 1))
                yield response
                self._count(response)
        finally:
            loop.run_until_complete(_abandon(client, under_way))
            loop.close()

    def _count(self, response: Response) -> None:
        """Give up on a server that has failed too many times in a row."""
        self._failed = self._failed + 1 if response.error else 0
        if self._failed >= GONE:
            raise ModelError(
                f"Сервер {self._url} не отвечает: неудачных запросов подряд {GONE} (последний – {response.error}). Что отвечено, "
                "сохранено: проверьте сервер и повторите команду, она спросит только остальное."
            )

    async def _ask(self, client: Any, content: Any, generation: Generation) -> Response:
        import openai

        started = time.perf_counter()
        try:
            done = await self._request(client, content, generation)
        except (openai.AuthenticationError, openai.PermissionDeniedError) as error:
            raise ModelError(
                f"Сервер {self._url} не принял ключ (код {error.status_code}): задайте {KEYS[0]} или {KEYS[1]} в окружении."
            ) from error
        except openai.NotFoundError as error:
            raise ModelError(f"На сервере {self._url} нет модели {self._model} ({self._plain(error)}).") from error
        except (openai.APIError, ValueError, TypeError, AttributeError) as error:
            return Response("", seconds=round(time.perf_counter() - started, 3), error=self._plain(error))
        seconds = round(time.perf_counter() - started, 3)
        choices = getattr(done, "choices", None)
        message = choices[0].message if choices else None
        if not choices or message is None or not isinstance(message.content, str | None):
            return Response("", seconds=seconds, error="ответ сервера не похож на ответ чата")
        if choices[0].finish_reason == "content_filter":
            return Response("", seconds=seconds, error="ответ скрыт фильтром сервера")
        usage = getattr(done, "usage", None)
        return Response(
            until(message.content or "", generation.stop), getattr(usage, "completion_tokens", 0) or 0, seconds,
            input_tokens=getattr(usage, "prompt_tokens", 0) or 0,
        )  # fmt: skip

    async def _request(self, client: Any, content: Any, generation: Generation) -> Any:
        import openai

        # stops are cut off here, not sent: `transformers serve` 5.23 answers 500 to any of them for a model with pictures
        settings: dict[str, Any] = {"temperature": 0, self._limit_name: generation.max_new_tokens}
        messages: Any = [{"role": "user", "content": content}]
        try:
            return await client.chat.completions.create(model=self._model, messages=messages, **settings)
        except openai.BadRequestError as error:
            if self._limit_name in settings and "max_completion_tokens" in str(error):
                self._limit_name = "max_completion_tokens"
                return await self._request(client, content, generation)
            raise

    def _plain(self, error: Exception) -> str:
        """An error in a line, without the key."""
        text = " ".join(str(error).split())[:200] or type(error).__name__
        return text.replace(self._key, "…") if self._key != "none" else text


async def _abandon(client: Any, under_way: Iterable[asyncio.Task[Response]]) -> None:
    for task in under_way:
        task.cancel()
    await asyncio.gather(*under_way, return_exceptions=True)
    await client.close()


class _Pictures:
    """Pictures as data URIs; the last few are kept, since questions about one picture come together."""

    def __init__(self) -> None:
        self._known: dict[ImageRef, str] = {}

    def uri(self, ref: ImageRef) -> str:
        if ref not in self._known:
            if len(self._known) > 8:
                self._known.pop(next(iter(self._known)))
            self._known[ref] = data_uri(read_bytes(ref), str(ref))
        return self._known[ref]


def data_uri(data: bytes, where: str) -> str:
    """A picture for a request: its own bytes where every server can read them and they stand upright, else a PNG."""
    image = decode(data, where)
    with Image.open(io.BytesIO(data)) as opened:
        media = MEDIA.get(opened.format or "")
        upright = opened.getexif().get(ORIENTATION, 1) == 1
    if media is None or not upright:
        buffer = io.BytesIO()
        image.save(buffer, "PNG")
        data, media = buffer.getvalue(), "image/png"
    return f"data:{media};base64,{base64.b64encode(data).decode()}"


def open_openai(spec: str, access: Access) -> OpenAIBackend:
    """«MODEL@URL», or «MODEL» with OPENAI_BASE_URL set → backend. Raises ConfigError."""
    model, mark, rest = spec.partition("@http")
    url = mark[1:] + rest if mark else os.environ.get("OPENAI_BASE_URL", "")
    parts = urlsplit(url)
    if not model or parts.scheme not in ("http", "https") or not parts.hostname:
        raise ConfigError(f"«openai:{spec}» не понять: нужно openai:МОДЕЛЬ@http://адрес:порт/v1.")
    if parts.username or parts.password or parts.query:
        raise ConfigError(f"В адресе модели {model} ключ или пароль: уберите его и задайте {KEYS[0]} в окружении.")
    return OpenAIBackend(model, url.rstrip("/"), access)
