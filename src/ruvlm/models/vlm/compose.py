"""A LLaVA checkpoint out of a vision encoder and a language model: standard files that need no code of ours to load.

The projector starts random, everything else is as it was: the composed model's answers to words alone are compared with
the language model's own before anything is written.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from ruvlm.checkpoint import refuse_lost_folder
from ruvlm.errors import ModelError, OutputError
from ruvlm.files import whole_folder
from ruvlm.models.vlm.hub_folder import write_model

IMAGE = "<image>"
VOCABULARY_MULTIPLE = 64
# messages whose content is a list of parts → plain text, before the language model's own template sees them
FLATTEN = (
    "{%- set flat = namespace(messages=[]) -%}"
    "{%- for m in messages -%}{%- set said = namespace(text='') -%}"
    "{%- if m['content'] is string -%}{%- set said.text = m['content'] -%}"
    "{%- else -%}{%- for part in m['content'] -%}"
    "{%- if part['type'] == 'image' -%}{%- set said.text = said.text + '<image>\\n' -%}"
    "{%- elif part['type'] == 'text' -%}{%- set said.text = said.text + part['text'] -%}{%- endif -%}"
    "{%- endfor -%}{%- endif -%}"
    "{%- set flat.messages = flat.messages + [{'role': m['role'], 'content': said.text}] -%}{%- endfor -%}"
    "{%- set messages = flat.messages -%}"
)
PLAIN = (
    "{%- for m in messages -%}{{ 'USER: ' if m['role'] == 'user' else 'ASSISTANT: ' }}{{ m['content'] }}"
    "{{ ' ' if m['role'] == 'user' else eos_token }}{%- endfor -%}{%- if add_generation_prompt -%}ASSISTANT:{%- endif -%}"
)
CLOSE = 1e-3
DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}


@dataclass(frozen=True)
class Composed:
    """What was built: its folder, the parameters of its parts, tokens a picture takes."""

    folder: Path
    vision: int
    projector: int
    language: int
    image_tokens: int


def compose(vision: str, llm: str, out: Path, dtype: torch.dtype = torch.float32, seed: int = 0) -> Composed:
    """Build `out` from a CLIP, SigLIP or SigLIP 2 encoder and any causal language model of transformers.

    Raises ModelError if a part cannot be used, OutputError if `out` is taken.
    """
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise OutputError(f"Папка {out} уже занята: укажите другую --out.")
    language, tokenizer = _language(llm, dtype)
    reference = _text_logits(language, tokenizer)
    image_token, grown = _room_for_image(language, tokenizer)
    encoder, images = _encoder(vision, dtype)
    model = _joined(encoder, language, image_token, seed).to(dtype)
    _compare(model, tokenizer, reference, grown, llm)
    processor = _processor(encoder, images, tokenizer)
    with whole_folder(out) as folder:
        write_model(folder, model, processor)
    counts = [_count(part) for part in (model.model.vision_tower, model.model.multi_modal_projector)]
    tokens = model.config.image_seq_length
    return Composed(out, counts[0], counts[1], _count(model) - sum(counts), tokens)


def _count(part: Any) -> int:
    return sum(parameter.numel() for parameter in part.parameters())


def _language(name: str, dtype: torch.dtype) -> tuple[Any, Any]:
    from transformers import AutoModelForCausalLM, AutoTokenizer

    refuse_lost_folder(name)
    try:
        tokenizer = AutoTokenizer.from_pretrained(name)
        model, info = AutoModelForCausalLM.from_pretrained(name, dtype=dtype, output_loading_info=True)
    except (OSError, ValueError, KeyError, ImportError) as error:
        raise ModelError(
            f"Языковая модель {name} не загрузилась ({_first(error)}): проверьте имя или папку."
        ) from error
    if info["missing_keys"]:
        lost = sorted(info["missing_keys"])
        raise ModelError(
            f"У языковой модели {name} нет {len(lost)} весов ({', '.join(lost[:3])}…): скачайте её целиком."
        )
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token
    return model.eval(), tokenizer


def _room_for_image(model: Any, tokenizer: Any) -> tuple[int, int]:
    """Add the image token, and rows of the embeddings up to a round number. Its id, and the rows before."""
    before = model.get_input_embeddings().weight.shape[0]
    tokenizer.add_special_tokens({"additional_special_tokens": [IMAGE]}, replace_extra_special_tokens=False)
    if len(tokenizer) > before:
        model.resize_token_embeddings(len(tokenizer), pad_to_multiple_of=VOCABULARY_MULTIPLE, mean_resizing=False)
        with torch.no_grad():  # new rows are the mean of the old ones: no token of the vocabulary is likelier for it
            for layer in {id(m): m for m in (model.get_input_embeddings(), model.get_output_embeddings())}.values():
                layer.weight[before:] = layer.weight[:before].mean(0)
    return int(tokenizer.convert_tokens_to_ids(IMAGE)), before


def _encoder(name: str, dtype: torch.dtype) -> tuple[Any, Any]:
    """The vision tower alone, and its image processor."""
    from transformers import AutoConfig, AutoImageProcessor, CLIPVisionModel, SiglipVisionModel

    towers = {
        "clip": CLIPVisionModel,
        "clip_vision_model": CLIPVisionModel,
        "siglip": SiglipVisionModel,
        "siglip_vision_model": SiglipVisionModel,
    }
    refuse_lost_folder(name)
    try:
        kind = AutoConfig.from_pretrained(name).model_type
        if kind not in towers:
            raise ModelError(
                f"Зрительная модель {name} вида {kind}: нужна CLIP, SigLIP или SigLIP 2 с постоянным размером."
            )
        tower, info = towers[kind].from_pretrained(name, dtype=dtype, output_loading_info=True)
        images = AutoImageProcessor.from_pretrained(name, backend="pil")
    except (OSError, ValueError, KeyError, ImportError) as error:
        raise ModelError(
            f"Зрительная модель {name} не загрузилась ({_first(error)}): проверьте имя или папку."
        ) from error
    if info["missing_keys"]:
        lost = sorted(info["missing_keys"])
        raise ModelError(
            f"У зрительной модели {name} нет {len(lost)} весов ({', '.join(lost[:3])}…): скачайте её целиком."
        )
    return tower.eval(), images


def _joined(encoder: Any, language: Any, image_token: int, seed: int) -> Any:
    from transformers import LlavaConfig, LlavaForConditionalGeneration

    settings = encoder.config
    patches = (settings.image_size // settings.patch_size) ** 2
    config = LlavaConfig(
        vision_config=settings.to_dict(),
        text_config=language.config.to_dict(),
        image_token_index=image_token,
        image_seq_length=patches,
        vision_feature_layer=-2,
        vision_feature_select_strategy=_strategy(encoder),
        projector_hidden_act="gelu",
        tie_word_embeddings=language.config.tie_word_embeddings,
    )
    torch.manual_seed(seed)
    model = LlavaForConditionalGeneration(config).eval()
    model.model.vision_tower.load_state_dict(encoder.state_dict())
    model.model.language_model.load_state_dict(language.base_model.state_dict())
    model.lm_head.load_state_dict(language.get_output_embeddings().state_dict())
    model.generation_config = language.generation_config
    return model


def _strategy(encoder: Any) -> str:
    """CLIP's first token sums the picture up and is left out; SigLIP has none."""
    return "default" if encoder.config.model_type == "clip_vision_model" else "full"


