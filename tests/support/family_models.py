"""Tiny random models of transformers' families in the hub's layout: real classes, real structure, templates after the hub's."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from tests.support import random_models
from tests.support.random_models import WORDS, trained_tokenizer

Builder = Callable[[Path], None]
FAMILIES: dict[str, Builder] = {}
# runs of newlines are tokens of their own in Gemma's and Llama's vocabularies
LINES = "user\nКто?\n\nОтвет\n\n\nда\n\n\n\nнет\n" * 20
PIECES = "<|im_start|>", "<|im_end|>"
OPTICS = {
    "image_mean": [0.5, 0.5, 0.5],
    "image_std": [0.5, 0.5, 0.5],
    "do_resize": True,
    "do_rescale": True,
    "do_normalize": True,
    "do_convert_rgb": True,
    "rescale_factor": 1 / 255,
}


def family(build: Builder) -> Builder:
    """Enter a builder in the table under its own name."""
    FAMILIES[build.__name__] = build
    return build


def built(name: str, root: Path) -> Path:
    """The folder of a family's model; made anew when what makes it has changed."""
    import torch

    folder, build = root / name, FAMILIES[name]
    sources = [Path(path).read_text(encoding="utf-8") for path in (__file__, random_models.__file__)]
    mark = hashlib.sha256("".join(sources).encode()).hexdigest()
    stamp = root / f"{name}.stamp"
    if stamp.is_file() and stamp.read_text(encoding="utf-8") == mark:
        return folder
    shutil.rmtree(folder, ignore_errors=True)
    torch.manual_seed(0)
    build(folder)
    stamp.write_text(mark, encoding="utf-8")
    return folder


# --- parts


def tokenizer_of(
    special: Iterable[str], begins: bool = True, named: dict[str, str] | None = None, vocabulary: int = 700
) -> Any:
    """A tokenizer with the family's marks; `begins`: it puts the beginning-of-text itself, as Llama's and unlike Qwen's.

    `named` are tokens that the processor asks the tokenizer for: boi_token and the like.
    """
    from tokenizers import processors
    from transformers import PreTrainedTokenizerFast

    named = named or {}
    marks = list(dict.fromkeys([*special, *named.values()]))
    made: Any = trained_tokenizer([WORDS, LINES], marks, vocabulary)
    raw = made.backend_tokenizer
    if not begins:
        raw.post_processor = processors.ByteLevel(trim_offsets=False)
    return PreTrainedTokenizerFast(
        tokenizer_object=raw,
        bos_token="<s>",
        eos_token="</s>",
        pad_token="<pad>",
        extra_special_tokens=named or marks,
        **({"additional_special_tokens": marks} if named else {}),
    )


def chat(
    picture: str, user: str = "USER: ", end: str = " ", answer: str = "ASSISTANT:", begin: str = "", trim: str = ""
) -> str:
    """A template of the usual kind: parts of a message in their order, pictures as their mark."""
    return (
        f"{begin}{{% for m in messages %}}{user}{{% for c in m['content'] %}}{{% if c['type'] == 'text' %}}"
        f"{{{{ c['text']{trim} }}}}{{% else %}}{picture}{{% endif %}}{{% endfor %}}{end}{{% endfor %}}"
        f"{{% if add_generation_prompt %}}{answer}{{% endif %}}"
    )


BOS = "{{ bos_token }}"
IM = {"user": "<|im_start|>user\n", "end": "<|im_end|>\n", "answer": "<|im_start|>assistant\n"}
INST = {"user": "[INST]", "end": "[/INST]", "answer": ""}


def text(kind: str, tokenizer: Any, **more: Any) -> dict[str, Any]:
    """Settings of a text part."""
    return {
        "model_type": kind,
        "vocab_size": len(tokenizer),
        "hidden_size": 48,
        "intermediate_size": 96,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "bos_token_id": 1,
        "eos_token_id": 2,
        "pad_token_id": 0,
        "tie_word_embeddings": False,
        "max_position_embeddings": 4096,
        **more,
    }


def latent(tokenizer: Any) -> dict[str, Any]:
    """Settings of a text part with multi-head latent attention and experts, as DeepSeek V3's."""
    return text(
        "deepseek_v3",
        tokenizer,
        num_key_value_heads=4,
        q_lora_rank=16,
        kv_lora_rank=16,
        qk_nope_head_dim=8,
        qk_rope_head_dim=4,
        v_head_dim=8,
        n_routed_experts=4,
        n_shared_experts=1,
        num_experts_per_tok=2,
        moe_intermediate_size=32,
        first_k_dense_replace=1,
        n_group=1,
        topk_group=1,
    )


def tower(kind: str, size: int = 28, patch: int = 14, **more: Any) -> dict[str, Any]:
    """Settings of a vision tower."""
    return {
        "model_type": kind,
        "hidden_size": 32,
        "intermediate_size": 64,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "image_size": size,
        "patch_size": patch,
        **more,
    }


def made(name: str, task: str = "ForConditionalGeneration", **settings: Any) -> Any:
    """A model of the class NAMEForConditionalGeneration from the config class NAMEConfig."""
    import transformers

    config = getattr(transformers, f"{name}Config")(**settings)
    return getattr(transformers, f"{name}{task}")(config)


def square(size: int) -> dict[str, int]:
    return {"height": size, "width": size}


def ids(tokenizer: Any, **tokens: str) -> dict[str, int]:
    """Settings that name a token by its number."""
    return {key: tokenizer.convert_tokens_to_ids(token) for key, token in tokens.items()}


def save(
    folder: Path,
    model: Any,
    tokenizer: Any,
    template: str,
    processor: str,
    image: dict[str, Any],
    video: dict[str, Any] | None = None,
    settings: dict[str, Any] | None = None,
    own_file: bool = True,
) -> None:
    """Write a model as the hub has it; the processor's files by hand, since some classes cannot be made without torchvision.

    `settings` go to processor_config.json, which older repositories (`own_file` false) do not have.
    """
    wide(model, tokenizer)
    model.generation_config.eos_token_id, model.generation_config.pad_token_id = 2, 0
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    add(folder / "tokenizer_config.json", {"processor_class": processor})
    add(folder / "preprocessor_config.json", {**OPTICS, **image, "processor_class": processor})
    if own_file:
        add(folder / "processor_config.json", {"processor_class": processor, **(settings or {})})
    if video is not None:
        add(folder / "video_preprocessor_config.json", {**OPTICS, **video, "processor_class": processor})
    if template:
        (folder / "chat_template.jinja").write_text(template, encoding="utf-8")


def add(path: Path, more: dict[str, Any]) -> None:
    """Add settings to a JSON file."""
    old = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    path.write_text(json.dumps(old | more, ensure_ascii=False, indent=1), encoding="utf-8")


def wide(model: Any, tokenizer: Any) -> None:
    """Weights wide enough that answers differ; marks and pieces of letters are not written."""
    import torch

    folded = {
        f"{name}.weight" for name, module in model.named_modules() if isinstance(module, torch.nn.modules.conv._ConvNd)
    }
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if name.endswith("A_log"):
                weight.uniform_(-5, -1)  # a fresh gated delta net forgets all but the last tokens
            elif weight.ndim >= 2:
                inputs = weight[0].numel() if name in folded else weight.shape[-1]
                weight.normal_(0, 0.5 if "embed" in name and weight.ndim == 2 else 1.4 / inputs**0.5)
            elif weight.numel() == 1 and not weight.any():
                weight.fill_(1)  # a gate that begins closed would hide the picture
    head = model.get_output_embeddings()
    if head is None or head.weight is model.get_input_embeddings().weight:
        return
    words = [tokenizer.decode([token]) for token in range(min(len(tokenizer), len(head.weight)))]
    marks = set(tokenizer.all_special_ids) - {2}
    bad = [
        token
        for token, word in enumerate(words)
        if token in marks or "\ufffd" in word or (token != 2 and not word.replace(" ", "x").isprintable())
    ]
    with torch.no_grad():
        head.weight[bad] = 0


# --- LLaVA and its like


