"""Any OpenAI-compatible server: vLLM, SGLang, Ollama, llama.cpp, a cloud. Keys come from the environment only."""

from __future__ import annotations

import asyncio
import base64
import errno
import io
import itertools
import os
import re
import time
from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from typing import Any
from urllib.parse import urlsplit

from PIL import Image

from ruvlm.backends.base import Access, Asked, Backend, TextModel
from ruvlm.backends.openai_reply import read_reply, server_words
from ruvlm.data.images import PictureKey, decode, read_bytes, remembered_by, sized
from ruvlm.errors import ConfigError, ModelError
from ruvlm.schema import Generation, ImageRef, Prompt, Response

KEYS = ("RUVLM_API_KEY", "OPENAI_API_KEY")
# so many requests failed for good one after another: the server is gone, and asking on would only take time
GONE = 16
MEDIA = {"JPEG": "image/jpeg", "PNG": "image/png", "WEBP": "image/webp", "GIF": "image/gif"}
ORIENTATION = 0x0112
PATH = "/chat/completions"
# a chat's reply is some kilobytes
LARGEST_REPLY = 64 << 20
UNKNOWN_SETTINGS = "сервер не принял настроек сверх temperature: штрафы и рассуждение – какие у него по умолчанию"
# what keeps an engine from the defaults of a model's generation_config; not every server knows each of them
GREEDY = {"top_p": 1, "presence_penalty": 0, "frequency_penalty": 0}


