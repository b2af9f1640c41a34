"""What we write is read by others: published names of weights, files that transformers 4 knows, with torchvision or without."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoModelForImageTextToText

from ruvlm.backends.base import Access
from ruvlm.models.vlm.compose import compose
from ruvlm.models.vlm.hub_folder import publish_names, write_model
from ruvlm.models.vlm.load import Loaded, load_hf
from tests.support.family_models import built
from tests.support.house import Ran
from tests.support.parts import encoder, language
from tests.support.random_models import llava

Run = Callable[..., Ran]
TOWER = "vision_tower.vision_model."


def read(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))


def written(source: Path, folder: Path) -> Loaded:
    """A model opened by us and written anew."""
    loaded = load_hf(str(source), Access())
    folder.mkdir()
    write_model(folder, loaded.model, loaded.processor)
    return loaded


def names(folder: Path) -> set[str]:
    return set(load_file(folder / "model.safetensors"))


@pytest.mark.parametrize("kind", ["clip", "siglip"])
def test_a_composed_model_has_the_names_of_every_published_llava(kind: str, tmp_path: Path) -> None:
    compose(str(encoder(tmp_path / "v", kind)), str(language(tmp_path / "l", "llama")), tmp_path / "out")
    parts = {name.split(".layers.")[0] for name in names(tmp_path / "out") if ".layers." in name}
    assert parts == {"language_model.model", f"{TOWER}encoder"}
    assert {
        name for name in names(tmp_path / "out") if name.startswith("vision_tower") and not name.startswith(TOWER)
    } == set()


def test_published_names_come_back_as_they_were(tmp_path: Path) -> None:
    """A folder with the hub's names, opened and written again; and opened once more."""
    source = llava(tmp_path / "m")
    weights = load_file(source / "model.safetensors")
    published = {n.replace("vision_tower.", TOWER) if TOWER not in n else n: w for n, w in weights.items()}
    save_file(published, source / "model.safetensors", {"format": "pt"})
    written(source, tmp_path / "out")
    again = load_file(tmp_path / "out" / "model.safetensors")
    assert again.keys() == published.keys()
    assert all(torch.equal(again[name], published[name]) for name in again)
    load_hf(str(tmp_path / "out"), Access())


def test_shards_are_renamed_with_their_index(tmp_path: Path) -> None:
    source = llava(tmp_path / "m")
    model = AutoModelForImageTextToText.from_pretrained(source)
    shutil.copytree(source, tmp_path / "out", ignore=shutil.ignore_patterns("*.safetensors"))
    model.save_pretrained(tmp_path / "out", max_shard_size="60KB")
    publish_names(tmp_path / "out", model)
    index = read(tmp_path / "out" / "model.safetensors.index.json")["weight_map"]
    assert len(set(index.values())) > 2
    held = {name: file for file in set(index.values()) for name in load_file(tmp_path / "out" / file)}
    assert held == index
    assert any(name.startswith(TOWER) for name in index)
    again = AutoModelForImageTextToText.from_pretrained(tmp_path / "out")
    assert all(torch.equal(a, b) for a, b in zip(model.state_dict().values(), again.state_dict().values(), strict=True))


@pytest.mark.parametrize(
    "family", ["qwen2_5_vl", "qwen3_5", "internvl", "gemma3", "gemma4", "llava_onevision", "idefics3", "llava_old"]
)
def test_what_is_written_without_torchvision_is_read_again(family: str, tmp_path: Path) -> None:
    """And says what a machine with torchvision looks for: the processor's own class, its video settings."""
    source = built(family, tmp_path)
    loaded = written(source, tmp_path / "out")
    again = load_hf(str(tmp_path / "out"), Access())
    ids = torch.tensor([[1, 5, 9, 12, 30]])
    with torch.inference_mode():
        assert torch.equal(loaded.model(input_ids=ids).logits, again.model(input_ids=ids).logits)
    said = read(tmp_path / "out" / "processor_config.json")
    assert said["processor_class"] == type(loaded.processor).__name__
    assert again.processor.image_processor.to_dict() == loaded.processor.image_processor.to_dict()
    assert again.processor.tokenizer("Кто?<s>")["input_ids"] == loaded.processor.tokenizer("Кто?<s>")["input_ids"]
    tokenizer = read(tmp_path / "out" / "tokenizer_config.json")
    assert tokenizer.get("extra_special_tokens") == tokenizer.get("model_specific_special_tokens"), "4's name and 5's"
    assert again.processor.tokenizer.all_special_tokens == loaded.processor.tokenizer.all_special_tokens
    video = source / "video_preprocessor_config.json"
    if video.is_file():
        assert read(tmp_path / "out" / video.name) == read(video)


def test_transformers_4_finds_what_it_looks_for(tmp_path: Path) -> None:
    """Its names of the files, classes and rotary settings: without the last it would silently answer otherwise."""
    source = llava(tmp_path / "m")
    config = read(source / "config.json")
    config["text_config"]["rope_parameters"] = {"rope_type": "linear", "rope_theta": 54321.0, "factor": 2.0}
    (source / "config.json").write_text(json.dumps(config), encoding="utf-8")
    before = written(source, tmp_path / "out")
    images = read(tmp_path / "out" / "preprocessor_config.json")
    assert (images["image_processor_type"], images["processor_class"]) == ("CLIPImageProcessor", "LlavaProcessor")
    tokenizer = read(tmp_path / "out" / "tokenizer_config.json")
    assert tokenizer["tokenizer_class"] == "PreTrainedTokenizerFast"
    assert "extra_special_tokens" not in tokenizer
    assert "<image>" in tokenizer["additional_special_tokens"]
    text = read(tmp_path / "out" / "config.json")["text_config"]
    assert (text["rope_theta"], text["rope_scaling"]) == (54321.0, {"rope_type": "linear", "factor": 2.0})
    after = load_hf(str(tmp_path / "out"), Access())
    ids = torch.tensor([[1, 5, 9, 12, 30]])
    with torch.inference_mode():
        assert torch.equal(before.model(input_ids=ids).logits, after.model(input_ids=ids).logits)


def test_a_template_of_ours_begins_as_the_tokenizer_does(tmp_path: Path) -> None:
    """vLLM adds no beginning-of-text to a rendered template: it has to be written there."""
    compose(str(encoder(tmp_path / "v", "clip")), str(language(tmp_path / "l", "llama")), tmp_path / "out")
    processor = load_hf(str(tmp_path / "out"), Access()).processor
    text = processor.apply_chat_template([{"role": "user", "content": [{"type": "text", "text": "Кто?"}]}])
    starts = processor.tokenizer("x")["input_ids"][0] == processor.tokenizer.bos_token_id
    assert text.startswith(processor.tokenizer.bos_token) == starts