def _llava(folder: Path, own_file: bool, words: Callable[[Any], dict[str, Any]] | None = None) -> None:
    tokenizer = tokenizer_of(["<image>"])
    model = made(
        "Llava",
        vision_config=tower("clip_vision_model"),
        text_config=words(tokenizer) if words else text("llama", tokenizer),
        image_seq_length=4,
        **ids(tokenizer, image_token_index="<image>"),
    )
    image = {
        "image_processor_type": "CLIPImageProcessor",
        "size": {"shortest_edge": 28},
        "crop_size": square(28),
        "do_center_crop": True,
    }
    settings = {
        "patch_size": 14,
        "vision_feature_select_strategy": "default",
        "num_additional_image_tokens": 1,
        "image_token": "<image>",
    }
    save(folder, model, tokenizer, chat("<image>\n"), "LlavaProcessor", image, settings=settings, own_file=own_file)


@family
def llava(folder: Path) -> None:
    _llava(folder, own_file=True)


@family
def llava_old(folder: Path) -> None:
    """As repositories of 2023: no processor_config.json."""
    _llava(folder, own_file=False)


@family
def llava_mla(folder: Path) -> None:
    """Over a language model that stores its keys and values compressed."""
    _llava(folder, own_file=True, words=latent)


@family
def vipllava(folder: Path) -> None:
    tokenizer = tokenizer_of(["<image>"])
    model = made(
        "VipLlava",
        vision_config=tower("clip_vision_model"),
        text_config=text("llama", tokenizer),
        image_seq_length=4,
        vision_feature_layers=[-2, -1],
        **ids(tokenizer, image_token_index="<image>"),
    )
    image = {
        "image_processor_type": "CLIPImageProcessor",
        "size": {"shortest_edge": 28},
        "crop_size": square(28),
        "do_center_crop": True,
    }
    settings = {"patch_size": 14, "vision_feature_select_strategy": "default", "num_additional_image_tokens": 1}
    template = chat("<image>\n", user="###Human: ", end="", answer="###Assistant:")
    save(folder, model, tokenizer, template, "LlavaProcessor", image, settings=settings)


PINPOINTS = [[28, 56], [56, 28], [56, 56], [84, 28], [28, 84]]


@family
def llava_next(folder: Path) -> None:
    tokenizer = tokenizer_of(["<image>"])
    model = made(
        "LlavaNext",
        vision_config=tower("clip_vision_model"),
        text_config=text("mistral", tokenizer, sliding_window=None),
        image_seq_length=4,
        image_grid_pinpoints=PINPOINTS,
        **ids(tokenizer, image_token_index="<image>"),
    )
    image = {
        "image_processor_type": "LlavaNextImageProcessor",
        "size": {"shortest_edge": 28},
        "crop_size": square(28),
        "do_center_crop": True,
        "image_grid_pinpoints": PINPOINTS,
        "do_pad": True,
    }
    settings = {"patch_size": 14, "vision_feature_select_strategy": "default", "num_additional_image_tokens": 1}
    template = chat("<image>\n", user="[INST] ", end=" [/INST]", answer="")
    save(folder, model, tokenizer, template, "LlavaNextProcessor", image, settings=settings)


@family
def llava_onevision(folder: Path) -> None:
    tokenizer = tokenizer_of(["<image>", "<video>", *PIECES], begins=False)
    grid = [[28, 28], *PINPOINTS]
    model = made(
        "LlavaOnevision",
        vision_config=tower("siglip_vision_model", vision_use_head=False),
        text_config=text("qwen2", tokenizer),
        vision_feature_select_strategy="full",
        vision_feature_layer=-1,
        image_grid_pinpoints=grid,
        **ids(tokenizer, image_token_index="<image>", video_token_index="<video>"),
    )
    image = {
        "image_processor_type": "LlavaOnevisionImageProcessor",
        "size": square(28),
        "image_grid_pinpoints": grid,
        "do_pad": True,
    }
    video = {"video_processor_type": "LlavaOnevisionVideoProcessor", "size": square(28)}
    settings = {
        "num_image_tokens": 4,
        "vision_feature_select_strategy": "full",
        "image_token": "<image>",
        "video_token": "<video>",
        "vision_aspect_ratio": "anyres_max_9",
    }
    save(folder, model, tokenizer, chat("<image>\n", **IM), "LlavaOnevisionProcessor", image, video, settings)


# --- Qwen

VISION = "<|vision_start|>", "<|vision_end|>", "<|image_pad|>", "<|video_pad|>"
QWEN_PICTURE = "<|vision_start|><|image_pad|><|vision_end|>"
SYSTEM = "<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n"


def _qwen(
    folder: Path, name: str, vision: dict[str, Any], words: dict[str, Any], processor: str, template: str
) -> None:
    """A Qwen-VL: dynamic resolution, positions in three dimensions."""
    tokenizer = tokenizer_of([*PIECES, *VISION], begins=False)
    kind = words.pop("model_type")
    marks = ids(
        tokenizer,
        image_token_id="<|image_pad|>",
        video_token_id="<|video_pad|>",
        vision_start_token_id="<|vision_start|>",
        vision_end_token_id="<|vision_end|>",
    )
    model = made(name, vision_config=vision, text_config=text(kind, tokenizer, **words), **marks)
    patch = vision["patch_size"]
    side = 2 * patch
    pixels = {"shortest_edge": 4 * side * side, "longest_edge": 36 * side * side}
    common = {"patch_size": patch, "merge_size": 2, "temporal_patch_size": 2}
    image = {"image_processor_type": "Qwen2VLImageProcessor", "size": pixels, **common}
    kinds = {"Qwen3VLProcessor": "Qwen3VLVideoProcessor"}
    video = {"video_processor_type": kinds.get(processor, "Qwen2VLVideoProcessor"), "size": pixels, **common}
    save(folder, model, tokenizer, template, processor, image, video, own_file=False)


MROPE = {"rope_type": "default", "mrope_section": [2, 2, 2], "rope_theta": 10000.0}


@family
def qwen2_vl(folder: Path) -> None:
    vision = {"depth": 2, "embed_dim": 32, "hidden_size": 48, "num_heads": 4, "mlp_ratio": 2, "patch_size": 14}
    words = {"model_type": "qwen2_vl_text", "rope_parameters": MROPE}
    _qwen(folder, "Qwen2VL", vision, words, "Qwen2VLProcessor", chat(QWEN_PICTURE, **IM, begin=SYSTEM))


@family
def qwen2_5_vl(folder: Path) -> None:
    vision = {
        "depth": 2,
        "hidden_size": 32,
        "intermediate_size": 64,
        "num_heads": 4,
        "out_hidden_size": 48,
        "patch_size": 14,
        "spatial_merge_size": 2,
        "window_size": 56,
        "fullatt_block_indexes": [1],
    }
    words = {"model_type": "qwen2_5_vl_text", "rope_parameters": MROPE}
    _qwen(folder, "Qwen2_5_VL", vision, words, "Qwen2_5_VLProcessor", chat(QWEN_PICTURE, **IM, begin=SYSTEM))


QWEN3_VISION = {
    "depth": 2,
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_heads": 4,
    "out_hidden_size": 48,
    "patch_size": 16,
    "spatial_merge_size": 2,
    "num_position_embeddings": 64,
}
MROPE3 = MROPE | {"mrope_interleaved": True}


@family
def qwen3_vl(folder: Path) -> None:
    vision = QWEN3_VISION | {"deepstack_visual_indexes": [0, 1]}
    words = {"model_type": "qwen3_vl_text", "head_dim": 12, "rope_parameters": MROPE3, "num_hidden_layers": 3}
    _qwen(folder, "Qwen3VL", vision, words, "Qwen3VLProcessor", chat(QWEN_PICTURE, **IM))


@family
def qwen3_vl_moe(folder: Path) -> None:
    vision = QWEN3_VISION | {"deepstack_visual_indexes": [0, 1]}
    words = {
        "model_type": "qwen3_vl_moe_text",
        "head_dim": 12,
        "rope_parameters": MROPE3,
        "num_experts": 4,
        "num_experts_per_tok": 2,
        "moe_intermediate_size": 32,
        "decoder_sparse_step": 1,
        "num_hidden_layers": 3,
    }
    _qwen(folder, "Qwen3VLMoe", vision, words, "Qwen3VLProcessor", chat(QWEN_PICTURE, **IM))


# without thinking the template closes the thought itself
QWEN_THOUGHT = "<|im_start|>assistant\n{% if enable_thinking is defined and enable_thinking is false %}<think>\n\n</think>\n\n{% else %}<think>\n{% endif %}"