class OpenAIBackend(Backend, TextModel):
    """A model behind an address. Answers come in order; up to `requests` questions are under way at once."""

    free = False
    one_picture, follows_system, served = False, True, True

    def __init__(self, model: str, url: str, access: Access) -> None:
        self.name, self.fingerprint = (
            f"openai:{model}",
            f"openai {model} {url}" + (" thinking" if access.thinking else ""),
        )
        self._model, self._url = model, url
        self._key = next((os.environ[name] for name in KEYS if os.environ.get(name)), "none")
        self._requests, self._timeout, self._retries = access.requests, access.timeout_s, access.retries
        self._thinking = access.thinking
        self._limit_name = "max_tokens"
        self._extras: bool | None = None  # does the server take what only some know? None: not yet known
        self._failed = 0
        self._notes: dict[str, None] = {}
        self.prices = access.prices
        self._answered = False  # did the last request get any answer?

    @property
    def notes(self) -> tuple[str, ...]:
        return tuple(self._notes)

    def answer(self, asked: Sequence[Asked]) -> Iterator[Response]:
        pictures = _Pictures()

        async def ask(client: Any, item: Asked) -> Response:
            return await self._ask(client, _messages(item.prompt, pictures), item.prompt.generation)

        yield from self._in_order(ask, asked)

    def complete(self, texts: Sequence[str], generation: Generation) -> Iterator[Response]:
        """Answers to texts without pictures, in order."""

        async def ask(client: Any, text: str) -> Response:
            return await self._ask(client, [{"role": "user", "content": text}], generation)

        yield from self._in_order(ask, texts)

    def _in_order(self, ask: Callable[[Any, Any], Awaitable[Response]], items: Sequence[Any]) -> Iterator[Response]:
        """Answers in order; whatever is under way is dropped at once when the caller stops."""
        loop = asyncio.new_event_loop()
        client = self._client()
        places, begun = asyncio.Semaphore(self._requests), asyncio.Event()

        async def placed(item: Any, first: bool) -> Response:
            # the first one goes ahead: what the server does not take is found out once, not by every request under way
            async with places:
                if not first:
                    await begun.wait()
                try:
                    return await ask(client, item)
                finally:
                    begun.set()

        coming = (loop.create_task(placed(item, not number)) for number, item in enumerate(items))
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

    def _client(self) -> Any:
        """A client that waits between tries: exponentially, with jitter, and as long as Retry-After says.

        It follows no redirect: pictures and keys go to the address that was named and to no other.
        """
        import openai

        web = openai.DefaultAsyncHttpxClient(transport=_bounded(self._timeout), follow_redirects=False)
        return openai.AsyncOpenAI(
            base_url=self._url, api_key=self._key, timeout=self._timeout, max_retries=self._retries, http_client=web
        )

    def _count(self, response: Response) -> None:
        """Give up on a server that has failed too many times in a row."""
        self._failed = self._failed + 1 if response.error else 0
        if self._failed >= GONE:
            how = "отвечает одними ошибками" if self._answered else "не отвечает"
            raise ModelError(
                f"Сервер {self._url} {how}: неудачных запросов подряд {GONE} (последний – {response.error}). Что отвечено, "
                "сохранено: проверьте сервер и повторите команду, она спросит только остальное."
            )

    async def _ask(self, client: Any, messages: list[dict[str, Any]], generation: Generation) -> Response:
        import openai

        started = time.perf_counter()

        def seconds() -> float:
            return round(time.perf_counter() - started, 3)

        try:
            body = await self._request(client, messages, generation)
        except openai.APIStatusError as error:
            self._answered = True
            self._refuse_for_good(error)
            return Response("", seconds=seconds(), error=self._plain(error))
        except (openai.APIError, ValueError, TypeError, AttributeError, RecursionError) as error:
            self._answered = False
            if any(isinstance(cause, OSError) and cause.errno == errno.EMFILE for cause in _causes(error)):
                raise ModelError(
                    f"Системе не хватило открытых файлов на {self._requests} запросов сразу: уменьшите --requests или поднимите "
                    "ulimit -n."
                ) from error
            return Response("", seconds=seconds(), error=self._plain(error))
        self._answered = True
        reply = read_reply(self._masked(body), generation.stop, seconds())
        if self._extras is None and reply.response.error is None:  # garbage shows nothing of what the server knows
            self._extras = True
        if reply.model and not _same_model(reply.model, self._model):
            self._notes[f"сервер называет модель «{reply.model[:80]}», а спрошена {self._model}"] = None
        return reply.response

    def _refuse_for_good(self, error: Any) -> None:
        """Raise ModelError for what no other question will change: the key, the model's name, the address."""
        code = error.status_code
        if code in (401, 403):
            raise ModelError(
                f"Сервер {self._url} не принял ключ (код {code}): задайте {KEYS[0]} или {KEYS[1]} в окружении."
            ) from error
        if code == 404:
            raise ModelError(
                f"На {self._url}{PATH} нет модели {self._model} или самого адреса ({self._plain(error)}): проверьте имя модели и то, "
                "что адрес кончается на /v1."
            ) from error
        if 300 <= code < 400:
            place = self._shortened(str(error.response.headers.get("location", "")))
            raise ModelError(
                f"Сервер {self._url} отсылает на другой адрес ({place or 'не сказано какой'}): если доверяете ему, укажите его сами."
            ) from error

    async def _request(self, client: Any, messages: list[dict[str, Any]], generation: Generation) -> bytes:
        """The reply's body. What a server does not know is left out and said, once for all requests."""
        import openai

        sent = self._extras is not False
        for _ in range(4):
            limit_name, extras, base = self._limit_name, sent, client.base_url
            try:
                raw = await client.chat.completions.with_raw_response.create(
                    model=self._model,
                    messages=messages,
                    temperature=0,
                    **{limit_name: generation.max_new_tokens},
                    **(self._settings() if extras else {}),
                )
                if not extras:
                    self._extras = False
                    self._notes[UNKNOWN_SETTINGS] = None
                return bytes(raw.content)
            except (openai.BadRequestError, openai.UnprocessableEntityError) as error:
                if "max_completion_tokens" in str(error) and limit_name == "max_tokens":
                    self._limit_name = "max_completion_tokens"
                elif extras and not self._extras:  # refused for its settings, or for itself: without them it will show
                    sent = False
                else:
                    raise
            except openai.NotFoundError:
                if urlsplit(self._url).path.strip("/") or str(base).rstrip("/").endswith("/v1"):
                    raise
                client.base_url = f"{self._url}/v1"  # an address without a path: OpenAI's own is /v1
        raise ModelError(f"Сервер {self._url} не принимает ни одной из форм запроса: проверьте его журнал.")

    def _settings(self) -> dict[str, Any]:
        thinking = {"chat_template_kwargs": {"enable_thinking": self._thinking}}
        return {**GREEDY, "extra_body": {"repetition_penalty": 1.0, **thinking}}

    def _plain(self, error: Exception) -> str:
        """An error in a line, without the key."""
        words = server_words(getattr(error, "body", None)) or str(error)
        code = getattr(error, "status_code", None)
        return self._shortened(f"код {code}: {words}" if code else words) or type(error).__name__

    def _shortened(self, text: str) -> str:
        """Masked first, cut after: half a key is a key."""
        return self._masked(" ".join(text.split()).encode("utf-8", "replace")).decode("utf-8", "replace")[:200]

    def _masked(self, data: bytes) -> bytes:
        return data.replace(self._key.encode(), "…".encode()) if len(self._key) >= 8 else data


