"""What this machine has and lacks: versions, device, memory, disk, the hub, optional packages, each with what to do."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
import platform
import shutil
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from ruvlm import __version__
from ruvlm.errors import RuvlmError, because

State = Literal["ok", "note", "bad"]
NEEDED = ("torch", "transformers", "accelerate", "peft", "huggingface_hub", "tokenizers", "safetensors", "numpy", "pillow",
          "pyarrow", "pydantic", "typer", "rich", "jinja2", "matplotlib", "pymorphy3", "openai")  # fmt: skip
# package -> what it is for
OPTIONAL = {
    "gradio": "ruvlm demo: pip install 'ruvlm[demo]'", "tensorboard": "train.trackers: pip install 'ruvlm[tracking]'",
    "trackio": "train.trackers: pip install 'ruvlm[tracking]'", "bitsandbytes": "vlm.dtype = 4bit: pip install 'ruvlm[qlora]'",
}  # fmt: skip
GIGABYTE = 1_000_000_000
HUB_SECONDS = 4.0


@dataclass(frozen=True)
class Finding:
    """One thing looked at: `bad` hinders work, `note` is worth knowing. `fix` says what to do, if anything."""

    name: str
    state: State
    found: str
    fix: str = ""


def examine(hub: bool = True) -> list[Finding]:
    """Look at everything. Nothing is written but a file that is taken away again, and nothing sent but one question to the hub."""
    checks: list[Callable[[], list[Finding]]] = [_python, _packages, _optional, _device, _memory, _disk, _write]
    if hub:
        checks.append(_hub)
    return [finding for check in checks for finding in _looked(check)]


def _looked(check: Callable[[], list[Finding]]) -> list[Finding]:
    """What a check found; a package that it needs and that is not here is named by the list of packages already."""
    try:
        return check()
    except ImportError as error:
        return [Finding(check.__name__.strip("_"), "note", f"не посмотреть: нет пакета {error.name}")]


def _python() -> list[Finding]:
    version = platform.python_version()
    good = sys.version_info >= (3, 11)
    return [
        Finding("ruvlm", "ok", f"{__version__}, {Path(__file__).parent}"),
        Finding("python", "ok" if good else "bad", f"{version}, {platform.system()} {platform.machine()}", "" if good else "нужен 3.11 или новее"),
    ]  # fmt: skip


def _packages() -> list[Finding]:
    """Those that ruvlm does not work without, against the versions it asks for."""
    from packaging.requirements import Requirement
    from packaging.utils import canonicalize_name

    try:
        wanted = {
            canonicalize_name(r.name): r
            for r in map(Requirement, importlib.metadata.requires("ruvlm") or ())
            if r.marker is None
        }
    except importlib.metadata.PackageNotFoundError:
        wanted = {}
    found = []
    for name in NEEDED:
        try:
            version = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            found.append(Finding(name, "bad", "нет", f"pip install {name}"))
            continue
        asked = wanted.get(canonicalize_name(name))
        good = asked is None or asked.specifier.contains(version.split("+")[0], prereleases=True)
        found.append(Finding(name, "ok" if good else "bad", version, "" if good else f"pip install '{asked}'"))
    return found


def _optional() -> list[Finding]:
    found = []
    for name, fix in OPTIONAL.items():
        there = importlib.util.find_spec(name) is not None
        found.append(
            Finding(
                name,
                "ok" if there else "note",
                importlib.metadata.version(name) if there else "нет",
                "" if there else fix,
            )
        )
    browser = next(
        (place for n in ("chromium", "chromium-browser", "google-chrome") if (place := shutil.which(n))), None
    )
    found.append(
        Finding(
            "chromium", "ok" if browser else "note", browser or "нет", "" if browser else "нужен только тестам страниц"
        )
    )
    return found


def _device() -> list[Finding]:
    from ruvlm.runtime import pick_device

    try:
        device = pick_device("auto")
    except RuvlmError as error:
        return [Finding("device", "bad", str(error), "проверьте драйвер; работает и --device cpu")]
    import torch

    cores = os.cpu_count() or 1
    if device.type == "cuda":
        name, (free, total) = torch.cuda.get_device_name(), torch.cuda.mem_get_info()
        return [
            Finding(
                "device",
                "ok",
                f"cuda, {name}, свободно {free / GIGABYTE:.1f} из {total / GIGABYTE:.1f} ГБ, карт {torch.cuda.device_count()}",
            )
        ]
    if device.type == "mps":
        return [Finding("device", "ok", f"mps, ядер {cores}", "обучение на MPS нами не проверено")]
    return [Finding("device", "note", f"процессор, ядер {cores}", "большим моделям нужна карта; нам хватает двух ядер")]


def _memory() -> list[Finding]:
    import psutil

    memory = psutil.virtual_memory()
    good = memory.available > 3 * GIGABYTE
    return [Finding("memory", "ok" if good else "note", f"свободно {memory.available / GIGABYTE:.1f} из {memory.total / GIGABYTE:.1f} ГБ",
                    "" if good else "make quickstart берёт до 2,5 ГБ")]  # fmt: skip


def _disk() -> list[Finding]:
    free = shutil.disk_usage(".").free
    good = free > 6 * GIGABYTE
    return [Finding("disk", "ok" if good else "note", f"свободно {free / GIGABYTE:.1f} ГБ здесь",
                    "" if good else "train GQA-ru – 4 ГБ, мир mini – 0,1 ГБ")]  # fmt: skip


def _write() -> list[Finding]:
    """May one write where results go?"""
    import tempfile

    try:
        with tempfile.NamedTemporaryFile(dir=".", prefix=".ruvlm-doctor-"):
            return [Finding("write", "ok", f"в {Path.cwd()} писать можно")]
    except OSError as error:
        return [Finding("write", "bad", f"в {Path.cwd()} писать нельзя ({because(error)})", "смените папку")]


def _hub() -> list[Finding]:
    """Does the hub answer? Nothing of ours needs it but fetch, push and models by name."""
    import httpx2 as httpx
    from huggingface_hub import constants, get_token

    token = "HF_TOKEN задан" if get_token() else "HF_TOKEN не задан"
    if constants.HF_HUB_OFFLINE:
        return [Finding("hub", "note", f"HF_HUB_OFFLINE, {token}", "уберите его, чтобы скачивать")]
    try:
        status = httpx.get(f"{constants.ENDPOINT}/api/models?limit=1", timeout=HUB_SECONDS).status_code
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        return [Finding("hub", "note", f"{constants.ENDPOINT} не отвечает ({type(error).__name__}), {token}",
                        "без него всё, кроме data fetch, push и моделей по имени, работает; зеркало – HF_ENDPOINT")]  # fmt: skip
    good = status < 400
    return [
        Finding(
            "hub",
            "ok" if good else "note",
            f"{constants.ENDPOINT} отвечает {status}, {token}",
            "" if good else "проверьте HF_ENDPOINT",
        )
    ]
