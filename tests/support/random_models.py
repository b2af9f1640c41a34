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
VISION = "<|vision_start|>", "<|vision_end|>", "<|image_pad|>", "<|video_pad|>"
# after Qwen3.5's; the system prompt where none is given is Qwen2.5-VL's, which lmms-eval gives to every Qwen
HYBRID_CHAT = (
    "{% if messages[0]['role'] != 'system' %}<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n{% endif %}"
    "{% for m in messages %}<|im_start|>{{ m['role'] }}\n{% if m['content'] is string %}{{ m['content'] }}{% else %}"
    "{% for c in m['content'] %}{% if c['type'] == 'text' %}{{ c['text'] }}{% else %}"
    "<|vision_start|><|image_pad|><|vision_end|>{% endif %}{% endfor %}{% endif %}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% if enable_thinking is defined and enable_thinking is false %}"
    "<think>\n\n</think>\n\n{% else %}<think>\n{% endif %}{% endif %}"
)
# so often that the template's words are tokens, as in Qwen's vocabulary
HYBRID_WORDS = "system\nYou are a helpful assistant.\nuser\nassistant\n<think>\n\n</think>\n\n" * 50
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
    folder: Path,
    width: int = 48,
    layers: int = 2,
    heads: int = 4,
    image: int = 28,
    patch: int = 14,
    vision: int = 32,
    vision_layers: int = 2,
    vocabulary: int = 700,
    seed: int = 0,
    strength: float = 0.0,
    texts: Iterable[str] = (),
) -> Path:
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
            hidden_size=vision,
            intermediate_size=2 * vision,
            num_hidden_layers=vision_layers,
            num_attention_heads=max(2, vision // 64),
            image_size=image,
            patch_size=patch,
        ),
        text_config=LlamaConfig(
            hidden_size=width,
            intermediate_size=int(2.75 * width),
            num_hidden_layers=layers,
            num_attention_heads=heads,
            num_key_value_heads=heads // 2,
            vocab_size=len(tokenizer),
            max_position_embeddings=4096,
            bos_token_id=1,
            eos_token_id=2,
            pad_token_id=0,
            tie_word_embeddings=False,
        ),
        image_token_index=tokenizer.convert_tokens_to_ids(IMAGE),
        image_seq_length=(image // patch) ** 2,
    )
    model = LlavaForConditionalGeneration(config)
    _spread(model)
    printable(model, tokenizer)
    eager_to_stop(model, strength)
    square = {"shortest_edge": image}, {"height": image, "width": image}
    processor = LlavaProcessor(
        CLIPImageProcessorPil(size=square[0], crop_size=square[1]),
        tokenizer,
        patch_size=patch,
        vision_feature_select_strategy="default",
        chat_template=CHAT,
        num_additional_image_tokens=1,
    )
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
            hidden_size=32,
            intermediate_size=64,
            num_hidden_layers=2,
            num_attention_heads=4,
            image_size=32,
            patch_size=8,
        ),
        text_config=LlamaConfig(
            hidden_size=48,
            intermediate_size=96,
            num_hidden_layers=2,
            num_attention_heads=4,
            num_key_value_heads=4,
            vocab_size=len(tokenizer),
            bos_token_id=1,
            eos_token_id=2,
            pad_token_id=0,
        ),
        scale_factor=2,
        image_token_id=tokenizer.convert_tokens_to_ids(IMAGE),
        pad_token_id=0,
        vocab_size=len(tokenizer),
    )
    model = Idefics3ForConditionalGeneration(config)
    _spread(model)
    images = Idefics3ImageProcessorPil(size={"longest_edge": 64}, max_image_size={"longest_edge": 32})
    processor = Idefics3Processor(images, tokenizer, image_seq_len=4, chat_template=CHAT)
    return _saved(folder, model, processor)


def qwen(folder: Path, seed: int = 0) -> Path:
    """A Qwen2.5-VL: dynamic resolution, positions in three dimensions."""
    import torch
    from transformers import Qwen2_5_VLConfig, Qwen2_5_VLForConditionalGeneration

    tokenizer = trained_tokenizer([WORDS], VISION)
    torch.manual_seed(seed)
    config = Qwen2_5_VLConfig(
        vision_config={
            "depth": 2,
            "hidden_size": 32,
            "intermediate_size": 64,
            "num_heads": 4,
            "out_hidden_size": 48,
            "patch_size": 14,
            "spatial_merge_size": 2,
            "window_size": 56,
            "fullatt_block_indexes": [1],
        },
        text_config={
            "hidden_size": 48,
            "intermediate_size": 96,
            "num_hidden_layers": 2,
            "num_attention_heads": 4,
            "num_key_value_heads": 2,
            "vocab_size": len(tokenizer),
            "bos_token_id": 1,
            "eos_token_id": 2,
            "pad_token_id": 0,
            "rope_parameters": {"rope_type": "default", "mrope_section": [2, 2, 2], "rope_theta": 10000.0},
        },
        **_qwen_marks(tokenizer),
    )
    model = Qwen2_5_VLForConditionalGeneration(config)
    _spread(model)
    tokenizer.chat_template = QWEN_CHAT
    optics = {"min_pixels": 28 * 28 * 4, "max_pixels": 28 * 28 * 36}
    return _saved_qwen(folder, model, tokenizer, "Qwen2_5_VLProcessor", optics)


