"""Untrained vision and language models, to be composed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from tests.support.random_models import WORDS, _spread, trained_tokenizer

SIZE = {
    "hidden_size": 48,
    "intermediate_size": 96,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
}


TEMPLATE = "{% for m in messages %}<{{ m['role'] }}>{{ m['content'] }}</s>{% endfor %}{% if add_generation_prompt %}<assistant>{% endif %}"


def language(folder: Path, family: str) -> Path:
    """An untrained language model with a tokenizer trained on the spot."""
    import transformers as t

    tokenizer: Any = trained_tokenizer([WORDS], [])
    if family != "llama":
        tokenizer.chat_template = TEMPLATE
    base = {**SIZE, "vocab_size": len(tokenizer), "bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 0}
    configs = {
        "llama": (t.LlamaConfig, t.LlamaForCausalLM, {}),
        "qwen": (t.Qwen2Config, t.Qwen2ForCausalLM, {"tie_word_embeddings": True}),
        "gemma": (t.GemmaConfig, t.GemmaForCausalLM, {"head_dim": 12}),
        "mistral": (t.MistralConfig, t.MistralForCausalLM, {"sliding_window": None}),
        "gemma2": (t.Gemma2Config, t.Gemma2ForCausalLM, {"head_dim": 12, "final_logit_softcapping": 3.0}),
    }
    config, model_class, more = configs[family]
    torch.manual_seed(1)
    model = model_class(config(**base, **more))
    _spread(model)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def encoder(folder: Path, kind: str) -> Path:
    import transformers as t

    torch.manual_seed(2)
    size = {
        "hidden_size": 32,
        "intermediate_size": 64,
        "num_hidden_layers": 3,
        "num_attention_heads": 2,
        "image_size": 28,
        "patch_size": 14,
    }
    if kind == "clip":
        model: Any = t.CLIPVisionModel(t.CLIPVisionConfig(**size))
        images: Any = t.CLIPImageProcessorPil(size={"shortest_edge": 28}, crop_size={"height": 28, "width": 28})
    else:
        model = t.SiglipVisionModel(t.SiglipVisionConfig(**size))
        images = t.SiglipImageProcessorPil(size={"height": 28, "width": 28})
    model.save_pretrained(folder)
    images.save_pretrained(folder)
    return folder