@family
def qwen3_5(folder: Path) -> None:
    """Three layers of gated delta net to one of attention."""
    words = {
        "model_type": "qwen3_5_text",
        "num_hidden_layers": 4,
        "head_dim": 32,
        "linear_num_key_heads": 2,
        "linear_num_value_heads": 4,
        "linear_key_head_dim": 16,
        "linear_value_head_dim": 16,
        "full_attention_interval": 4,
        "rope_parameters": {
            "rope_type": "default",
            "rope_theta": 10000.0,
            "mrope_section": [2, 1, 1],
            "mrope_interleaved": True,
            "partial_rotary_factor": 0.25,
        },
    }
    template = chat(QWEN_PICTURE, **(IM | {"answer": QWEN_THOUGHT}))
    _qwen(folder, "Qwen3_5", dict(QWEN3_VISION), words, "Qwen3VLProcessor", template)


# --- Gemma

GEMMA = {"boi_token": "<start_of_image>", "eoi_token": "<end_of_image>", "image_token": "<image_soft_token>"}
TURN = {"user": "<start_of_turn>user\n", "end": "<end_of_turn>\n", "answer": "<start_of_turn>model\n"}


def _gemma3(folder: Path, window: int) -> None:
    tokenizer = tokenizer_of(["<start_of_turn>", "<end_of_turn>"], named=GEMMA)
    words = text(
        "gemma3_text",
        tokenizer,
        head_dim=16,
        sliding_window=window,
        num_hidden_layers=3,
        query_pre_attn_scalar=16,
        layer_types=["sliding_attention", "sliding_attention", "full_attention"],
    )
    model = made(
        "Gemma3",
        text_config=words,
        vision_config=tower("siglip_vision_model", 56, vision_use_head=False),
        mm_tokens_per_image=4,
        tie_word_embeddings=False,
        **ids(
            tokenizer,
            boi_token_index="<start_of_image>",
            eoi_token_index="<end_of_image>",
            image_token_index="<image_soft_token>",
        ),
    )
    image = {
        "image_processor_type": "Gemma3ImageProcessor",
        "size": square(56),
        "image_seq_length": 4,
        "do_pan_and_scan": None,
    }
    template = chat("<start_of_image>", **TURN, begin=BOS, trim=" | trim")
    save(folder, model, tokenizer, template, "Gemma3Processor", image, settings={"image_seq_length": 4})


@family
def gemma3(folder: Path) -> None:
    """The window is larger than any prompt, as with the real 1024 and 256 tokens a picture."""
    _gemma3(folder, 1024)


@family
def gemma3_window(folder: Path) -> None:
    """The window is smaller than the prompt, as with long questions."""
    _gemma3(folder, 16)


GEMMA4 = {
    "boi_token": "<|image>",
    "eoi_token": "<image|>",
    "image_token": "<|image|>",
    "boa_token": "<|audio>",
    "eoa_token": "<audio|>",
    "audio_token": "<|audio|>",
}


def _gemma4(folder: Path, layers: list[str], **words: Any) -> None:
    tokenizer = tokenizer_of(["<|turn>", "<turn|>", "<|video|>"], named=GEMMA4)
    settings = text(
        "gemma4_text",
        tokenizer,
        head_dim=16,
        global_head_dim=32,
        num_hidden_layers=len(layers),
        layer_types=layers,
        sliding_window=512,
        vocab_size_per_layer_input=len(tokenizer),
        **words,
    )
    vision = {
        "model_type": "gemma4_vision",
        "hidden_size": 32,
        "intermediate_size": 64,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "num_key_value_heads": 2,
        "head_dim": 16,
        "position_embedding_size": 256,
        "patch_size": 16,
        "pooling_kernel_size": 3,
    }
    model = made(
        "Gemma4",
        text_config=settings,
        vision_config=vision,
        audio_config=None,
        tie_word_embeddings=False,
        **ids(
            tokenizer,
            boi_token_id="<|image>",
            eoi_token_id="<image|>",
            image_token_id="<|image|>",
            video_token_id="<|video|>",
            boa_token_id="<|audio>",
            eoa_token_index="<audio|>",
            audio_token_id="<|audio|>",
        ),
    )
    image = {
        "image_processor_type": "Gemma4ImageProcessor",
        "do_normalize": False,
        "max_soft_tokens": 70,
        "patch_size": 16,
        "pooling_kernel_size": 3,
    }
    parts = {
        "image_seq_length": 70,
        "image_processor": OPTICS | image,
        "feature_extractor": {"feature_extractor_type": "Gemma4AudioFeatureExtractor"},
        "video_processor": {
            "video_processor_type": "Gemma4VideoProcessor",
            "max_soft_tokens": 70,
            "patch_size": 16,
            "pooling_kernel_size": 3,
        },
    }
    turn = {"user": "<|turn>user\n", "end": "<turn|>\n", "answer": "<|turn>model\n"}
    save(
        folder,
        model,
        tokenizer,
        chat("<|image|>", **turn, begin=BOS, trim=" | trim"),
        "Gemma4Processor",
        image,
        settings=parts,
    )
    # the hub's has all parts in processor_config.json
    (folder / "preprocessor_config.json").unlink()


@family
def gemma4(folder: Path) -> None:
    """The dense ones: values are keys in the global layers, a picture's tokens see one another."""
    layers = ["sliding_attention", "sliding_attention", "full_attention"]
    _gemma4(
        folder,
        layers,
        attention_k_eq_v=True,
        num_global_key_value_heads=1,
        use_bidirectional_attention="vision",
        hidden_size_per_layer_input=0,
    )


@family
def gemma4_e(folder: Path) -> None:
    """E2B and E4B: inputs of every layer's own, the last layers use the keys and values of earlier ones."""
    layers = ["sliding_attention", "full_attention"] * 2
    _gemma4(folder, layers, num_kv_shared_layers=2, hidden_size_per_layer_input=8, use_double_wide_mlp=True)


# --- tiles


@family
def internvl(folder: Path) -> None:
    named = {
        "start_image_token": "<img>",
        "end_image_token": "</img>",
        "context_image_token": "<IMG_CONTEXT>",
        "video_token": "<video>",
    }
    tokenizer = tokenizer_of(PIECES, begins=False, named=named)
    vision = tower("internvl_vision", layer_scale_init_value=1.0) | {"image_size": [28, 28], "patch_size": [7, 7]}
    model = made(
        "InternVL",
        vision_config=vision,
        text_config=text("qwen2", tokenizer),
        image_seq_length=4,
        tie_word_embeddings=False,
        **ids(tokenizer, image_token_id="<IMG_CONTEXT>"),
    )
    image = {
        "image_processor_type": "GotOcr2ImageProcessor",
        "size": square(28),
        "crop_to_patches": False,
        "min_patches": 1,
        "max_patches": 4,
    }
    video = {"video_processor_type": "InternVLVideoProcessor", "size": square(28)}
    save(
        folder,
        model,
        tokenizer,
        chat("<IMG_CONTEXT>\n", **IM),
        "InternVLProcessor",
        image,
        video,
        {"image_seq_length": 4},
    )


FAKE = "<fake_token_around_image>"
TILES = [
    "<image>",
    FAKE,
    "<global-img>",
    "<end_of_utterance>",
    *(f"<row_{r}_col_{c}>" for r in range(1, 7) for c in range(1, 7)),
]


def _idefics3(folder: Path, name: str, begins: bool, template: str, video: dict[str, Any] | None, kind: str) -> None:
    named = {
        "fake_image_token": FAKE,
        "image_token": "<image>",
        "global_image_token": "<global-img>",
        "end_of_utterance_token": "<end_of_utterance>",
    }
    tokenizer = tokenizer_of(TILES, begins=begins, named=named)
    vision = tower(kind, 32, 8)
    model = made(
        name,
        vision_config=vision,
        text_config=text("llama", tokenizer),
        scale_factor=2,
        pad_token_id=0,
        vocab_size=len(tokenizer),
        tie_word_embeddings=False,
        **ids(tokenizer, image_token_id="<image>"),
    )
    image = {
        "image_processor_type": f"{name}ImageProcessor",
        "size": {"longest_edge": 64},
        "max_image_size": {"longest_edge": 32},
        "do_image_splitting": True,
        "do_pad": True,
    }
    save(folder, model, tokenizer, template, f"{name}Processor", image, video, {"image_seq_len": 4})


