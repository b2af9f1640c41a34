"""`ruvlm model compose`: a standard LLaVA out of an encoder and a language model of each family, built on the spot."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image

from ruvlm.errors import ModelError
from ruvlm.models.vlm.compose import IMAGE, compose
from tests.support.house import Ran
from tests.support.parts import encoder, language

Run = Callable[..., Ran]


def asked(processor: Any, texts: list[str], images: list[Image.Image]) -> Any:
    chats = [[{"role": "user", "content": [{"type": "image"}, {"type": "text", "text": text}]}] for text in texts]
    prompts = [processor.apply_chat_template(chat, add_generation_prompt=True) for chat in chats]
    processor.tokenizer.padding_side = "left"
    return processor(images=images, text=prompts, return_tensors="pt", padding=True)


@pytest.mark.parametrize("family", ["llama", "qwen", "gemma", "mistral"])
@pytest.mark.parametrize("kind", ["clip", "siglip"])
def test_a_composed_model_is_a_standard_llava(tmp_path: Path, family: str, kind: str) -> None:
    from transformers import AutoModelForImageTextToText, AutoProcessor, LlavaForConditionalGeneration

    built = compose(str(encoder(tmp_path / "v", kind)), str(language(tmp_path / "l", family)), tmp_path / "out")
    model = AutoModelForImageTextToText.from_pretrained(tmp_path / "out").eval()
    processor = AutoProcessor.from_pretrained(tmp_path / "out")
    assert isinstance(model, LlavaForConditionalGeneration)
    assert model.config.image_token_index == processor.tokenizer.convert_tokens_to_ids(IMAGE)
    assert model.get_input_embeddings().weight.shape[0] % 64 == 0
    assert built.image_tokens == 4
    images = [Image.effect_noise((50 + 9 * n, 40), 70).convert("RGB") for n in range(3)]
    texts = ["Кто в рубашке?", "Какого цвета мяч слева от кошки?", "да?"]
    inputs = asked(processor, texts, images)
    assert (inputs["input_ids"] == model.config.image_token_index).sum().item() == 3 * 4
    with torch.inference_mode():
        again = LlavaForConditionalGeneration.from_pretrained(tmp_path / "out").eval()
        assert torch.equal(model(**inputs).logits, again(**inputs).logits), "saved and loaded, the same logits"
        plain = {"max_new_tokens": 6, "do_sample": False, "eos_token_id": -1, "pad_token_id": 0}
        together = model.generate(**inputs, **plain)[:, inputs["input_ids"].shape[1] :]
        for number, (text, image) in enumerate(zip(texts, images, strict=True)):
            one = asked(processor, [text], [image])
            alone = model.generate(**one, **plain)[:, one["input_ids"].shape[1] :]
            assert alone[0].tolist() == together[number].tolist(), "a batch writes what one by one would"


def test_the_projector_is_drawn_by_the_seed_and_nothing_else(tmp_path: Path) -> None:
    from safetensors.torch import load_file

    parts = str(encoder(tmp_path / "v", "clip")), str(language(tmp_path / "l", "llama"))
    weights = []
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        compose(*parts, tmp_path / name, seed=seed)
        weights.append(load_file(tmp_path / name / "model.safetensors"))
    a, b, c = weights
    assert all(torch.equal(a[key], b[key]) for key in a)
    differ = {key for key in a if not torch.equal(a[key], c[key])}
    assert differ
    assert all("projector" in key for key in differ)


def test_a_model_that_llava_would_change_is_refused(tmp_path: Path) -> None:
    """Gemma 2 caps its logits after the head, which LLaVA does not."""
    with pytest.raises(ModelError, match="иначе, чем сама по себе"):
        compose(str(encoder(tmp_path / "v", "clip")), str(language(tmp_path / "l", "gemma2")), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_the_command_and_its_refusals(tmp_path: Path, ruvlm: Run) -> None:
    vision, llm = encoder(tmp_path / "v", "siglip"), language(tmp_path / "l", "qwen")
    done = ruvlm("model", "compose", "--vision", vision, "--llm", llm, "--out", tmp_path / "m")
    assert done.code == 0, done.err
    assert "токенов картинки: 4" in done.err
    Image.effect_noise((50, 40), 70).convert("RGB").save(tmp_path / "p.png")
    assert ruvlm("ask", f"hf:{tmp_path / 'm'}", tmp_path / "p.png", "Кто в рубашке?").code == 0
    for vision_name, llm_name, said in (
        (llm, llm, "CLIP, SigLIP"),
        (vision, vision, "Языковая"),
        (tmp_path / "x", llm, "Папки с моделью"),
    ):
        done = ruvlm("model", "compose", "--vision", vision_name, "--llm", llm_name, "--out", tmp_path / "n")
        assert (done.code, said in done.err, "Traceback" in done.err) == (2, True, False), done.err
    done = ruvlm("model", "compose", "--vision", vision, "--llm", llm, "--out", tmp_path / "m")
    assert (done.code, "занята" in done.err) == (2, True)
