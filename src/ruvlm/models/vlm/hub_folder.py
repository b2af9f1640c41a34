"""A model's folder as the hub publishes it: read by transformers 4 and 5, vLLM and lmms-eval, with torchvision or without.

transformers 5 renames what earlier versions and vLLM know by another name: a vision tower's weights lose their
«vision_model.», the picture settings move into processor_config.json, rotary settings into one dictionary, a tokenizer's
class is called otherwise. It reads the published names as well, so those are written.
"""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

# towers whose transformers 4 class keeps its layers one attribute deeper
DEEPER = ("CLIPVisionModel", "SiglipVisionModel")
IMAGES, VIDEOS = "preprocessor_config.json", "video_preprocessor_config.json"
Json = dict[str, Any]


def write_model(folder: Path, model: Any, processor: Any, state: dict[str, Any] | None = None) -> None:
    """Weights, or an adapter, and the processor. `state` is given where the model's own is spread over processes."""
    model.save_pretrained(folder, state_dict=state)
    if (folder / "config.json").is_file():
        publish_names(folder, model)
        _edited(folder / "config.json", _with_rotary_twice)
    write_processor(folder, processor)


def publish_names(folder: Path, model: Any) -> None:
    """Give the vision towers' weights in a folder their published names."""
    towers = [name for name, part in model.named_modules() if type(part).__name__ in DEEPER]
    words = {name.rsplit(".", 1)[-1] for name in towers}
    if not words:
        return
    short = re.compile(rf"(^|\.)({'|'.join(map(re.escape, sorted(words)))})\.(?!vision_model\.)")

    def published(name: str) -> str:
        return short.sub(r"\1\2.vision_model.", name, count=1)

    for path in sorted(folder.glob("*.safetensors")):
        _rename(path, published)
    index = folder / "model.safetensors.index.json"
    if index.is_file():
        _edited(index, lambda said: said | {"weight_map": {published(n): f for n, f in said["weight_map"].items()}})


def _rename(path: Path, published: Callable[[str], str]) -> None:
    """The same tensors under other names. Only the header is read and made anew: weights may be larger than the memory."""
    with path.open("rb") as source:
        size = int.from_bytes(source.read(8), "little")
        header: Json = json.loads(source.read(size))
        renamed = {name if name == "__metadata__" else published(name): entry for name, entry in header.items()}
        if renamed.keys() == header.keys():
            return
        text = json.dumps(renamed, separators=(",", ":")).encode()
        text += b" " * (-len(text) % 8)
        fresh = path.with_name(f".{path.name}.renamed")
        with fresh.open("wb") as target:
            target.write(len(text).to_bytes(8, "little") + text)
            shutil.copyfileobj(source, target, 1 << 24)
    fresh.replace(path)


def write_processor(folder: Path, processor: Any) -> None:
    """A processor's files, with those that transformers 4 looks for."""
    processor.save_pretrained(folder)
    named = type(processor).__name__
    images = processor.image_processor
    settings = images.to_dict() | {
        "image_processor_type": type(images).__name__.removesuffix("Pil"),
        "processor_class": named,
    }
    _write(folder / IMAGES, {key: value for key, value in settings.items() if value is not None})
    video = getattr(processor, "video_settings", None)
    if video:
        _write(folder / VIDEOS, video)
    if (folder / "tokenizer_config.json").is_file():  # Mistral's own tokenizers have none
        _edited(folder / "tokenizer_config.json", _as_known)


def _as_known(tokenizer: Json) -> Json:
    """Tokenizer settings in the words of transformers 4, which 5 reads as well."""
    said = dict(tokenizer)
    if said.get("tokenizer_class") == "TokenizersBackend":
        said["tokenizer_class"] = "PreTrainedTokenizerFast"
    if isinstance(said.get("extra_special_tokens"), list):
        said["additional_special_tokens"] = said.pop("extra_special_tokens")
    if said.get("model_specific_special_tokens"):  # the processor asks the tokenizer for these by name
        said["extra_special_tokens"] = said["model_specific_special_tokens"]
    return {key: value for key, value in said.items() if key not in ("is_local", "local_files_only")}


def _with_rotary_twice(config: Json) -> Json:
    """Rotary settings also as transformers 4 says them: without those it would silently turn by its default base."""
    said = {key: _with_rotary_twice(value) if isinstance(value, dict) else value for key, value in config.items()}
    rotary = config.get("rope_parameters")
    if not isinstance(rotary, dict):
        return said
    kinds = {"full_attention", "sliding_attention"}
    if rotary.keys() & kinds:  # Gemma 3: a base of their own for the layers that see a window
        whole = rotary.get("full_attention") or {}
        local = (rotary.get("sliding_attention") or {}).get("rope_theta")
        return said | _rotary(whole) | ({} if local is None else {"rope_local_base_freq": local})
    return said | _rotary(rotary)


def _rotary(rotary: Json) -> Json:
    apart = {key: rotary[key] for key in ("rope_theta", "partial_rotary_factor") if rotary.get(key) is not None}
    scaling = {key: value for key, value in rotary.items() if key not in apart and value is not None}
    return apart | ({"rope_scaling": scaling} if scaling.keys() - {"rope_type"} else {})


def _edited(path: Path, edit: Callable[[Json], Json]) -> None:
    _write(path, edit(json.loads(path.read_text(encoding="utf-8"))))


def _write(path: Path, settings: Json) -> None:
    path.write_text(json.dumps(settings, ensure_ascii=False, indent=2, sort_keys=True) + "\n", encoding="utf-8")
