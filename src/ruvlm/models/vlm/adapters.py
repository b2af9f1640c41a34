"""LoRA adapters that somebody else has trained: their base, the names their version of transformers gave, merging."""

from __future__ import annotations

import json
import tempfile
import warnings
from pathlib import Path
from typing import Any

from ruvlm.checkpoint import refuse_lost_folder
from ruvlm.errors import ModelError
from ruvlm.models.vlm.parts import part_of

# what an adapter of ours says of the weights it was trained on
BASE_FILE = "base.json"
ROOT = "base_model.model."


def adapted(model: Any, adapter: str) -> Any:
    """The model under a LoRA adapter, whose weights must all be there and known. Raises ModelError.

    An adapter whose weights bear the names of another version of transformers is read under today's.
    """
    _refuse_unclear_adapter(adapter)
    try:
        return _wrapped(model, adapter)
    except MemoryError:
        raise
    except Exception as error:  # a stranger's files can make the library raise anything
        first = (str(error).strip().splitlines() or [type(error).__name__])[0][:200]
        with tempfile.TemporaryDirectory(prefix="ruvlm-adapter-") as folder:
            try:
                _rename(Path(adapter), model, Path(folder))
                return _wrapped(_unwrapped(model), folder)
            except MemoryError:
                raise
            except Exception:
                raise ModelError(
                    f"Адаптер {adapter} не подошёл к модели ({first}): проверьте путь и базовую модель."
                ) from error


def _wrapped(model: Any, adapter: str) -> Any:
    from peft import PeftModel

    with warnings.catch_warnings():
        warnings.filterwarnings("error", message=".*(missing|unexpected).*keys.*")
        # peft asks for a property that transformers has renamed
        warnings.filterwarnings("ignore", message=".*is_gradient_checkpointing.*", category=FutureWarning)
        return PeftModel.from_pretrained(model, adapter)


def _unwrapped(model: Any) -> Any:
    """The model without the empty adapter layers that an attempt has left in it."""
    from peft.tuners.tuners_utils import BaseTunerLayer

    for name, module in list(model.named_modules()):
        if isinstance(module, BaseTunerLayer):
            parent = model.get_submodule(name.rpartition(".")[0])
            setattr(parent, name.rpartition(".")[2], module.get_base_layer())
    vars(model).pop("peft_config", None)
    return model


def _rename(adapter: Path, model: Any, folder: Path) -> None:
    """The adapter with the names that the model's modules have now. Raises ValueError where one cannot be told."""
    from safetensors.torch import load_file, save_file

    modules = [name for name, _ in model.named_modules()]
    weights, targets = {}, set()
    for key, value in load_file(adapter / "adapter_model.safetensors").items():
        module, mark, rest = key.removeprefix(ROOT).partition(".lora_")
        if not mark:
            module, _, rest = module.rpartition(".")
            mark = "."
        named = _todays(module, modules)
        weights[f"{ROOT}{named}{mark}{rest}"] = value
        if mark == ".lora_":
            targets.add(named)
    config = json.loads((adapter / "adapter_config.json").read_text(encoding="utf-8"))
    config |= {"target_modules": sorted(targets)}
    (folder / "adapter_config.json").write_text(json.dumps(config), encoding="utf-8")
    save_file(weights, folder / "adapter_model.safetensors", {"format": "pt"})


def _todays(old: str, modules: list[str]) -> str:
    """The one module of the same part of the model whose name ends as the old one does."""
    words = old.split(".")
    for start in range(len(words)):
        end = ".".join(words[start:])
        same = [name for name in modules if f".{name}".endswith(f".{end}") and part_of(name) == part_of(old)]
        if same:
            break
    if len(same) != 1:
        raise ValueError(f"{old}: таких имён в модели {len(same)}")
    return same[0]


def refuse_another_base(model: Any, name: str, weights: str, adapter: str) -> None:
    """Raise ModelError for an adapter that says it belongs to another model.

    A local copy may have any name, so names are compared only between two of the hub's; an adapter of ours knows the
    fingerprint of its base's weights.
    """
    import transformers

    place = Path(adapter)
    config, base = (_said(place / file) for file in ("adapter_config.json", BASE_FILE))
    trained_on = str(config.get("base_model_name_or_path") or "")
    mapping = config.get("auto_mapping")
    kind = str(mapping.get("base_model_class") or "") if isinstance(mapping, dict) else ""
    # of the hub's models a fingerprint is the commit, which changes with the page's text
    known = [mark for mark in (weights, str(base.get("weights") or "")) if mark and "@" not in mark]
    other_weights = len(known) == 2 and known[0] != known[1]
    other_name = _of_hub(trained_on) and _of_hub(name) and trained_on.lower() != name.lower()
    other_kind = hasattr(transformers, kind) and kind != type(model).__name__
    if other_weights or other_name or other_kind:
        raise ModelError(f"Адаптер {adapter} обучен на {trained_on or kind}, а не на {name}: укажите ту модель.")


def _of_hub(name: str) -> bool:
    return name.count("/") == 1 and not name.startswith((".", "/", "~")) and not Path(name).exists()


def _said(path: Path) -> dict[str, Any]:
    try:
        settings = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    return settings if isinstance(settings, dict) else {}


def _refuse_unclear_adapter(adapter: str) -> None:
    """Raise ModelError for a folder that holds adapters deeper, or for two adapters at once."""
    place = Path(adapter)
    if "+" in adapter and not place.exists():
        raise ModelError(
            f"Адаптеров несколько («{adapter}»), а берётся один: слейте первый командой ruvlm model merge."
        )
    refuse_lost_folder(adapter)
    if place.is_dir() and not (place / "adapter_config.json").is_file():
        deeper = sorted(path.parent for path in place.glob("*/adapter_config.json"))
        hint = f": есть {', '.join(str(path) for path in deeper[:4])}, укажите одну из них" if deeper else ""
        raise ModelError(f"В папке {place} нет adapter_config.json{hint or ': это не адаптер peft'}.")


def answering(model: Any, adapter: str) -> Any:
    """The model with a LoRA adapter, merged where the weights allow it. Raises ModelError."""
    wrapped = adapted(model, adapter)
    if getattr(model, "is_quantized", False) or not hasattr(wrapped, "merge_and_unload"):
        return wrapped.base_model.model if hasattr(wrapped.base_model, "model") else wrapped
    try:
        return wrapped.merge_and_unload()
    except (NotImplementedError, ValueError, AttributeError):  # a kind that cannot be merged answers as it is
        return wrapped
