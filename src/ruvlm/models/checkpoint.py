"""Model folders: config.json + model.safetensors + tokenizer.json, written whole or not at all; never pickle."""

from __future__ import annotations

import difflib
import hashlib
import json
import os
import shutil
import tempfile
from pathlib import Path
from types import MappingProxyType
from typing import Any

from ruvlm.errors import ModelError, OutputError, because
from ruvlm.runtime import quiet_transformers

# a trained model that comes with the package, by the name it is asked by
PACKAGED = MappingProxyType({"nano": Path(__file__).parent / "packaged" / "nano"})


def model_folder(name: str) -> Path:
    """A run folder, a model folder or a packaged model's name → the model folder. Raises ModelError saying what was looked for.

    A folder of that name here that holds a model comes before the packaged one.
    """
    folder = Path(name)
    for place in (folder / "best_model", folder / "final_model", folder):
        if (place / "config.json").is_file():
            return place
    if name in PACKAGED:
        return PACKAGED[name]
    if not folder.exists():
        near = difflib.get_close_matches(name, ("majority", "random", "question-only", *PACKAGED), 1)
        hint = f" Может быть, {near[0]}?" if near else ""
        raise ModelError(
            f"Модели {name} нет: укажите папку запуска (results/…), папку с config.json, nano (она в пакете) или hf:ИМЯ.{hint}"
        )
    raise ModelError(f"В папке {folder} нет модели (best_model, final_model или config.json): обучите её заново.")


def read_model_type(folder: Path) -> str:
    """`model_type` of config.json. Raises ModelError if it is damaged or weights are missing."""
    try:
        config: dict[str, Any] = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ModelError(f"Файл {folder / 'config.json'} не читается ({error}): сохраните модель заново.") from error
    if not any(folder.glob("*.safetensors")):
        raise ModelError(f"В папке {folder} нет весов model.safetensors: сохраните модель заново.")
    return str(config.get("model_type", ""))


def weights_fingerprint(folder: Path) -> str:
    """A short hash of everything in a model folder that decides its answers."""
    digest = hashlib.sha256()
    for path in sorted(folder.iterdir()):
        if path.suffix in (".safetensors", ".json", ".jinja", ".model"):
            digest.update(path.name.encode())
            with path.open("rb") as handle:
                while block := handle.read(1 << 22):
                    digest.update(block)
    return digest.hexdigest()[:16]


def load_strictly(model_class: Any, folder: Path) -> Any:
    """Transformers' from_pretrained in single precision, whatever the file's, with missing, unknown or misshapen weights an error that names them."""
    quiet_transformers()
    try:
        model, info = model_class.from_pretrained(
            folder, output_loading_info=True, local_files_only=True, dtype="float32"
        )
    except (OSError, ValueError, RuntimeError, KeyError, TypeError, AttributeError) as error:
        first = str(error).strip().splitlines()[0][:200]
        raise ModelError(
            f"Веса в {folder} не подходят к модели ({first}): это другой или повреждённый файл."
        ) from error
    except Exception as error:
        if type(error).__name__ != "SafetensorError":
            raise
        raise ModelError(f"Файл весов в {folder} повреждён ({error}): сохраните модель заново.") from error
    problems = [f"{what}: {', '.join(map(str, list(info[what])[:3]))}" for what in
                ("missing_keys", "unexpected_keys", "mismatched_keys") if info.get(what)]  # fmt: skip
    if problems:
        raise ModelError(f"Веса в {folder} не от этой модели ({'; '.join(problems)}).")
    return model


def _to_disk(path: Path) -> None:
    """What a power failure after the renaming must find."""
    if path.is_file():
        with path.open("rb") as handle:
            os.fsync(handle.fileno())


def recover(target: Path) -> None:
    """Put back what `save_folder` had moved away when it was killed, and sweep up what it had begun."""
    old = target.with_name(f".{target.name}.old")
    if old.is_dir() and not target.exists():
        os.replace(old, target)
    for left in (old, *target.parent.glob(f".{target.name}-*")):
        shutil.rmtree(left, ignore_errors=True)


def save_folder(target: Path, write: Any) -> None:
    """Call `write(folder)` on a fresh folder beside `target`, then put it in `target`'s place.

    Raises OutputError if it cannot be written; what was there before then stays.
    """
    name = None
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        name = tempfile.mkdtemp(prefix=f".{target.name}-", dir=target.parent)
        fresh = Path(name)
        write(fresh)
        for path in fresh.rglob("*"):
            _to_disk(path)
        fresh.chmod(0o755)
        old = target.with_name(f".{target.name}.old")
        shutil.rmtree(old, ignore_errors=True)
        if target.exists():
            os.replace(target, old)
        os.replace(fresh, target)
        shutil.rmtree(old, ignore_errors=True)
    except OSError as error:
        if name is not None:
            shutil.rmtree(name, ignore_errors=True)
        raise OutputError(f"Не удалось сохранить {target} ({because(error)}): освободите место.") from error
    except BaseException:
        if name is not None:
            shutil.rmtree(name, ignore_errors=True)
        raise
