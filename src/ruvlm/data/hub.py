"""Fetch a published set from the hub: only the files a split needs, resumable, checked, the manifest written last."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ruvlm.data.hub_sets import HubSet
from ruvlm.data.manifest import FileRecord, Manifest, read_manifest, record_of, write_manifest
from ruvlm.errors import DataError, OutputError, because
from ruvlm.files import held, plain_parts
from ruvlm.numerals import decimal

Progress = Callable[[int, int], None]
PART = ".part"
# a file is tried so often, with these pauses before each retry
PAUSES_S = (1.0, 4.0)
ANSWER_TIMEOUT_S = 30.0
HEXADECIMAL = re.compile("[0-9a-f]{40,64}")


@dataclass(frozen=True)
class Remote:
    """One file on the hub. `sha256` is known for what git LFS keeps, `blob` (git's SHA-1) for the rest."""

    name: str
    size: int
    sha256: str | None
    blob: str | None


@dataclass(frozen=True)
class Plan:
    """What a fetch will do: which files at which revision, and how many bytes of them are not here yet."""

    source: HubSet
    folder: Path
    revision: str
    files: tuple[Remote, ...]
    missing: tuple[Remote, ...]
    bytes_here: int

    @property
    def size(self) -> int:
        return sum(file.size for file in self.files)

    @property
    def to_transfer(self) -> int:
        return sum(file.size for file in self.missing) - self.bytes_here


def plan_fetch(source: HubSet, splits: tuple[str, ...], folder: Path, revision: str | None = None) -> Plan:
    """Ask the hub what there is. The revision is the one named, else the folder's, else the newest.

    Raises DataError, a sentence for each way in which the hub may refuse.
    """
    known = read_manifest(folder)
    wanted = revision or (known.revision if known is not None else "main")
    pinned, remotes = _listed(source, wanted)
    names = [name for split in splits for name in source.wanted(list(remotes), split)]
    for split in splits:
        if not source.wanted(list(remotes), split):
            raise DataError(
                f"На хабе в {source.repo} (ревизия {wanted}) нет файлов части «{split}» ({', '.join(source.splits[split])}): "
                "набор перестроен, укажите прежнюю ревизию ключом --revision."
            )
    strange = [name for name in names if plain_parts(name) is None or remotes[name].size < 0]
    if strange:
        raise DataError(
            f"Хаб {source.repo} называет файл «{strange[0][:80]!a}», который ведёт из папки набора или не имеет размера: это не тот "
            "хаб, проверьте HF_ENDPOINT."
        )
    files = tuple(remotes[name] for name in dict.fromkeys(names))
    same = known is not None and known.revision == pinned
    recorded = known.files if known is not None and same else {}
    missing = tuple(file for file in files if not _is_here(folder, file, recorded))
    here = sum(_size(_part(folder, file)) for file in missing)
    return Plan(source, folder, pinned, files, missing, here)


def fetch(plan: Plan, progress: Progress | None = None) -> Manifest:
    """Transfer what is missing, check every file against the hub's sums, write the manifest. Raises RuvlmError."""
    try:
        plan.folder.mkdir(parents=True, exist_ok=True)
        with held(plan.folder / ".fetch.lock", f"В {plan.folder} уже качает другой процесс: дождитесь его."):
            return _fetch(plan, progress)
    except OSError as error:
        raise OutputError(
            f"В {plan.folder} нельзя писать ({because(error)}): освободите место или укажите другую --out."
        ) from error


def _fetch(plan: Plan, progress: Progress | None) -> Manifest:
    free = shutil.disk_usage(plan.folder).free
    if plan.to_transfer > free:
        raise OutputError(
            f"Нужно докачать {megabytes(plan.to_transfer)}, а на диске с {plan.folder} свободно {megabytes(free)}: "
            "освободите место или укажите другую --out."
        )
    known = read_manifest(plan.folder)
    records = dict(known.files) if known is not None and known.revision == plan.revision else {}
    done = sum(file.size for file in plan.files) - plan.to_transfer
    for file in plan.missing:
        start = done - _size(_part(plan.folder, file))

        def report(received: int, start: int = start) -> None:
            if progress is not None:
                progress(start + received, plan.size)

        records[file.name] = _transfer(plan, file, report)
        done = start + file.size
    for file in plan.files:
        records.setdefault(file.name, record_of(plan.folder / file.name))
    manifest = Manifest("hub", plan.source.name, plan.source.repo, plan.revision, files=dict(sorted(records.items())))
    write_manifest(plan.folder, manifest)
    return manifest


def fetched_offline(source: HubSet, splits: tuple[str, ...], folder: Path) -> Manifest:
    """What is here already, without the network. Raises DataError if the splits are not here whole."""
    known = read_manifest(folder)
    names = list(known.files) if known is not None else []
    for split in splits:
        wanted = source.wanted(names, split)
        absent = [name for name in wanted if _size(folder / name) != (known.files[name].size if known else -1)]
        if known is None or not wanted or absent:
            what = f" (нет или не целы: {', '.join(absent)})" if absent else ""
            raise DataError(
                f"Без сети: в {folder} нет части «{split}» набора {source.name}{what}. Повторите без --offline и "
                "HF_HUB_OFFLINE или скопируйте папку с машины, где набор скачан."
            )
    assert known is not None
    return known


def _transfer(plan: Plan, file: Remote, report: Callable[[int], None]) -> FileRecord:
    """Bring one file in whole. A broken connection or a 5xx is tried again from where it stopped."""
    from huggingface_hub.errors import HfHubHTTPError

    for pause in (*PAUSES_S, None):
        try:
            with _explained(plan.source, plan.revision):
                return _attempt(plan, file, report)
        except DataError as error:
            cause = error.__cause__
            status = cause.response.status_code if isinstance(cause, HfHubHTTPError) else 0
            if pause is None or 400 <= status < 500:
                raise
            time.sleep(pause)
    raise AssertionError("the last attempt returns or raises")


def _attempt(plan: Plan, file: Remote, report: Callable[[int], None]) -> FileRecord:
    path, part = plan.folder / file.name, _part(plan.folder, file)
    path.parent.mkdir(parents=True, exist_ok=True)
    if _size(part) > file.size:
        part.unlink()
    if _size(part) < file.size or file.size == 0:
        _receive(plan, file, part, report)
    record = record_of(part)
    if not _sums_agree(part, record, file):
        part.unlink()
        raise DataError(
            f"{plan.source.repo}, файл {file.name}: сумма не сошлась с той, что на хабе: файл испорчен по дороге, "
            "повторите команду."
        )
    os.replace(part, path)
    return record


def _receive(plan: Plan, file: Remote, part: Path, report: Callable[[int], None]) -> None:
    """Append to `part` what it lacks, piece by piece as it comes: the hub's own downloader keeps 10 MB in memory."""
    from huggingface_hub import get_session, hf_hub_url
    from huggingface_hub.utils import build_hf_headers, hf_raise_for_status  # type: ignore[attr-defined]

    url = hf_hub_url(plan.source.repo, file.name, repo_type="dataset", revision=plan.revision)
    start = _size(part)
    headers = {**build_hf_headers(), "Accept-Encoding": "identity"}
    if start:
        headers["Range"] = f"bytes={start}-"
    stream = get_session().stream("GET", url, headers=headers, follow_redirects=True, timeout=ANSWER_TIMEOUT_S)
    with stream as response, part.open("ab", buffering=0) as handle:
        if response.is_error:
            response.read()
            hf_raise_for_status(response)
        if response.status_code != 206:  # the server sends the whole file again
            handle.truncate(0)
            start = 0
        for piece in response.iter_raw():
            handle.write(piece)
            start += len(piece)
            report(start)
        os.fsync(handle.fileno())


def _sums_agree(path: Path, record: FileRecord, file: Remote) -> bool:
    if record.size != file.size:
        return False
    if file.sha256 is not None:
        return record.sha256 == file.sha256
    if file.blob is None:
        return True
    digest = hashlib.sha1(b"blob %d\0" % record.size, usedforsecurity=False)
    digest.update(path.read_bytes())
    return digest.hexdigest() == file.blob


def _is_here(folder: Path, file: Remote, recorded: dict[str, FileRecord]) -> bool:
    """A file that the manifest vouches for is not read again; any other must have the hub's sum."""
    path = folder / file.name
    if _size(path) != file.size or not path.is_file():
        return False
    known = recorded.get(file.name)
    if known is not None and (file.sha256 is None or known.sha256 == file.sha256):
        return True
    return _sums_agree(path, record_of(path), file)


def _listed(source: HubSet, revision: str) -> tuple[str, dict[str, Remote]]:
    """The commit that a revision stands for, and its files by name. Raises DataError, also for an answer that is no list of files."""
    from huggingface_hub import HfApi

    with _explained(source, revision):
        try:
            info = HfApi().dataset_info(source.repo, revision=revision, files_metadata=True, timeout=ANSWER_TIMEOUT_S)
            return str(info.sha), {entry.rfilename: _remote(entry) for entry in info.siblings or ()}
        except (
            KeyError,
            TypeError,
            AttributeError,
            OverflowError,
            RecursionError,
        ) as error:  # the library trusts what it is sent
            raise ValueError(f"{type(error).__name__}: {error}") from error


def _remote(entry: Any) -> Remote:
    """Raises ValueError for sums that are none: they become part of a file's name here."""
    lfs = entry.lfs
    sha256 = None if lfs is None else (lfs.get("sha256") if isinstance(lfs, dict) else lfs.sha256)
    blob = None if sha256 else entry.blob_id
    if not isinstance(entry.rfilename, str) or not all(
        mark is None or HEXADECIMAL.fullmatch(mark) for mark in (sha256, blob)
    ):
        raise ValueError(f"{entry.rfilename!a:.80}")
    return Remote(entry.rfilename, int(entry.size or 0), sha256, blob)


def _part(folder: Path, file: Remote) -> Path:
    """Where a file grows; named by its sum, so that another revision's part is not continued."""
    mark = (file.sha256 or file.blob or "")[:12]
    return folder / f"{file.name}.{mark}{PART}"


def _size(path: Path) -> int:
    return path.stat().st_size if path.is_file() else 0


def megabytes(count: int) -> str:
    """A count of bytes for people."""
    if count < 1_000_000:
        return f"{decimal(count / 1000, 0)} КБ"
    return f"{decimal(count / 1_000_000, 0)} МБ" if count < 1_000_000_000 else f"{decimal(count / 1_000_000_000)} ГБ"


@contextmanager
def _explained(source: HubSet, revision: str) -> Iterator[None]:
    """Every way in which the hub or the road to it may fail, as a sentence."""
    import httpx2 as httpx
    from huggingface_hub import constants, errors

    place = f"{source.repo} на {constants.ENDPOINT}"
    try:
        yield
    except errors.OfflineModeIsEnabled as error:
        raise DataError("Включён HF_HUB_OFFLINE: уберите его или добавьте --offline.") from error
    except errors.GatedRepoError as error:
        raise DataError(f"Доступ к {place} закрыт: примите условия на странице набора и задайте HF_TOKEN.") from error
    except errors.RevisionNotFoundError as error:
        raise DataError(
            f"Ревизии {revision} в {place} нет: набор переехал или обновлён, возьмите новую ключом --revision main."
        ) from error
    except errors.RemoteEntryNotFoundError as error:
        raise DataError(f"Файла нет в {place} (ревизия {revision}): возьмите другую ключом --revision.") from error
    except errors.RepositoryNotFoundError as error:
        status = error.response.status_code
        said = "не пускает (401): задайте верный HF_TOKEN" if status == 401 else "такого набора не знает (404)"
        raise DataError(f"Хаб {constants.ENDPOINT} {said}: {source.repo}. Проверьте и HF_ENDPOINT.") from error
    except errors.HfHubHTTPError as error:
        status = error.response.status_code
        if status in (401, 403):
            raise DataError(f"{place} отвечает {status}: задайте верный HF_TOKEN.") from error
        raise DataError(f"{place} отвечает {status}: повторите команду позже, скачанное сохранено.") from error
    except ValueError as error:  # a login page, a proxy's page
        raise DataError(
            f"{constants.ENDPOINT} ответил не как хаб ({str(error)[:80]}): похоже на страницу входа или прокси; проверьте сеть и "
            "HF_ENDPOINT."
        ) from error
    except (httpx.UnsupportedProtocol, httpx.InvalidURL) as error:
        raise DataError(f"HF_ENDPOINT={constants.ENDPOINT} – не адрес: нужен вид https://huggingface.co.") from error
    except httpx.HTTPError as error:
        raise DataError(
            f"Нет связи с {constants.ENDPOINT} ({type(error).__name__}): проверьте сеть, прокси (HTTPS_PROXY) или зеркало "
            "(HF_ENDPOINT) и повторите команду: скачанное сохранено."
        ) from error


def pinned(manifest: Manifest, made: str) -> Manifest:
    """The manifest of a part of a set: the same origin, files of its own."""
    return replace(manifest, kind="sample", made=made, files={})
