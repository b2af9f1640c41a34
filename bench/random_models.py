"""Folders of untrained vision-language models in the hub's layout: what tests and timings run on."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path

IMAGE = "<image>"
CHAT = (
    "{% for m in messages %}USER: {% if m['content'] is string %}{{ m['content'] }}{% else %}"
    "{% for c in m['content'] %}{% if c['type'] == 'text' %}{{ c['text'] }}{% else %}<image>\n{% endif %}{% endfor %}"
    "{% endif %} {% endfor %}{% if add_generation_prompt %}ASSISTANT:{% endif %}"
)
QWEN_CHAT = CHAT.replace("<image>\n", "<|vision_start|><|image_pad|><|vision_end|>")
WORDS = (
    "Кто в рубашке? Какого цвета мяч слева от кошки? Ответь одним словом. да нет красный синий зелёный человек стол "
    "There are several options: A. B. C. D. Выбери правильный вариант ответа буквой. USER: ASSISTANT: круг квадрат"
)


def trained_tokenizer(texts: Iterable[str], special: Iterable[str], vocabulary: int = 700) -> object:
    """A byte-level BPE tokenizer trained on the spot, with a beginning and an end token."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
    from transformers import PreTrainedTokenizerFast

    raw = Tokenizer(models.BPE(unk_token=None))
    raw.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    raw.decoder = decoders.ByteLevel()
    names = ["<pad>", "<s>", "</s>", *special]
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary, special_tokens=names, initial_alphabet=pre_tokenizers.ByteLevel.alphabet()
    )
    raw.train_from_iterator(list(texts), trainer)
    raw.post_processor = processors.TemplateProcessing(single="<s> $A", special_tokens=[("<s>", 1)])
    return PreTrainedTokenizerFast(
        tokenizer_object=raw,
        bos_token="<s>",
        eos_token="</s>",
        pad_token="<pad>",
        additional_special_tokens=list(special),
    )


def eager_to_stop(model: object, strength: float) -> None:
    """Make the end token likelier, so that answers of an untrained model end, some early and some late."""
    import torch

    if strength:
        with torch.no_grad():
            model.lm_head.weight[2] *= strength


def printable(model: object, tokenizer: object) -> None:
    """Keep an untrained model from writing control characters and pieces of letters: spreadsheets refuse them."""
    import torch

    texts = [tokenizer.decode([token]) for token in range(len(tokenizer))]
    bad = [
        token
        for token, text in enumerate(texts)
        if (token > 2 and not text.replace(" ", "x").isprintable()) or "\ufffd" in text
    ]
    with torch.no_grad():
        model.lm_head.weight[bad] = 0