IDEFICS = {"user": "User:", "end": "<end_of_utterance>\n", "answer": "Assistant:"}


@family
def smolvlm(folder: Path) -> None:
    video = {
        "video_processor_type": "SmolVLMVideoProcessor",
        "size": {"longest_edge": 64},
        "max_image_size": {"longest_edge": 32},
        "video_sampling": {"fps": 1, "max_frames": 4, "video_size": {"longest_edge": 32}},
    }
    template = chat("<image>", **IDEFICS, begin="<|im_start|>")
    _idefics3(folder, "SmolVLM", False, template, video, "smolvlm_vision")


@family
def idefics3(folder: Path) -> None:
    """SmolVLM-1."""
    _idefics3(folder, "Idefics3", False, chat("<image>", **IDEFICS, begin="<|im_start|>"), None, "idefics3_vision")


@family
def idefics3_llama3(folder: Path) -> None:
    """Idefics3-8B-Llama3: its tokenizer and its template both write the beginning-of-text."""
    _idefics3(folder, "Idefics3", True, chat("<image>", **IDEFICS, begin=BOS), None, "idefics3_vision")


# --- Mistral


def _pixtral(folder: Path, name: str, words: dict[str, Any], settings: dict[str, Any], merge: int) -> None:
    tokenizer = tokenizer_of(["[INST]", "[/INST]", "[IMG]", "[IMG_BREAK]", "[IMG_END]"])
    vision = tower("pixtral", 112, head_dim=8)
    model = made(
        name,
        vision_config=vision,
        text_config=text("mistral", tokenizer, head_dim=12, sliding_window=None, **words),
        **settings,
        **ids(tokenizer, image_token_index="[IMG]"),
    )
    image = {"image_processor_type": "PixtralImageProcessor", "size": {"longest_edge": 112}, "patch_size": square(14)}
    parts = {
        "patch_size": 14,
        "spatial_merge_size": merge,
        "image_token": "[IMG]",
        "image_break_token": "[IMG_BREAK]",
        "image_end_token": "[IMG_END]",
    }
    save(folder, model, tokenizer, chat("[IMG]", **INST, begin=BOS), "PixtralProcessor", image, settings=parts)


@family
def mistral3(folder: Path) -> None:
    settings = {"spatial_merge_size": 2, "vision_feature_layer": -1, "multimodal_projector_bias": False}
    _pixtral(folder, "Mistral3", {}, settings, 2)


@family
def pixtral(folder: Path) -> None:
    """mistral-community/pixtral-12b: LLaVA's class with Pixtral's tower and processor."""
    settings = {"vision_feature_layer": -1, "vision_feature_select_strategy": "full", "image_seq_length": 1}
    _pixtral(folder, "Llava", {}, settings, 1)


# --- Llama


HEADERS = {
    "user": "<|start_header_id|>user<|end_header_id|>\n\n",
    "end": "<|eot_id|>",
    "answer": "<|start_header_id|>assistant<|end_header_id|>\n\n",
}


@family
def mllama(folder: Path) -> None:
    """Llama 3.2 Vision: the picture comes in by cross attention."""
    marks = ["<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>", "<|image|>", "<|python_tag|>"]
    tokenizer = tokenizer_of(marks)
    vision = {
        "model_type": "mllama_vision_model",
        "hidden_size": 32,
        "intermediate_size": 64,
        "num_hidden_layers": 2,
        "attention_heads": 4,
        "num_global_layers": 1,
        "vision_output_dim": 64,
        "image_size": 28,
        "patch_size": 14,
        "intermediate_layers_indices": [0],
    }
    words = text("mllama_text_model", tokenizer, num_hidden_layers=4, cross_attention_layers=[1, 3])
    model = made("Mllama", vision_config=vision, text_config=words, **ids(tokenizer, image_token_index="<|image|>"))
    image = {"image_processor_type": "MllamaImageProcessor", "size": square(28), "max_image_tiles": 4, "do_pad": True}
    save(
        folder,
        model,
        tokenizer,
        chat("<|image|>", **HEADERS, begin=BOS, trim=" | trim"),
        "MllamaProcessor",
        image,
        own_file=False,
    )


@family
def llama4(folder: Path) -> None:
    tiles = [
        "<|image_start|>",
        "<|image_end|>",
        "<|patch|>",
        "<|tile_x_separator|>",
        "<|tile_y_separator|>",
        "<|image|>",
    ]
    tokenizer = tokenizer_of(["<|header_start|>", "<|header_end|>", "<|eot|>", *tiles])
    vision = tower(
        "llama4_vision_model",
        56,
        intermediate_size=128,
        vision_output_dim=64,
        projector_input_dim=64,
        projector_output_dim=64,
    )
    words = text(
        "llama4_text",
        tokenizer,
        num_hidden_layers=4,
        head_dim=12,
        intermediate_size_mlp=96,
        num_local_experts=4,
        interleave_moe_layer_step=2,
    )
    model = made(
        "Llama4",
        vision_config=vision,
        text_config=words,
        **ids(
            tokenizer, image_token_index="<|patch|>", boi_token_index="<|image_start|>", eoi_token_index="<|image_end|>"
        ),
    )
    image = {
        "image_processor_type": "Llama4ImageProcessor",
        "size": square(56),
        "max_patches": 4,
        "resize_to_max_canvas": False,
    }
    turn = {
        key: value.replace("start_header_id", "header_start")
        .replace("end_header_id", "header_end")
        .replace("eot_id", "eot")
        for key, value in HEADERS.items()
    }
    template = chat("<|image|>", **turn, begin=BOS, trim=" | trim")
    save(
        folder,
        model,
        tokenizer,
        template,
        "Llama4Processor",
        image,
        settings={"patch_size": 14, "pixel_shuffle_ratio": 0.5},
    )


# --- Cohere

COHERE = ["<|START_OF_TURN_TOKEN|>", "<|END_OF_TURN_TOKEN|>", "<|USER_TOKEN|>", "<|CHATBOT_TOKEN|>"]
COHERE_PICTURE = {
    "boi_token": "<|START_OF_IMG|>",
    "eoi_token": "<|END_OF_IMG|>",
    "image_token": "<|IMG_PATCH|>",
    "img_line_break_token": "<|IMG_LINE_BREAK|>",
}
COHERE_TURN = {
    "user": "<|START_OF_TURN_TOKEN|><|USER_TOKEN|>",
    "end": "<|END_OF_TURN_TOKEN|>",
    "answer": "<|START_OF_TURN_TOKEN|><|CHATBOT_TOKEN|>",
}


def _cohere2(tokenizer: Any) -> dict[str, Any]:
    """Three layers with a window to one without, and without positions; input and output words are the same."""
    return text(
        "cohere2", tokenizer, num_hidden_layers=4, sliding_window=4096, tie_word_embeddings=True, logit_scale=0.25
    )


@family
def aya_vision(folder: Path) -> None:
    marks = [*COHERE, *COHERE_PICTURE.values(), "<image>", "TILE_GLOBAL", *(f"TILE_{n}" for n in range(1, 5))]
    tokenizer = tokenizer_of(marks)
    model = made(
        "AyaVision",
        vision_config=tower("siglip_vision_model", 28, 7, vision_use_head=False),
        text_config=_cohere2(tokenizer),
        downsample_factor=2,
        **ids(tokenizer, image_token_index="<|IMG_PATCH|>"),
    )
    image = {
        "image_processor_type": "GotOcr2ImageProcessor",
        "size": square(28),
        "crop_to_patches": True,
        "min_patches": 1,
        "max_patches": 4,
    }
    settings = {"patch_size": 7, "img_size": 28, "downsample_factor": 2, "image_token": "<image>"}
    save(
        folder,
        model,
        tokenizer,
        chat("<image>", **COHERE_TURN, begin=BOS),
        "AyaVisionProcessor",
        image,
        settings=settings,
    )