def _processor(encoder: Any, images: Any, tokenizer: Any) -> Any:
    from transformers import LlavaProcessor

    own = tokenizer.chat_template or _begins(tokenizer) + PLAIN
    return LlavaProcessor(
        images,
        tokenizer,
        patch_size=encoder.config.patch_size,
        vision_feature_select_strategy=_strategy(encoder),
        chat_template=FLATTEN + own,
        num_additional_image_tokens=1 if _strategy(encoder) == "default" else 0,
    )


def _begins(tokenizer: Any) -> str:
    """The beginning-of-text as a template writes it, where the tokenizer puts one: vLLM adds none to a template's text."""
    starts = tokenizer.bos_token_id is not None and tokenizer("x")["input_ids"][0] == tokenizer.bos_token_id
    return "{{- bos_token -}}" if starts else ""


@torch.inference_mode()
def _text_logits(model: Any, tokenizer: Any) -> tuple[torch.Tensor, torch.Tensor]:
    """Token ids of a sentence, and what the model makes of it. [1, T], [1, T, V]."""
    ids = tokenizer("Кто на картинке? Кошка и собака. Who is it? 42", return_tensors="pt")["input_ids"]
    return ids, model(input_ids=ids).logits.float().clone()


@torch.inference_mode()
def _compare(model: Any, tokenizer: Any, reference: tuple[torch.Tensor, torch.Tensor], before: int, name: str) -> None:
    """Raises ModelError if the composed model does not answer words as its language model did."""
    ids, expected = reference
    logits = model(input_ids=ids).logits.float()[..., :before]
    gap = float((logits - expected[..., :before]).abs().max())
    if not gap <= CLOSE * max(1.0, float(expected.abs().max())):
        raise ModelError(
            f"{name} внутри LLaVA отвечает на слова иначе, чем сама по себе (логиты разошлись на {gap:.3g}): её устройство "
            "LLaVA не передаёт, возьмите другую языковую модель."
        )


def _first(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:160]
