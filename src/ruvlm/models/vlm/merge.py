"""A model and its LoRA adapter → one folder of plain weights, compared before it is written."""

from __future__ import annotations

from pathlib import Path

from ruvlm.backends.base import Access
from ruvlm.checkpoint import weights_fingerprint
from ruvlm.errors import ConfigError, OutputError
from ruvlm.files import whole_folder
from ruvlm.models.vlm.adapters import adapted, refuse_another_base
from ruvlm.models.vlm.hub_folder import write_model
from ruvlm.models.vlm.load import load_processor, plain_weights
from ruvlm.models.vlm.parts import merged
from ruvlm.runtime import pick_device

SAMPLE = "Кто на картинке? Кошка и собака. Who is it? 42"


def merge_adapter(spec: str, out: Path, dtype: str) -> None:
    """«MODEL+ADAPTER» → `out`. Raises ModelError if the merged weights answer otherwise, OutputError if `out` is taken."""
    name, plus, adapter = spec.partition("+")
    if not plus or not adapter:
        raise ConfigError(f"«{spec}»: нужно МОДЕЛЬ+АДАПТЕР, например models/llava+results/lora/final_model.")
    if out.exists():
        raise OutputError(f"Папка {out} уже занята: укажите другую --out.")
    access = Access(device="cpu", dtype=dtype)
    model = plain_weights(name, access, pick_device("cpu"))
    refuse_another_base(model, name, weights_fingerprint(Path(name)) if Path(name).is_dir() else "", adapter)
    processor = load_processor(name, model.config)
    sample = processor.tokenizer(SAMPLE, return_tensors="pt")
    whole = merged(adapted(model, adapter), {"input_ids": sample["input_ids"]})
    with whole_folder(out) as folder:
        write_model(folder, whole, processor)