def hybrid(
    folder: Path,
    width: int = 64,
    layers: int = 4,
    head: int = 32,
    side: int = 64,
    vision: int = 32,
    vision_layers: int = 2,
    vocabulary: int = 700,
    seed: int = 0,
    strength: float = 0.0,
    texts: Iterable[str] = (),
) -> Path:
    """A Qwen3.5: three layers of gated delta net to one of attention, in its proportions. Image tokens: (side / 32)².

    Pictures are brought to about `side` × `side` pixels. The weights are whole in bfloat16, in which lmms-eval reads them.
    """
    import torch
    from transformers import Qwen3_5Config, Qwen3_5ForConditionalGeneration

    tokenizer = trained_tokenizer([WORDS, HYBRID_WORDS, *texts], ["<|im_start|>", "<|im_end|>", *VISION], vocabulary)
    torch.manual_seed(seed)
    heads = width // head
    rope = {
        "rope_type": "default",
        "rope_theta": 10000.0,
        "mrope_section": _thirds(head // 8),
        "mrope_interleaved": True,
        "partial_rotary_factor": 0.25,
    }
    config = Qwen3_5Config(
        vision_config={
            "depth": vision_layers,
            "hidden_size": vision,
            "intermediate_size": 4 * vision,
            "patch_size": 16,
            "num_heads": max(2, vision // 64),
            "out_hidden_size": width,
            "spatial_merge_size": 2,
            "num_position_embeddings": (side // 16) ** 2,
        },
        text_config={
            "hidden_size": width,
            "intermediate_size": 3 * width,
            "num_hidden_layers": layers,
            "head_dim": head,
            "num_attention_heads": heads,
            "num_key_value_heads": max(1, heads // 4),
            "linear_key_head_dim": head,
            "linear_value_head_dim": head,
            "linear_num_value_heads": heads,
            "linear_num_key_heads": heads // 2,
            "vocab_size": len(tokenizer),
            "max_position_embeddings": 4096,
            "bos_token_id": 1,
            "eos_token_id": 2,
            "pad_token_id": 0,
            "rope_parameters": rope,
        },
        **_qwen_marks(tokenizer),
    )
    model = Qwen3_5ForConditionalGeneration(config)
    _spread(model)
    _remembering(model)
    printable(model, tokenizer)
    eager_to_stop(model, strength)
    tokenizer.chat_template = HYBRID_CHAT
    model.generation_config.eos_token_id, model.generation_config.pad_token_id = 2, 0
    optics = {"patch_size": 16, "min_pixels": side * side, "max_pixels": side * side}
    _saved_qwen(folder, model.bfloat16().float(), tokenizer, "Qwen3VLProcessor", optics)
    # where torchvision is, a processor is built with its video part
    video = {"video_processor_type": "Qwen3VLVideoProcessor", "patch_size": 16}
    (folder / "video_preprocessor_config.json").write_text(json.dumps(video), encoding="utf-8")
    return folder


def _qwen_marks(tokenizer: object) -> dict[str, int]:
    names = "vision_start_token_id", "vision_end_token_id", "image_token_id", "video_token_id"
    return dict(zip(names, map(tokenizer.convert_tokens_to_ids, VISION), strict=True))


def _thirds(count: int) -> list[int]:
    """Rotary pairs for time, height and width."""
    return [count - 2 * (count // 3), count // 3, count // 3]


def _remembering(model: object) -> None:
    """Let a fresh gated delta net, which forgets all but the last tokens, keep more, and its convolutions pass them on."""
    import torch

    with torch.no_grad():
        for name, weight in model.named_parameters():
            if name.endswith("A_log"):
                weight.uniform_(-5, -1)
            elif name.endswith("conv1d.weight"):
                weight.normal_(0, 0.7)


def _saved_qwen(folder: Path, model: object, tokenizer: object, processor: str, optics: dict[str, int]) -> Path:
    """As the hub's own files say it."""
    from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import Qwen2VLImageProcessorPil

    folder.mkdir(parents=True, exist_ok=True)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    Qwen2VLImageProcessorPil(**optics).save_pretrained(folder)
    path = folder / "preprocessor_config.json"
    settings = json.loads(path.read_text(encoding="utf-8"))
    settings |= {"image_processor_type": "Qwen2VLImageProcessor", "processor_class": processor}
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