@family
def cohere2_vision(folder: Path) -> None:
    tokenizer = tokenizer_of(COHERE, named=COHERE_PICTURE)
    model = made(
        "Cohere2Vision",
        vision_config=tower("siglip_vision_model", 32, 4, vision_use_head=False),
        text_config=_cohere2(tokenizer),
        alignment_intermediate_size=64,
        **ids(tokenizer, image_token_id="<|IMG_PATCH|>"),
    )
    image = {
        "image_processor_type": "Cohere2VisionImageProcessor",
        "size": square(32),
        "patch_size": 4,
        "crop_to_patches": True,
        "min_patches": 1,
        "max_patches": 4,
    }
    save(folder, model, tokenizer, chat("<|IMG_PATCH|>", **COHERE_TURN, begin=BOS), "Cohere2VisionProcessor", image)


# --- others of one tower and one decoder


@family
def lfm2_vl(folder: Path) -> None:
    """Short convolutions in most layers of the text part."""
    named = {
        "image_token": "<image>",
        "image_start_token": "<|image_start|>",
        "image_end_token": "<|image_end|>",
        "image_thumbnail_token": "<|img_thumbnail|>",
    }
    places = [f"<|img_row_{r}_col_{c}|>" for r in range(1, 5) for c in range(1, 5)]
    tokenizer = tokenizer_of([*PIECES, *places], named=named)
    words = text(
        "lfm2",
        tokenizer,
        num_hidden_layers=4,
        layer_types=["conv", "full_attention"] * 2,
        block_auto_adjust_ff_dim=False,
        conv_L_cache=3,
        block_ff_dim=96,
    )
    vision = tower("siglip2_vision_model", 64, 16, num_patches=16, vision_use_head=False)
    model = made(
        "Lfm2Vl",
        vision_config=vision,
        text_config=words,
        projector_hidden_size=64,
        downsample_factor=2,
        tie_word_embeddings=False,
        **ids(tokenizer, image_token_id="<image>"),
    )
    image = {
        "image_processor_type": "Lfm2VlImageProcessor",
        "size": square(64),
        "tile_size": 64,
        "min_image_tokens": 2,
        "max_image_tokens": 4,
        "encoder_patch_size": 16,
        "downsample_factor": 2,
        "min_tiles": 2,
        "max_tiles": 4,
        "do_image_splitting": True,
        "do_pad": True,
    }
    save(folder, model, tokenizer, chat("<image>", **IM, begin=BOS), "Lfm2VlProcessor", image)


@family
def paligemma(folder: Path) -> None:
    """No chat template, as on the hub; the processor itself puts the picture first and the beginning-of-text after it."""
    places = [*(f"<loc{n:0>4}>" for n in range(1024)), *(f"<seg{n:0>3}>" for n in range(128))]
    tokenizer = tokenizer_of([], named={"image_token": "<image>"})
    tokenizer.add_tokens(places)
    model = made(
        "PaliGemma",
        vision_config=tower("siglip_vision_model", vision_use_head=False),
        projection_dim=48,
        hidden_size=48,
        text_config=text("gemma", tokenizer, head_dim=12),
        vocab_size=len(tokenizer),
        tie_word_embeddings=False,
        **ids(tokenizer, image_token_index="<image>"),
    )
    image = {"image_processor_type": "SiglipImageProcessor", "size": square(28), "image_seq_length": 4}
    save(folder, model, tokenizer, "", "PaliGemmaProcessor", image, own_file=False)


GLM_MARKS = (
    "[gMASK]",
    "<sop>",
    "<|user|>",
    "<|assistant|>",
    "<|begin_of_image|>",
    "<|end_of_image|>",
    "<|image|>",
    "<|video|>",
    "<|begin_of_video|>",
    "<|end_of_video|>",
)


def _glm(folder: Path, name: str, kind: str, tower_kind: str = "glm4v_vision", parts: str = "", **words: Any) -> None:
    tokenizer = tokenizer_of(GLM_MARKS, begins=False)
    vision = {
        "model_type": tower_kind,
        "depth": 2,
        "hidden_size": 32,
        "intermediate_size": 64,
        "num_heads": 4,
        "out_hidden_size": 48,
        "patch_size": 14,
        "image_size": 56,
        "spatial_merge_size": 2,
    }
    rope = {"rope_type": "default", "rope_theta": 10000.0, "mrope_section": [1, 1, 1], "partial_rotary_factor": 0.5}
    model = made(
        name,
        vision_config=vision,
        text_config=text(kind, tokenizer, rope_parameters=rope, eos_token_id=[2, 3], **words),
        **ids(
            tokenizer,
            image_token_id="<|image|>",
            video_token_id="<|video|>",
            image_start_token_id="<|begin_of_image|>",
            image_end_token_id="<|end_of_image|>",
            video_start_token_id="<|begin_of_video|>",
            video_end_token_id="<|end_of_video|>",
        ),
    )
    common = {
        "patch_size": 14,
        "merge_size": 2,
        "temporal_patch_size": 2,
        "size": {"shortest_edge": 3136, "longest_edge": 28224 * 2},
    }
    image = {"image_processor_type": f"{parts or name}ImageProcessor", **common}
    video = {"video_processor_type": f"{parts or name}VideoProcessor", **common}
    template = chat(
        "<|begin_of_image|><|image|><|end_of_image|>",
        user="<|user|>\n",
        end="",
        answer="<|assistant|>\n",
        begin="[gMASK]<sop>",
    )
    save(folder, model, tokenizer, template, f"{parts or name}Processor", image, video, own_file=False)


@family
def glm4v(folder: Path) -> None:
    _glm(folder, "Glm4v", "glm4v_text")


@family
def glm4v_moe(folder: Path) -> None:
    """GLM-4.5V."""
    _glm(
        folder,
        "Glm4vMoe",
        "glm4v_moe_text",
        "glm4v_moe_vision",
        "Glm4v",
        n_routed_experts=4,
        n_shared_experts=1,
        num_experts_per_tok=2,
        moe_intermediate_size=32,
        first_k_dense_replace=1,
        n_group=1,
        topk_group=1,
    )


@family
def glm46v(folder: Path) -> None:
    _glm(folder, "Glm46V", "glm4v_text")


@family
def minicpmv4_6(folder: Path) -> None:
    """Slices and pixels packed into one row; the text part is Qwen3.5's."""
    named = {
        "image_token": "<|image_pad|>",
        "video_token": "<|video_pad|>",
        "image_start_token": "<image>",
        "image_end_token": "</image>",
        "slice_start_token": "<slice>",
        "slice_end_token": "</slice>",
        "image_id_start_token": "<image_id>",
        "image_id_end_token": "</image_id>",
    }
    tokenizer = tokenizer_of(PIECES, begins=False, named=named)
    words = text(
        "qwen3_5_text",
        tokenizer,
        num_hidden_layers=4,
        head_dim=32,
        linear_num_key_heads=2,
        linear_num_value_heads=4,
        linear_key_head_dim=16,
        linear_value_head_dim=16,
        full_attention_interval=4,
    )
    vision = tower("minicpmv4_6_vision", 112, num_hidden_layers=3)
    model = made(
        "MiniCPMV4_6",
        vision_config=vision,
        text_config=words,
        insert_layer_id=1,
        image_size=112,
        **ids(tokenizer, image_token_id="<|image_pad|>", video_token_id="<|video_pad|>"),
    )
    common = {
        "scale_resolution": 112,
        "patch_size": 14,
        "max_slice_nums": 4,
        "slice_mode": True,
        "downsample_mode": "16x",
    }
    image = {"image_processor_type": "MiniCPMV4_6ImageProcessor", "use_image_id": True, **common}
    video = {"video_processor_type": "MiniCPMV4_6VideoProcessor", **common}
    template = chat("<|image_pad|>\n", **(IM | {"answer": QWEN_THOUGHT}))
    save(folder, model, tokenizer, template, "MiniCPMV4_6Processor", image, video)


DEEPSEEK = {"user": "User: ", "end": "\n\n", "answer": "Assistant:"}
ASSISTANT = "You are a helpful language and vision assistant.\n\n"


@family
def deepseek_vl(folder: Path) -> None:
    tokenizer = tokenizer_of([], named={"image_token": "<image_placeholder>"})
    model = made(
        "DeepseekVL",
        vision_config=tower("siglip_vision_model", vision_use_head=False),
        text_config=text("llama", tokenizer),
        tie_word_embeddings=False,
        **ids(tokenizer, image_token_id="<image_placeholder>"),
    )
    image = {"image_processor_type": "DeepseekVLImageProcessor", "size": square(28), "min_size": 14, "do_pad": True}
    template = chat("<image_placeholder>", **DEEPSEEK, begin=ASSISTANT)
    save(folder, model, tokenizer, template, "DeepseekVLProcessor", image, settings={"num_image_tokens": 4})


