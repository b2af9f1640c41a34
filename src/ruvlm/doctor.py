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
from ruvlm.numerals import decimal

State = Literal["ok", "note", "bad"]
NEEDED = (
    "torch",
    "transformers",
    "accelerate",
    "peft",
    "huggingface_hub",
    "tokenizers",
    "safetensors",
    "numpy",
    "pillow",
    "pyarrow",
    "pydantic",
    "typer",
    "rich",
    "jinja2",
    "matplotlib",
    "pymorphy3",
    "openai",
)
# what comes with ruvlm[models]; all else works without
MODELS = frozenset({"torch", "transformers", "tokenizers", "safetensors", "accelerate", "peft"})
# package -> what it is for
OPTIONAL = {
    "gradio": "ruvlm demo: pip install 'ruvlm[demo]'",
    "tensorboard": "train.trackers: pip install 'ruvlm[tracking]'",
    "trackio": "train.trackers: pip install 'ruvlm[tracking]'",
    "bitsandbytes": "vlm.dtype = 4bit: pip install 'ruvlm[qlora]'",
}
GIGABYTE = 1_000_000_000
HUB_SECONDS = 4.0


@dataclass(frozen=True)
class Symptom:
    """One thing looked at: `bad` hinders work, `note` is worth knowing. `fix` says what to do, if anything."""

    name: str
    state: State
    found: str
    fix: str = ""


def examine(hub: bool = True) -> list[Symptom]:
    """Look at everything. Nothing is written but a file that is taken away again, and nothing sent but one question to the hub."""
    checks: list[Callable[[], list[Symptom]]] = [_python, _packages, _optional, _device, _memory, _disk, _write]
    if hub:
        checks.append(_hub)
    return [finding for check in checks for finding in _looked(check)]


def _looked(check: Callable[[], list[Symptom]]) -> list[Symptom]:
    """What a check found; a package that it needs and that is not here is named by the list of packages already."""
    try:
        return check()
    except ImportError as error:
        return [Symptom(check.__name__.strip("_"), "note", f"не посмотреть: нет пакета {error.name}")]


def _python() -> list[Symptom]:
    version = platform.python_version()
    good = sys.version_info >= (3, 11)
    return [
        Symptom("ruvlm", "ok", f"{__version__}, {Path(__file__).parent}"),
        Symptom(
            "python",
            "ok" if good else "bad",
            f"{version}, {platform.system()} {platform.machine()}",
            "" if good else "нужен 3.11 или новее",
        ),
    ]


def _packages() -> list[Symptom]:
    """Those that ruvlm does not work without, against the versions it asks for."""
    from packaging.requirements import Requirement
    from packaging.utils import canonicalize_name

    try:
        wanted = {
            canonicalize_name(r.name): r
            for r in map(Requirement, importlib.metadata.requires("ruvlm") or ())
            if r.marker is None or "models" in str(r.marker)
        }
    except importlib.metadata.PackageNotFoundError:
        wanted = {}
    symptoms = []
    for name in NEEDED:
        try:
            version = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            for_models = name in MODELS
            fix = (
                "нужен, чтобы спрашивать и обучать модели здесь: pip install 'ruvlm[models]'"
                if for_models
                else f"pip install {name}"
            )
            symptoms.append(Symptom(name, "note" if for_models else "bad", "нет", fix))
            continue
        asked = wanted.get(canonicalize_name(name))
        good = asked is None or asked.specifier.contains(version.split("+")[0], prereleases=True)
        symptoms.append(Symptom(name, "ok" if good else "bad", version, "" if good else f"pip install '{asked}'"))
    return symptoms


def _optional() -> list[Symptom]:
    symptoms = []
    for name, fix in OPTIONAL.items():
        installed = importlib.util.find_spec(name) is not None
        symptoms.append(
            Symptom(
                name,
                "ok" if installed else "note",
                importlib.metadata.version(name) if installed else "нет",
                "" if installed else fix,
            )
        )
    browser = next(
        (place for n in ("chromium", "chromium-browser", "google-chrome") if (place := shutil.which(n))), None
    )
    symptoms.append(
        Symptom(
            "chromium", "ok" if browser else "note", browser or "нет", "" if browser else "нужен только тестам страниц"
        )
    )
    return symptoms


def _device() -> list[Symptom]:
    from ruvlm.runtime import pick_device

    try:
        device = pick_device("auto")
    except RuvlmError as error:
        return [Symptom("device", "bad", str(error), "проверьте драйвер; работает и --device cpu")]
    import torch

    cores = os.cpu_count() or 1
    if device.type == "cuda":
        name, (free, total) = torch.cuda.get_device_name(), torch.cuda.mem_get_info()
        return [
            Symptom(
                "device",
                "ok",
                f"cuda, {name}, свободно {decimal(free / GIGABYTE)} из {decimal(total / GIGABYTE)} ГБ, карт {torch.cuda.device_count()}",
            )
        ]
    if device.type == "mps":
        return [Symptom("device", "ok", f"mps, ядер {cores}", "обучение на MPS нами не проверено")]
    return [Symptom("device", "note", f"процессор, ядер {cores}", "большим моделям нужна карта; нам хватает двух ядер")]


def _memory() -> list[Symptom]:
    import psutil

    memory = psutil.virtual_memory()
    good = memory.available > 3 * GIGABYTE
    return [
        Symptom(
            "memory",
            "ok" if good else "note",
            f"свободно {decimal(memory.available / GIGABYTE)} из {decimal(memory.total / GIGABYTE)} ГБ",
            "" if good else "make quickstart берёт до 2,5 ГБ",
        )
    ]


def _disk() -> list[Symptom]:
    free = shutil.disk_usage(".").free
    good = free > 6 * GIGABYTE
    return [
        Symptom(
            "disk",
            "ok" if good else "note",
            f"свободно {decimal(free / GIGABYTE)} ГБ здесь",
            "" if good else "train GQA-ru – 4 ГБ, мир mini – 0,1 ГБ",
        )
    ]


def _write() -> list[Symptom]:
    """May one write where results go?"""
    import tempfile

    try:
        with tempfile.NamedTemporaryFile(dir=".", prefix=".ruvlm-doctor-"):
            return [Symptom("write", "ok", f"в {Path.cwd()} писать можно")]
    except OSError as error:
        return [Symptom("write", "bad", f"в {Path.cwd()} писать нельзя ({because(error)})", "смените папку")]


def _hub() -> list[Symptom]:
    """Does the hub answer? Nothing of ours needs it but fetch, push and models by name."""
    import httpx2 as httpx
    from huggingface_hub import constants, get_token

    token = "HF_TOKEN задан" if get_token() else "HF_TOKEN не задан"
    if constants.HF_HUB_OFFLINE:
        return [Symptom("hub", "note", f"HF_HUB_OFFLINE, {token}", "уберите его, чтобы скачивать")]
    try:
        status = httpx.get(f"{constants.ENDPOINT}/api/models?limit=1", timeout=HUB_SECONDS).status_code
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        return [
            Symptom(
                "hub",
                "note",
                f"{constants.ENDPOINT} не отвечает ({type(error).__name__}), {token}",
                "без него всё, кроме data fetch, push и моделей по имени, работает; зеркало – HF_ENDPOINT",
            )
        ]
    good = status < 400
    return [
        Symptom(
            "hub",
            "ok" if good else "note",
            f"{constants.ENDPOINT} отвечает {status}, {token}",
            "" if good else "проверьте HF_ENDPOINT",
        )
    ]
