"""Model folders: config.json + model.safetensors + tokenizer.json, written whole or not at all; never pickle."""

from __future__ import annotations

import difflib
import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, fields
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from ruvlm.errors import ModelError, because
from ruvlm.files import write_json
from ruvlm.run_folder import BEST, FINAL

if TYPE_CHECKING:
    from _typeshed import DataclassInstance
    from torch import nn

# a trained model that comes with the package, by the name it is asked by
# what folders of models are mostly called
KEEPERS = frozenset({"models", "model", "results", "runs", "checkpoints", "weights", "adapters", "data"})
PACKAGED = MappingProxyType({"nano": Path(__file__).parent / "models" / "packaged" / "nano"})


def model_folder(name: str) -> Path:
    """A run folder, a model folder or a packaged model's name → the model folder. Raises ModelError saying what was looked for.

    A folder of that name here that holds a model comes before the packaged one.
    """
    folder = Path(name)
    for place in (folder / BEST, folder / FINAL, folder):
        if (place / "config.json").is_file():
            return place
    if name in PACKAGED:
        return PACKAGED[name]
    if not folder.exists():
        runs = [str(path.parent) for path in Path("results").glob(f"*/{FINAL}")]
        known = {Path(run).name: run for run in runs} | {
            one: one for one in ("majority", "random", "question-only", *PACKAGED)
        }
        near = [known[one] for one in difflib.get_close_matches(name, known, 1)]
        hint = f" Может быть, {near[0]}?" if near else ""
        raise ModelError(
            f"Модели {name} нет: укажите папку запуска (results/…), папку с config.json, nano (она в пакете) или hf:ИМЯ.{hint}"
        )
    if adapter_folder(name) is not None:
        raise ModelError(
            f"В {adapter_folder(name)} не модель, а адаптер: здесь нужна модель целиком, слейте их командой ruvlm model merge."
        )
    if folder.is_file():
        raise ModelError(
            f"{folder} – файл, а не модель: готовые ответы зовутся file:{folder}, их баллы даёт и ruvlm score."
        )
    raise ModelError(f"В папке {folder} нет модели (best_model, final_model или config.json): обучите её заново.")


def adapter_folder(name: str) -> Path | None:
    """Where a run folder or a folder itself holds an adapter instead of a model; None if it does not."""
    places = (Path(name) / BEST, Path(name) / FINAL, Path(name))
    return next(
        (p for p in places if (p / "adapter_config.json").is_file() and not (p / "config.json").is_file()), None
    )