def _same_model(said: str, asked: str) -> bool:
    """Is the one name the other, or its last part, or the other with a date or a tag behind it?"""
    a, b = sorted((name.rstrip("/").lower().rsplit("/", 1)[-1] for name in (said, asked)), key=len)
    return b == a or (b.startswith(a) and re.match(r"[:@]|-?\d{4}", b[len(a) :]) is not None)


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def _bounded(seconds: float) -> Any:
    """A transport that gives each request so many seconds in all, its body included, and a reply so many bytes."""
    import httpx2 as httpx

    class Bounded(httpx.AsyncHTTPTransport):
        """A server that sends a byte a second is as slow as one that sends none."""

        async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
            try:
                async with asyncio.timeout(seconds):
                    reply = await super().handle_async_request(request)
                    parts, size = [], 0
                    async for part in reply.aiter_bytes():
                        size += len(part)
                        if size > LARGEST_REPLY:
                            await reply.aclose()
                            raise httpx.DecodingError(f"ответ больше {LARGEST_REPLY >> 20} МБ", request=request)
                        parts.append(part)
                    await reply.aclose()
            except TimeoutError as error:
                raise httpx.ReadTimeout(f"нет ответа за {seconds:g} с", request=request) from error
            kept = [
                (k, v)
                for k, v in reply.headers.multi_items()
                if k.lower() not in ("content-encoding", "content-length")
            ]
            return httpx.Response(reply.status_code, headers=kept, content=b"".join(parts), request=request)

    return Bounded()


async def _abandon(client: Any, under_way: Iterable[asyncio.Task[Response]]) -> None:
    for task in under_way:
        task.cancel()
    await asyncio.gather(*under_way, return_exceptions=True)
    await client.close()


class _Pictures:
    """Pictures as data URIs; the last few are kept, since questions about one picture come together."""

    def __init__(self) -> None:
        self._known: dict[tuple[PictureKey, int], str] = {}

    def uri(self, ref: ImageRef, size: int) -> str:
        key = (remembered_by(ref), size)
        if key not in self._known:
            if len(self._known) > 8:
                self._known.pop(next(iter(self._known)))
            self._known[key] = data_uri(read_bytes(ref), str(ref), size)
        return self._known[key]


def _messages(prompt: Prompt, pictures: _Pictures) -> list[dict[str, Any]]:
    """A question as a chat has it: pictures where its wording puts them."""
    images = iter(prompt.images)
    content = [
        {"type": "image_url", "image_url": {"url": pictures.uri(next(images), prompt.image_size)}}
        if part is None
        else {"type": "text", "text": part}
        for part in prompt.wording.content(len(prompt.images))
    ]
    system = [{"role": "system", "content": prompt.system}] if prompt.system else []
    return [*system, {"role": "user", "content": content}]


def data_uri(data: bytes, where: str, size: int = 0) -> str:
    """A picture for a request: its own bytes where every server can read them and they stand upright, else a PNG.

    With a `size`, a PNG of a square of that side.
    """
    image = sized(decode(data, where), size)
    with Image.open(io.BytesIO(data)) as opened:
        media = MEDIA.get(opened.format or "")
        upright = opened.getexif().get(ORIENTATION, 1) == 1
    if media is None or not upright or size:
        buffer = io.BytesIO()
        image.save(buffer, "PNG")
        data, media = buffer.getvalue(), "image/png"
    return f"data:{media};base64,{base64.b64encode(data).decode()}"


def open_openai(spec: str, access: Access) -> OpenAIBackend:
    """«MODEL@URL», or «MODEL» with OPENAI_BASE_URL set → backend. Raises ConfigError."""
    model, mark, rest = spec.partition("@http")
    url = (mark[1:] + rest if mark else os.environ.get("OPENAI_BASE_URL", "")).rstrip("/").removesuffix(PATH)
    if "@" in url.partition("//")[2].partition("/")[0] or "?" in url:
        raise ConfigError(f"В адресе модели {model} ключ или пароль: уберите его и задайте {KEYS[0]} в окружении.")
    try:
        parts = urlsplit(url)
        port = parts.port  # a port beyond 65535 is an error only when asked for
    except ValueError as error:
        raise ConfigError(f"Адрес «{url}» не понять ({error}): нужно openai:МОДЕЛЬ@http://адрес:порт/v1.") from error
    if not model or parts.scheme not in ("http", "https") or not parts.hostname or port == 0:
        shown = re.sub(r"//[^/]*@", "//…@", spec)
        raise ConfigError(f"«openai:{shown}» не понять: нужно openai:МОДЕЛЬ@http://адрес:порт/v1.")
    return OpenAIBackend(model, url.rstrip("/"), access)