@family
def janus(folder: Path) -> None:
    named = {"image_token": "<image_placeholder>", "boi_token": "<begin_of_image>", "eoi_token": "<end_of_image>"}
    tokenizer = tokenizer_of([], named=named)
    vision = tower("janus_vision_model", mlp_ratio=2.0, projection_dim=48, num_image_tokens=4)
    vq = {
        "model_type": "janus_vqgan",
        "num_embeddings": 32,
        "latent_channels": 32,
        "base_channels": 32,
        "channel_multiplier": [1, 1],
        "num_res_blocks": 1,
        "projection_dim": 48,
        "image_token_embed_dim": 48,
    }
    model = made(
        "Janus",
        vision_config=vision,
        vq_config=vq,
        text_config=text("llama", tokenizer),
        tie_word_embeddings=False,
        **ids(tokenizer, image_token_id="<image_placeholder>"),
    )
    image = {"image_processor_type": "JanusImageProcessor", "size": square(28), "min_size": 14, "do_pad": True}
    template = chat("<image_placeholder>\n", **DEEPSEEK, begin=ASSISTANT)
    save(folder, model, tokenizer, template, "JanusProcessor", image, settings={"num_image_tokens": 4})


@family
def ovis2(folder: Path) -> None:
    """The mark of a picture in the text is no token of the vocabulary."""
    marks = ["<IMG_ATOM>", "<IMG_START>", "<IMG_GRID>", "<IMG_COL>", "<IMG_ROW>", "<IMG_END>"]
    tokenizer = tokenizer_of([*PIECES, *marks], begins=False)
    vision = tower("ovis2_vision", 28, 7, vocab_size=64, hidden_stride=2, num_visual_indicator_tokens=5)
    model = made(
        "Ovis2",
        vision_config=vision,
        text_config=text("qwen2", tokenizer),
        vocab_size=len(tokenizer),
        hidden_size=48,
        tie_word_embeddings=False,
        visual_indicator_token_ids=tokenizer.convert_tokens_to_ids(marks[1:]),
        **ids(tokenizer, image_token_id="<IMG_ATOM>"),
    )
    image = {
        "image_processor_type": "Ovis2ImageProcessor",
        "size": square(28),
        "crop_to_patches": True,
        "min_patches": 1,
        "max_patches": 4,
    }
    save(folder, model, tokenizer, chat("<image>\n", **IM), "Ovis2Processor", image, settings={"image_seq_length": 4})


@family
def idefics2(folder: Path) -> None:
    tokenizer = tokenizer_of(["<image>", FAKE, "<end_of_utterance>"])
    perceiver = {
        "model_type": "idefics2_perceiver",
        "hidden_size": 48,
        "resampler_n_latents": 4,
        "resampler_depth": 1,
        "resampler_n_heads": 4,
        "resampler_head_dim": 12,
        "num_key_value_heads": 2,
    }
    model = made(
        "Idefics2",
        vision_config=tower("idefics2_vision", 56),
        perceiver_config=perceiver,
        text_config=text("mistral", tokenizer, sliding_window=None),
        **ids(tokenizer, image_token_id="<image>"),
    )
    image = {
        "image_processor_type": "Idefics2ImageProcessor",
        "size": {"longest_edge": 56, "shortest_edge": 28},
        "do_image_splitting": True,
        "do_pad": True,
    }
    save(
        folder, model, tokenizer, chat("<image>", **IDEFICS), "Idefics2Processor", image, settings={"image_seq_len": 4}
    )


@family
def molmo2(folder: Path) -> None:
    """The processor puts the beginning-of-text before the template's words."""
    marks = [
        "<im_patch>",
        "<im_col>",
        "<im_start>",
        "<low_res_im_start>",
        "<frame_start>",
        "<im_end>",
        "<frame_end>",
        "<im_low>",
        "<|image|>",
        "<|video|>",
    ]
    tokenizer = tokenizer_of([*PIECES, *marks], begins=False)
    vision = {
        "model_type": "molmo2_vision",
        "hidden_size": 32,
        "intermediate_size": 64,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 4,
        "head_dim": 8,
        "image_size": [56, 56],
        "patch_size": 14,
    }
    adapter = {
        "model_type": "molmo2_adapter",
        "hidden_size": 32,
        "num_attention_heads": 4,
        "num_key_value_heads": 4,
        "head_dim": 8,
        "intermediate_size": 64,
        "text_hidden_size": 48,
        "vision_feature_layer": [1, 0],
    }
    words = text(
        "molmo2_text",
        tokenizer,
        head_dim=12,
        additional_vocab_size=16,
        rope_parameters={"rope_type": "default", "rope_theta": 10000.0},
    )
    model = made(
        "Molmo2",
        vision_config=vision,
        adapter_config=adapter,
        text_config=words,
        **ids(
            tokenizer,
            image_start_token_id="<im_start>",
            low_res_image_start_token_id="<low_res_im_start>",
            image_end_token_id="<im_end>",
            image_patch_id="<im_patch>",
            frame_start_token_id="<frame_start>",
            frame_end_token_id="<frame_end>",
        ),
    )
    image = {
        "image_processor_type": "Molmo2ImageProcessor",
        "size": square(56),
        "max_crops": 2,
        "overlap_margins": [1, 1],
        "patch_size": 14,
        "pooling_size": [2, 2],
    }
    video = {
        "video_processor_type": "Molmo2VideoProcessor",
        "size": square(56),
        "patch_size": 14,
        "pooling_size": [2, 2],
    }
    save(folder, model, tokenizer, chat("<|image|>", **IM), "Molmo2Processor", image, video)


@family
def kimi_k25(folder: Path) -> None:
    marks = [
        "<|im_user|>",
        "<|im_assistant|>",
        "<|im_middle|>",
        "<|im_end|>",
        "<|media_begin|>",
        "<|media_content|>",
        "<|media_pad|>",
        "<|media_end|>",
        "<|kimi_k25_video_placeholder|>",
    ]
    tokenizer = tokenizer_of(marks, begins=False)
    words = latent(tokenizer)
    vision = {
        "model_type": "kimi_k25_vision",
        "hidden_size": 32,
        "intermediate_size": 64,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "patch_size": 14,
        "pos_emb_height": 8,
        "pos_emb_width": 8,
    }
    model = made(
        "Kimi_K25",
        vision_config=vision,
        text_config=words,
        projection_hidden_size=32,
        tie_word_embeddings=False,
        **ids(
            tokenizer,
            image_token_id="<|media_pad|>",
            video_token_id="<|kimi_k25_video_placeholder|>",
            vision_start_token_id="<|media_begin|>",
            vision_end_token_id="<|media_end|>",
        ),
    )
    common = {"patch_size": 14, "merge_size": 2, "max_patches": 64, "size": {"max_height": 112, "max_width": 112}}
    image = {"image_processor_type": "Kimi_K25ImageProcessor", **common}
    video = {"video_processor_type": "Kimi_K25VideoProcessor", **common}
    template = chat(
        "<|media_begin|>image<|media_content|><|media_pad|><|media_end|>",
        user="<|im_user|>user<|im_middle|>",
        end="<|im_end|>",
        answer="<|im_assistant|>assistant<|im_middle|>{% if thinking is defined and thinking is false %}<think></think>{% else %}<think>{% endif %}",
    )
    save(folder, model, tokenizer, template, "Kimi_K25Processor", image, video)


# --- towers of timm


@family
def fast_vlm(folder: Path) -> None:
    tokenizer = tokenizer_of(["<image>", *PIECES], begins=False)
    small = {"layers": [1, 1, 1, 1, 1], "embed_dims": [8, 16, 16, 32, 32], "inference_mode": True}
    vision = {
        "model_type": "timm_wrapper",
        "architecture": "fastvit_mci3",
        "do_pooling": True,
        "hidden_size": 64,
        "model_args": small,
    }
    model = made(
        "FastVlm",
        vision_config=vision,
        text_config=text("qwen2", tokenizer),
        image_seq_length=4,
        **ids(tokenizer, image_token_index="<image>"),
    )
    image = {
        "image_processor_type": "CLIPImageProcessor",
        "size": {"shortest_edge": 128},
        "crop_size": square(128),
        "do_center_crop": True,
    }
    settings = {"patch_size": 64, "vision_feature_select_strategy": "full", "num_additional_image_tokens": 0}
    save(folder, model, tokenizer, chat("<image>\n", **IM), "LlavaProcessor", image, settings=settings)