def base_of(adapter: Path) -> str:
    """The model that an adapter was trained on, as it says itself. Raises ModelError where it does not."""
    try:
        return str(json.loads((adapter / "adapter_config.json").read_text(encoding="utf-8"))["base_model_name_or_path"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ModelError(
            f"Адаптер {adapter} не говорит, на какой модели обучен (adapter_config.json): укажите её, hf:МОДЕЛЬ+{adapter}."
        ) from error


def read_model_type(folder: Path) -> str:
    """`model_type` of config.json. Raises ModelError if it is damaged or weights are missing."""
    try:
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        if not isinstance(config, dict):
            raise ValueError("не объект с полями")
    except (OSError, ValueError, RecursionError) as error:
        raise ModelError(f"Файл {folder / 'config.json'} не читается ({error}): сохраните модель заново.") from error
    if not any(folder.glob("*.safetensors")):
        raise ModelError(f"В папке {folder} нет весов model.safetensors: сохраните модель заново.")
    return str(config.get("model_type", ""))


def weights_fingerprint(folder: Path) -> str:
    """A short hash of everything in a model folder that may decide its answers: all files but known bystanders."""
    digest = hashlib.sha256()
    try:
        for path in sorted(folder.iterdir()):
            if path.is_file() and not _bystander(path):
                _absorb(digest, path, path.name)
        # code of the model and parts of its processor may lie deeper; weights that are loaded do not
        for path in sorted(folder.rglob("*")):
            parts = path.relative_to(folder).parts
            if len(parts) > 1 and path.suffix in DEEPER and not any(map(_apart, parts)) and path.is_file():
                _absorb(digest, path, str(path.relative_to(folder)))
    except OSError as error:
        raise ModelError(f"Папка {folder} не читается ({because(error)}): проверьте права на её файлы.") from error
    return digest.hexdigest()[:16]


# what lies beside a model and is never loaded with it
BYSTANDERS = (
    ".md",
    ".png",
    ".jpg",
    ".jpeg",
    ".gif",
    ".webp",
    ".svg",
    ".pdf",
    ".h5",
    ".msgpack",
    ".ot",
    ".onnx",
    ".gguf",
    ".tflite",
    ".log",
    ".lock",
    ".tmp",
    ".part",
)
TRAINER = (
    "training_args.bin",
    "optimizer.pt",
    "optimizer.bin",
    "scheduler.pt",
    "scaler.pt",
    "LICENSE",
    "LICENSE.txt",
    "NOTICE",
)
DEEPER = (".py", ".json", ".txt", ".jinja", ".model")


def _bystander(path: Path) -> bool:
    name = path.name
    return name.startswith((".", "rng_state", "events.out")) or name in TRAINER or path.suffix.lower() in BYSTANDERS


def _apart(part: str) -> bool:
    """A hidden folder, evaluations, points of a training run: beside the model, not of it."""
    return part.startswith((".", "checkpoint-")) or part in ("eval", "runs", "__pycache__")


def _absorb(digest: Any, path: Path, name: str) -> None:
    digest.update(name.encode())
    with path.open("rb") as handle:
        while block := handle.read(1 << 22):
            digest.update(block)


class Shaped(Protocol):
    """A network of ours: made from its shape, which it keeps."""

    shape: Any

    def state_dict(self) -> dict[str, Any]: ...


NetworkT = TypeVar("NetworkT", bound="nn.Module")
ShapeT = TypeVar("ShapeT", bound="DataclassInstance")


def read_network(network: Callable[[ShapeT], NetworkT], shape: type[ShapeT], folder: Path) -> NetworkT:
    """A network of ours with the weights of a model folder, in single precision whatever the file's. Raises ModelError.

    `shape` is what config.json gives the fields of; its other keys are transformers'. Missing, unknown or misshapen weights are
    an error that names them.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        known = {one.name: config[one.name] for one in fields(shape) if one.name in config}
        model = network(shape(**{k: tuple(v) if isinstance(v, list) else v for k, v in known.items()}))
        weights = {
            name: value for path in sorted(folder.glob("model*.safetensors")) for name, value in load_file(path).items()
        }
    except SafetensorError as error:
        raise ModelError(f"Файл весов в {folder} повреждён ({error}): сохраните модель заново.") from error
    except (OSError, ValueError, RuntimeError, TypeError, AttributeError, ZeroDivisionError) as error:
        first = str(error).strip().splitlines()[0][:200]
        raise ModelError(
            f"Веса в {folder} не подходят к модели ({first}): это другой или повреждённый файл."
        ) from error
    _refuse_others(folder, model.state_dict(), weights)
    _refuse_integers(folder, {path for path in folder.glob("model*.safetensors")})
    model.load_state_dict(
        {name: value.float() if value.is_floating_point() else value for name, value in weights.items()}
    )
    refuse_not_finite(model, str(folder))
    return model


def _refuse_others(folder: Path, own: Mapping[str, Any], given: Mapping[str, Any]) -> None:
    """Raise ModelError for weights that are missing, unknown or of another shape."""
    problems = {
        "missing_keys": [name for name in own if name not in given],
        "unexpected_keys": [name for name in given if name not in own],
        "mismatched_keys": [name for name in own if name in given and own[name].shape != given[name].shape],
    }
    said = [f"{what}: {', '.join(names[:3])}" for what, names in problems.items() if names]
    if said:
        raise ModelError(f"Веса в {folder} не от этой модели ({'; '.join(said)}).")


def write_network(folder: Path, network: Shaped, model_type: str, more: Mapping[str, Any]) -> None:
    """A network's config.json and weights in a folder that is there. Raises OSError."""
    from safetensors.torch import save_file

    state = {name: value.detach().cpu().contiguous() for name, value in network.state_dict().items()}
    save_file(state, folder / "model.safetensors", metadata={"format": "pt"})
    config = {"architectures": [type(network).__name__], "model_type": model_type, **asdict(network.shape), **more}
    write_json(folder / "config.json", config)


def _refuse_integers(folder: Path, files: set[Path]) -> None:
    """Raise ModelError for quantised weights without their scales: as numbers they are another model's."""
    from safetensors import safe_open

    for path in sorted(files):
        with safe_open(path, "pt") as tensors:
            for name in tensors.keys():  # noqa: SIM118 - no mapping
                kind = tensors.get_slice(name).get_dtype()
                if kind.startswith(("I", "U")) and name.endswith(("weight", "bias")):
                    raise ModelError(
                        f"В {path} веса {name} целые ({kind}), а масштаба к ним нет: сохраните модель без квантования."
                    )


def refuse_not_finite(model: Any, name: str) -> None:
    """Raise ModelError if a weight is NaN or infinite: such a model answers, and its answers mean nothing."""
    import torch

    for key, weight in model.state_dict().items():
        if weight.is_floating_point() and weight.device.type != "meta" and not bool(torch.isfinite(weight).all()):
            raise ModelError(
                f"У модели {name} в весах {key} есть NaN или бесконечность: сохраните или скачайте её заново."
            )


def refuse_lost_folder(name: str) -> None:
    """Raise ModelError for what looks like a path and is not there: asking the hub for it would only take a minute.

    The hub's names have one slash and nothing before it. «models/mine» is a path all the same where a folder `models` here is one that
    models are kept in.
    """
    path = Path(name)
    if path.exists():
        return
    beside = name.count("/") == 1 and path.parent.is_dir() and _keeps_models(path.parent)
    if name.startswith((".", "/", "~")) or "\\" in name or name.count("/") > 1 or beside:
        raise ModelError(f"Папки с моделью {name} нет: проверьте путь.")


def _keeps_models(folder: Path) -> bool:
    """By its name, or by a model that lies in it."""
    return folder.name in KEEPERS or any(folder.glob("*/config.json"))