def llava(
    folder: Path, width: int = 48, layers: int = 2, heads: int = 4, image: int = 28, patch: int = 14, vision: int = 32,
    vision_layers: int = 2, vocabulary: int = 700, seed: int = 0, strength: float = 0.0, texts: Iterable[str] = (),
) -> Path:  # fmt: skip
    """A LLaVA: CLIP vision tower, projector, Llama. Image tokens: (image / patch)²."""
    import torch
    from transformers import (
        CLIPImageProcessorPil,
        CLIPVisionConfig,
        LlamaConfig,
        LlavaConfig,
        LlavaForConditionalGeneration,
        LlavaProcessor,
    )

    tokenizer = trained_tokenizer([WORDS, *texts], [IMAGE], vocabulary)
    torch.manual_seed(seed)
    config = LlavaConfig(
        vision_config=CLIPVisionConfig(
            hidden_size=vision, intermediate_size=2 * vision, num_hidden_layers=vision_layers,
            num_attention_heads=max(2, vision // 64), image_size=image, patch_size=patch,
        ),
        text_config=LlamaConfig(
            hidden_size=width, intermediate_size=int(2.75 * width), num_hidden_layers=layers, num_attention_heads=heads,
            num_key_value_heads=heads // 2, vocab_size=len(tokenizer), max_position_embeddings=4096, bos_token_id=1,
            eos_token_id=2, pad_token_id=0, tie_word_embeddings=False,
        ),
        image_token_index=tokenizer.convert_tokens_to_ids(IMAGE), image_seq_length=(image // patch) ** 2,
    )  # fmt: skip
    model = LlavaForConditionalGeneration(config)
    _spread(model)
    printable(model, tokenizer)
    eager_to_stop(model, strength)
    square = {"shortest_edge": image}, {"height": image, "width": image}
    processor = LlavaProcessor(
        CLIPImageProcessorPil(size=square[0], crop_size=square[1]), tokenizer, patch_size=patch,
        vision_feature_select_strategy="default", chat_template=CHAT, num_additional_image_tokens=1,
    )  # fmt: skip
    return _saved(folder, model, processor)


def idefics3(folder: Path, seed: int = 0) -> Path:
    """An Idefics3, which is also SmolVLM's architecture: SigLIP-like tower, pixel shuffle, Llama."""
    import torch
    from transformers import (
        Idefics3Config,
        Idefics3ForConditionalGeneration,
        Idefics3ImageProcessorPil,
        Idefics3Processor,
        LlamaConfig,
    )
    from transformers.models.idefics3.configuration_idefics3 import Idefics3VisionConfig

    special = [IMAGE, "<fake_token_around_image>", "<global-img>", "<end_of_utterance>"]
    special += [f"<row_{r}_col_{c}>" for r in range(1, 5) for c in range(1, 5)]
    tokenizer = trained_tokenizer([WORDS], special)
    torch.manual_seed(seed)
    config = Idefics3Config(
        vision_config=Idefics3VisionConfig(
            hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=4, image_size=32, patch_size=8
        ),
        text_config=LlamaConfig(
            hidden_size=48, intermediate_size=96, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=4,
            vocab_size=len(tokenizer), bos_token_id=1, eos_token_id=2, pad_token_id=0,
        ),
        scale_factor=2, image_token_id=tokenizer.convert_tokens_to_ids(IMAGE), pad_token_id=0, vocab_size=len(tokenizer),
    )  # fmt: skip
    model = Idefics3ForConditionalGeneration(config)
    _spread(model)
    images = Idefics3ImageProcessorPil(size={"longest_edge": 64}, max_image_size={"longest_edge": 32})
    processor = Idefics3Processor(images, tokenizer, image_seq_len=4, chat_template=CHAT)
    return _saved(folder, model, processor)


def qwen(folder: Path, seed: int = 0) -> Path:
    """A Qwen2.5-VL: dynamic resolution, positions in three dimensions."""
    import torch
    from transformers import Qwen2_5_VLConfig, Qwen2_5_VLForConditionalGeneration
    from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import Qwen2VLImageProcessorPil

    special = ["<|vision_start|>", "<|vision_end|>", "<|image_pad|>", "<|video_pad|>"]
    tokenizer = trained_tokenizer([WORDS], special)
    start, end, image, video = (tokenizer.convert_tokens_to_ids(name) for name in special)
    torch.manual_seed(seed)
    config = Qwen2_5_VLConfig(
        vision_config={"depth": 2, "hidden_size": 32, "intermediate_size": 64, "num_heads": 4, "out_hidden_size": 48,
                       "patch_size": 14, "spatial_merge_size": 2, "window_size": 56, "fullatt_block_indexes": [1]},
        text_config={"hidden_size": 48, "intermediate_size": 96, "num_hidden_layers": 2, "num_attention_heads": 4,
                     "num_key_value_heads": 2, "vocab_size": len(tokenizer), "bos_token_id": 1, "eos_token_id": 2,
                     "pad_token_id": 0, "rope_parameters": {"rope_type": "default", "mrope_section": [2, 2, 2],
                                                            "rope_theta": 10000.0}},
        image_token_id=image, video_token_id=video, vision_start_token_id=start, vision_end_token_id=end,
    )  # fmt: skip
    model = Qwen2_5_VLForConditionalGeneration(config)
    _spread(model)
    folder.mkdir(parents=True, exist_ok=True)
    model.save_pretrained(folder)
    tokenizer.chat_template = QWEN_CHAT
    tokenizer.save_pretrained(folder)
    Qwen2VLImageProcessorPil(min_pixels=28 * 28 * 4, max_pixels=28 * 28 * 36).save_pretrained(folder)
    path = folder / "preprocessor_config.json"
    settings = json.loads(path.read_text(encoding="utf-8"))
    # as the hub's own files say it
    settings |= {"image_processor_type": "Qwen2VLImageProcessor", "processor_class": "Qwen2_5_VLProcessor"}
    path.write_text(json.dumps(settings), encoding="utf-8")
    return folder


def _spread(model: object) -> None:
    """Weights wide enough that different questions and pictures get different answers."""
    import torch

    with torch.no_grad():
        for name, weight in model.named_parameters():
            if weight.ndim >= 2 and "embed" not in name:
                weight.normal_(0, 1.4 / weight.shape[1] ** 0.5 if weight.ndim == 2 else 0.05)
            elif "embed" in name and weight.ndim == 2:
                weight.normal_(0, 0.5)


def _saved(folder: Path, model: object, processor: object) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    model.save_pretrained(folder)
    processor.save_pretrained(folder)
    return folder