@family
def perception_lm(folder: Path) -> None:
    tokenizer = tokenizer_of(
        ["<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>"],
        named={"image_token": "<|image|>", "video_token": "<|video|>"},
    )
    small = {
        "embed_dim": 32,
        "depth": 2,
        "num_heads": 4,
        "img_size": [56, 56],
        "ref_feat_shape": [4, 4],
        "global_pool": "",
        "init_values": 0.1,
    }
    vision = {
        "model_type": "timm_wrapper",
        "architecture": "vit_pe_lang_large_patch14_448",
        "do_pooling": False,
        "num_classes": 0,
        "hidden_size": 32,
        "model_args": small,
        "global_pool": "map",
    }
    model = made(
        "PerceptionLM",
        vision_config=vision,
        text_config=text("llama", tokenizer),
        vision_use_cls_token=True,
        projector_pooling_ratio=2,
        tie_word_embeddings=False,
        **ids(tokenizer, image_token_id="<|image|>", video_token_id="<|video|>"),
    )
    image = {
        "image_processor_type": "PerceptionLMImageProcessor",
        "tile_size": 56,
        "max_num_tiles": 4,
        "vision_input_type": "thumb+tile",
        "size": square(56),
    }
    video = {"video_processor_type": "PerceptionLMVideoProcessor", "size": square(56)}
    template = chat("<|image|>", **HEADERS, begin=BOS, trim=" | trim")
    save(
        folder,
        model,
        tokenizer,
        template,
        "PerceptionLMProcessor",
        image,
        video,
        {"patch_size": 14, "pooling_ratio": 2},
    )


GEMMA3N = {
    "boi_token": "<start_of_image>",
    "eoi_token": "<end_of_image>",
    "image_token": "<image_soft_token>",
    "boa_token": "<start_of_audio>",
    "eoa_token": "<end_of_audio>",
    "audio_token": "<audio_soft_token>",
}


@family
def gemma3n(folder: Path) -> None:
    """The last layers use earlier keys and values. The tower is not the real one, which has 300 million weights, but a MobileNet."""
    tokenizer = tokenizer_of(["<start_of_turn>", "<end_of_turn>"], named=GEMMA3N)
    layers = ["sliding_attention", "full_attention"] * 2
    words = text(
        "gemma3n_text",
        tokenizer,
        head_dim=12,
        num_hidden_layers=4,
        layer_types=layers,
        num_kv_shared_layers=2,
        sliding_window=512,
        vocab_size_per_layer_input=len(tokenizer),
        hidden_size_per_layer_input=8,
        altup_num_inputs=2,
        laurel_rank=8,
        activation_sparsity_pattern=[0.95, 0.0, 0.0, 0.0],
        intermediate_size=[96] * 4,
    )
    # numbers of the words for pictures and sounds go on after those of the text
    vision = {
        "model_type": "gemma3n_vision",
        "architecture": "mobilenetv3_small_050",
        "hidden_size": 288,
        "vocab_size": 8,
        "vocab_offset": len(tokenizer),
        "num_classes": 0,
    }
    audio = {
        "model_type": "gemma3n_audio",
        "hidden_size": 32,
        "conf_num_attention_heads": 4,
        "conf_num_hidden_layers": 1,
        "vocab_size": 8,
        "vocab_offset": len(tokenizer) + 8,
        "sscp_conv_channel_size": [8, 4],
    }
    model = made(
        "Gemma3n",
        text_config=words,
        vision_config=vision,
        audio_config=audio,
        vision_soft_tokens_per_image=4,
        tie_word_embeddings=False,
        **ids(
            tokenizer,
            boi_token_id="<start_of_image>",
            eoi_token_id="<end_of_image>",
            image_token_id="<image_soft_token>",
            boa_token_id="<start_of_audio>",
            eoa_token_id="<end_of_audio>",
            audio_token_id="<audio_soft_token>",
        ),
    )
    image = {
        "image_processor_type": "SiglipImageProcessor",
        "feature_extractor_type": "Gemma3nAudioFeatureExtractor",
        "size": square(64),
        "image_seq_length": 4,
    }
    template = chat("<image_soft_token>", **TURN, begin=BOS, trim=" | trim")
    save(
        folder,
        model,
        tokenizer,
        template,
        "Gemma3nProcessor",
        image,
        settings={"image_seq_length": 4, "audio_seq_length": 4},
    )


# --- older ones, without a template


QFORMER = {
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 64,
    "encoder_hidden_size": 32,
    "cross_attention_frequency": 1,
    "hidden_dropout_prob": 0.0,
    "attention_probs_dropout_prob": 0.0,
}


@family
def blip2(folder: Path) -> None:
    tokenizer = tokenizer_of(["<image>"])
    words = text("opt", tokenizer, ffn_dim=96, word_embed_proj_dim=48, dropout=0.0)
    qformer = QFORMER | {"model_type": "blip_2_qformer", "vocab_size": len(tokenizer)}
    model = made(
        "Blip2",
        vision_config=tower("blip_2_vision_model"),
        qformer_config=qformer,
        text_config=words,
        num_query_tokens=4,
        **ids(tokenizer, image_token_index="<image>"),
    )
    image = {"image_processor_type": "BlipImageProcessor", "size": square(28)}
    save(folder, model, tokenizer, "", "Blip2Processor", image, settings={"num_query_tokens": 4})


@family
def instructblip(folder: Path) -> None:
    tokenizer = tokenizer_of(["<image>"])
    qformer = QFORMER | {"model_type": "instructblip_qformer", "vocab_size": len(tokenizer)}
    model = made(
        "InstructBlip",
        vision_config=tower("instructblip_vision_model"),
        qformer_config=qformer,
        text_config=text("llama", tokenizer),
        num_query_tokens=4,
        **ids(tokenizer, image_token_index="<image>"),
    )
    image = {"image_processor_type": "BlipImageProcessor", "size": square(28)}
    tokenizer.save_pretrained(folder / "qformer_tokenizer")
    save(folder, model, tokenizer, "", "InstructBlipProcessor", image, settings={"num_query_tokens": 4})


@family
def blip(folder: Path) -> None:
    """A captioner: its text part continues a caption and is no decoder with the picture among its words."""
    tokenizer = tokenizer_of([])
    words = text(
        "blip_text_model",
        tokenizer,
        encoder_hidden_size=32,
        projection_dim=32,
        max_position_embeddings=512,
        sep_token_id=2,
    )
    model = made(
        "Blip",
        vision_config=tower("blip_vision_model"),
        text_config=words,
        projection_dim=32,
        image_text_hidden_size=32,
    )
    image = {"image_processor_type": "BlipImageProcessor", "size": square(28)}
    save(folder, model, tokenizer, "", "BlipProcessor", image, own_file=False)


@family
def kosmos2(folder: Path) -> None:
    """The picture's 64 words are the first of the vocabulary after the unknown one."""
    tags = [
        "</doc>",
        "<image>",
        "</image>",
        "</chunk>",
        "</line>",
        "<phrase>",
        "</phrase>",
        "<object>",
        "</object>",
        "</delimiter_of_multi_objects/>",
        "<grounding>",
    ]
    tokenizer = tokenizer_of(["<unk>", *(f"<seen{n}>" for n in range(64))])
    tokenizer.unk_token = "<unk>"
    tokenizer.add_tokens([*tags, *(f"<patch_index_{n:0>4}>" for n in range(1024))])
    words = {
        "model_type": "kosmos_2_text_model",
        "vocab_size": len(tokenizer),
        "embed_dim": 48,
        "layers": 2,
        "ffn_dim": 96,
        "attention_heads": 4,
        "max_position_embeddings": 512,
        "pad_token_id": 0,
        "bos_token_id": 1,
        "eos_token_id": 2,
        "tie_word_embeddings": False,
        "scale_embedding": False,
    }
    vision = tower("kosmos_2_vision_model")
    model = made("Kosmos2", vision_config=vision, text_config=words, latent_query_num=64, tie_word_embeddings=False)
    image = {
        "image_processor_type": "CLIPImageProcessor",
        "size": {"shortest_edge": 28},
        "crop_size": square(28),
        "do_center_crop": True,
    }
    save(folder, model, tokenizer, "", "Kosmos2Processor", image, own_file=False)


@family
def fuyu(folder: Path) -> None:
    """No tower: patches go straight into the decoder, lines of them end with a mark."""
    tokenizer = tokenizer_of(
        ["|SPEAKER|", "|NEWLINE|", "<0x00>", "<0x01>", "<0x02>", "<0x03>", "<0x04>", "|ENDOFTEXT|"]
    )
    words = text("persimmon", tokenizer, num_key_value_heads=4, partial_rotary_factor=0.5)
    model = made(
        "Fuyu",
        "ForCausalLM",
        text_config=words,
        image_size=60,
        patch_size=30,
        **ids(tokenizer, image_token_id="|SPEAKER|"),
    )
    image = {
        "image_processor_type": "FuyuImageProcessor",
        "size": {"height": 60, "width": 90},
        "patch_size": {"height": 30, "width": 30},
        "do_pad": True,
        "padding_value": 1.0,
        "padding_mode": "constant",
    }
    save(folder, model, tokenizer, "", "FuyuProcessor", image, own_file=False)


@family
def florence2(folder: Path) -> None:
    """An encoder–decoder."""
    tokenizer = tokenizer_of([], named={"image_token": "<image>"})
    vision = {
        "model_type": "florence_vision",
        "depths": [1, 1],
        "patch_size": [7, 3],
        "patch_stride": [4, 2],
        "patch_padding": [3, 1],
        "patch_prenorm": [False, True],
        "embed_dim": [16, 32],
        "num_heads": [2, 4],
        "num_groups": [2, 4],
        "window_size": 4,
        "projection_dim": 48,
    }
    words = {
        "model_type": "bart",
        "vocab_size": len(tokenizer),
        "d_model": 48,
        "encoder_layers": 2,
        "decoder_layers": 2,
        "encoder_ffn_dim": 96,
        "decoder_ffn_dim": 96,
        "encoder_attention_heads": 4,
        "decoder_attention_heads": 4,
        "pad_token_id": 0,
        "bos_token_id": 1,
        "eos_token_id": 2,
        "decoder_start_token_id": 2,
    }
    model = made("Florence2", vision_config=vision, text_config=words, **ids(tokenizer, image_token_id="<image>"))
    image = {
        "image_processor_type": "CLIPImageProcessor",
        "size": square(32),
        "do_center_crop": False,
        "image_seq_length": 17,
    }
    save(folder, model, tokenizer, "", "Florence2Processor", image)


@family
def got_ocr2(folder: Path) -> None:
    tokenizer = tokenizer_of([*PIECES, "<img>", "</img>", "<imgpad>"], begins=False)
    # 64 patches a side, a sixteenth of which, 256, are left: the processor knows no other number
    vision = {
        "model_type": "got_ocr2_vision",
        "hidden_size": 16,
        "output_channels": 16,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
        "image_size": 256,
        "patch_size": 4,
        "window_size": 8,
        "global_attn_indexes": [],
        "mlp_dim": 32,
    }
    model = made(
        "GotOcr2",
        vision_config=vision,
        text_config=text("qwen2", tokenizer),
        tie_word_embeddings=False,
        **ids(tokenizer, image_token_index="<imgpad>"),
    )
    image = {"image_processor_type": "GotOcr2ImageProcessor", "size": square(256)}
    save(folder, model, tokenizer, "", "GotOcr2Processor", image)


# --- experts and later ones


@family
def qwen3_5_moe(folder: Path) -> None:
    words = {
        "model_type": "qwen3_5_moe_text",
        "num_hidden_layers": 4,
        "head_dim": 32,
        "linear_num_key_heads": 2,
        "linear_num_value_heads": 4,
        "linear_key_head_dim": 16,
        "linear_value_head_dim": 16,
        "full_attention_interval": 4,
        "num_experts": 4,
        "num_experts_per_tok": 2,
        "moe_intermediate_size": 32,
        "shared_expert_intermediate_size": 32,
        "rope_parameters": {
            "rope_type": "default",
            "rope_theta": 10000.0,
            "mrope_section": [2, 1, 1],
            "mrope_interleaved": True,
            "partial_rotary_factor": 0.25,
        },
    }
    template = chat(QWEN_PICTURE, **(IM | {"answer": QWEN_THOUGHT}))
    _qwen(folder, "Qwen3_5Moe", dict(QWEN3_VISION), words, "Qwen3VLProcessor", template)


@family
def gemma4_moe(folder: Path) -> None:
    """26B-A4B."""
    layers = ["sliding_attention", "sliding_attention", "full_attention"]
    _gemma4(
        folder,
        layers,
        attention_k_eq_v=True,
        num_global_key_value_heads=1,
        use_bidirectional_attention="vision",
        hidden_size_per_layer_input=0,
        enable_moe_block=True,
        num_experts=4,
        top_k_experts=2,
        moe_intermediate_size=32,
    )


@family
def lighton_ocr(folder: Path) -> None:
    named = {"image_token": "<|image_pad|>", "image_break_token": "<|vision_pad|>", "image_end_token": "<|vision_end|>"}
    tokenizer = tokenizer_of(PIECES, begins=False, named=named)
    model = made(
        "LightOnOcr",
        vision_config=tower("pixtral", 112, head_dim=8),
        text_config=text("qwen3", tokenizer, head_dim=12),
        spatial_merge_size=2,
        tie_word_embeddings=False,
        **ids(tokenizer, image_token_id="<|image_pad|>"),
    )
    image = {"image_processor_type": "PixtralImageProcessor", "size": {"longest_edge": 112}, "patch_size": square(14)}
    settings = {"patch_size": 14, "spatial_merge_size": 2}
    save(folder, model, tokenizer, chat("<|image_pad|>", **IM), "LightOnOcrProcessor", image, settings=settings)


@family
def aria(folder: Path) -> None:
    """Its processor knows pictures of 490 and 980 pixels, and 128 and 256 words for them."""
    tokenizer = tokenizer_of(["<|img|>", *PIECES, "<fim_prefix>", "<fim_suffix>"], named={"image_token": "<|img|>"})
    words = text("aria_text", tokenizer, moe_num_experts=4, moe_topk=2, moe_num_shared_experts=1, head_dim=12)
    model = made(
        "Aria",
        vision_config=tower("idefics3_vision", 490) | {"num_hidden_layers": 1, "num_attention_heads": 1},
        text_config=words,
        projector_patch_to_query_dict={"1225": 128, "4900": 256},
        **ids(tokenizer, image_token_index="<|img|>"),
    )
    image = {
        "image_processor_type": "AriaImageProcessor",
        "max_image_size": 490,
        "min_image_size": 336,
        "do_resize": False,
        "split_image": False,
        "split_resolutions": [[490, 490]],
    }
    settings = {"size_conversion": {"490": 128, "980": 256}}
    template = chat("<fim_prefix><|img|><fim_suffix>", **IM)
    save(folder, model, tokenizer, template, "AriaProcessor", image, settings=settings)


@family
def llava_next_video(folder: Path) -> None:
    tokenizer = tokenizer_of(["<image>", "<video>"])
    model = made(
        "LlavaNextVideo",
        vision_config=tower("clip_vision_model"),
        text_config=text("llama", tokenizer),
        image_seq_length=4,
        image_grid_pinpoints=PINPOINTS,
        **ids(tokenizer, image_token_index="<image>", video_token_index="<video>"),
    )
    image = {
        "image_processor_type": "LlavaNextImageProcessor",
        "size": {"shortest_edge": 28},
        "crop_size": square(28),
        "do_center_crop": True,
        "image_grid_pinpoints": PINPOINTS,
        "do_pad": True,
    }
    video = {
        "video_processor_type": "LlavaNextVideoVideoProcessor",
        "size": {"shortest_edge": 28},
        "crop_size": square(28),
    }
    settings = {"patch_size": 14, "vision_feature_select_strategy": "default", "num_additional_image_tokens": 1}
    save(folder, model, tokenizer, chat("<image>\n"), "LlavaNextVideoProcessor", image, video, settings)
