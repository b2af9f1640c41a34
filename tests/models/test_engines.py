"""A real vLLM beside `hf:`: the same folder, the same questions, the same answers. Needs a vLLM of its own environment.

Not part of `make test`. How such an environment is made on a processor: shared/ENGINES.md. Then
`RUVLM_VLLM=…/bin/vllm .venv/bin/python -m pytest tests/models/test_engines.py -m engines`; each folder costs a start of vLLM, about a minute, all of them twelve.

Some answers may differ: vLLM resizes pictures with torchvision, we with Pillow, and here and there a grey level is another one.
"""

from __future__ import annotations

import json
import os
import sys
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch

from ruvlm.backends.base import Access, Asked
from ruvlm.backends.openai_http import data_uri, open_openai
from ruvlm.benchmarks.source import open_source
from ruvlm.cli.main import main
from ruvlm.data.images import load_image, read_bytes
from ruvlm.models.vlm.backend import HfBackend, open_hf
from ruvlm.world.export import build, plans
from tests.support.house import RECIPES
from tests.support.random_models import (
    CHAT,
    QWEN_CHAT,
    WORDS,
    _spread,
    eager_to_stop,
    llava,
    printable,
    trained_tokenizer,
)
from tests.support.rows import prompt as prompt_of
from tests.support.vllm_server import Served, vllm, with_published_names, without_beginning

VLLM = os.environ.get("RUVLM_VLLM", "")
pytestmark = [
    pytest.mark.engines,
    pytest.mark.skipif(not VLLM, reason="RUVLM_VLLM не задана: путь к исполняемому файлу vllm в окружении с ним"),
]

PICTURES, QUESTIONS, LIMIT = 12, 20, 16
ENOUGH = 0.98
# vLLM's attention on a processor knows heads of 32, 64, 80, 96, 112, 128… numbers: here all have 64
LLAVA = {"width": 256, "heads": 4, "image": 56, "vision": 128, "strength": 1.5}
QWEN_MARKS = ("<|vision_start|>", "<|vision_end|>", "<|image_pad|>", "<|video_pad|>")
Make = Callable[[Path, Path], Path]


# --- folders


def with_template(folder: Path, template: str) -> Path:
    (folder / "chat_template.jinja").write_text(template, encoding="utf-8")
    return folder


def plain_llava(out: Path, world: Path) -> Path:
    """Neither its tokenizer nor its template begins the text."""
    return with_published_names(without_beginning(llava(out, **LLAVA)))


def beginning_llava(out: Path, world: Path) -> Path:
    """Its tokenizer would add a beginning-of-text, and its template writes it: there is to be one."""
    return with_published_names(with_template(llava(out, **LLAVA), "{{ bos_token }}" + CHAT))


def parts_of_language() -> tuple[Any, dict[str, int], dict[str, Any]]:
    """A tokenizer, the ids of the picture's marks, and settings of a language model with heads of 64 numbers."""
    tokenizer: Any = trained_tokenizer([WORDS], QWEN_MARKS)
    names = ("vision_start_token_id", "vision_end_token_id", "image_token_id", "video_token_id")
    marks = {name: tokenizer.convert_tokens_to_ids(mark) for name, mark in zip(names, QWEN_MARKS, strict=True)}
    text = {
        "hidden_size": 256,
        "intermediate_size": 512,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "vocab_size": len(tokenizer),
        "bos_token_id": 1,
        "eos_token_id": 2,
        "pad_token_id": 0,
        "max_position_embeddings": 4096,
        "tie_word_embeddings": False,
    }
    return tokenizer, marks, text


def qwen_saved(out: Path, model: Any, tokenizer: Any, patch: int, kind: str) -> Path:
    """A folder with the files that the hub's have."""
    from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import Qwen2VLImageProcessorPil

    _spread(model)
    printable(model, tokenizer)
    eager_to_stop(model, 1.5)
    model.save_pretrained(out)
    tokenizer.chat_template = QWEN_CHAT
    tokenizer.save_pretrained(out)
    side = 2 * patch
    pictures = Qwen2VLImageProcessorPil(
        min_pixels=side * side * 4, max_pixels=side * side * 36, patch_size=patch, merge_size=2
    )
    settings = pictures.to_dict() | {"image_processor_type": "Qwen2VLImageProcessor", "processor_class": kind}
    (out / "preprocessor_config.json").write_text(json.dumps(settings), encoding="utf-8")
    # vLLM builds the part for video too, though no video is asked about
    video = "Qwen3VLVideoProcessor" if kind.startswith("Qwen3") else "Qwen2VLVideoProcessor"
    settings = {
        "video_processor_type": video,
        "processor_class": kind,
        "patch_size": patch,
        "merge_size": 2,
        "temporal_patch_size": 2,
    }
    (out / "video_preprocessor_config.json").write_text(json.dumps(settings), encoding="utf-8")
    return without_beginning(out)


def qwen25(out: Path, world: Path) -> Path:
    from transformers import Qwen2_5_VLConfig, Qwen2_5_VLForConditionalGeneration

    tokenizer, marks, text = parts_of_language()
    rope = {"rope_type": "default", "mrope_section": [8, 12, 12], "rope_theta": 10000.0}
    vision = {
        "depth": 2,
        "hidden_size": 128,
        "intermediate_size": 256,
        "num_heads": 2,
        "out_hidden_size": 256,
        "patch_size": 14,
        "spatial_merge_size": 2,
        "window_size": 56,
        "fullatt_block_indexes": [1],
    }
    torch.manual_seed(0)
    model = Qwen2_5_VLForConditionalGeneration(
        Qwen2_5_VLConfig(
            vision_config=vision, text_config=text | {"rope_parameters": rope}, tie_word_embeddings=False, **marks
        )
    )
    return qwen_saved(out, model, tokenizer, 14, "Qwen2_5_VLProcessor")


def qwen3(out: Path, world: Path) -> Path:
    from transformers import Qwen3VLConfig, Qwen3VLForConditionalGeneration

    tokenizer, marks, text = parts_of_language()
    rope = {"rope_type": "default", "mrope_section": [12, 10, 10], "mrope_interleaved": True, "rope_theta": 10000.0}
    vision = {
        "depth": 2,
        "hidden_size": 128,
        "intermediate_size": 256,
        "num_heads": 2,
        "out_hidden_size": 256,
        "patch_size": 16,
        "spatial_merge_size": 2,
        "num_position_embeddings": 64,
        "deepstack_visual_indexes": [0],
    }
    torch.manual_seed(0)
    config = Qwen3VLConfig(
        vision_config=vision,
        text_config=text | {"head_dim": 64, "rope_parameters": rope},
        tie_word_embeddings=False,
        **marks,
    )
    return qwen_saved(out, Qwen3VLForConditionalGeneration(config), tokenizer, 16, "Qwen3VLProcessor")


# --- folders that our commands write


def command(*arguments: object) -> None:
    assert main([str(argument) for argument in arguments]) == 0, arguments


def composed(out: Path, world: Path, adds: bool = False) -> Path:
    """`ruvlm model compose` of a CLIP and a Llama, whose tokenizer adds a beginning-of-text or does not."""
    import transformers as t

    parts = out.parent / f"parts of {out.name}"
    tower = t.CLIPVisionConfig(
        hidden_size=128, intermediate_size=256, num_hidden_layers=3, num_attention_heads=2, image_size=56, patch_size=14
    )
    torch.manual_seed(2)
    vision: Any = t.CLIPVisionModel(tower)
    _spread(vision)
    vision.save_pretrained(parts / "v")
    t.CLIPImageProcessorPil(size={"shortest_edge": 56}, crop_size={"height": 56, "width": 56}).save_pretrained(
        parts / "v"
    )
    tokenizer, _, text = parts_of_language()
    language: Any = t.LlamaForCausalLM(t.LlamaConfig(**text))
    _spread(language)
    printable(language, tokenizer)
    eager_to_stop(language, 1.5)
    language.save_pretrained(parts / "l")
    tokenizer.save_pretrained(parts / "l")
    if not adds:
        without_beginning(parts / "l")
    command("model", "compose", "--vision", parts / "v", "--llm", parts / "l", "--out", out)
    return out


def trained(out: Path, world: Path, *settings: str) -> Path:
    """`final_model` of two steps of training on the drawn world, from a LLaVA beside it."""
    base = out.parent / f"base of {out.name}"
    if not base.exists():
        plain_llava(base, world)
    sets = [
        f'vlm.path="{base}"',
        f'results="{out.parent}"',
        f'name="run-{out.name}"',
        f'data.path="{world}"',
        'device="cpu"',
        "train.max_steps=2",
        "train.images_per_step=2",
        "train.questions_per_image=4",
        "train.validations=0",
        "train.warmup_steps=1",
        *settings,
    ]
    command("train", RECIPES / "vlm_lora.toml", *(part for one in sets for part in ("--set", one)))
    return out.parent / f"run-{out.name}" / "final_model"


def trained_whole(out: Path, world: Path) -> Path:
    # steps of 0.001 would teach so small a model to end at once, and all answers to be alike
    return trained(out, world, 'vlm.parts=["language"]', "vlm.lora_rank=0", "vlm.language_lr=0.0001")


def merged(out: Path, world: Path) -> Path:
    """`ruvlm model merge` of a LLaVA and the adapter that training left."""
    adapter = trained(
        out, world, "vlm.lora_rank=4", "vlm.lora_dropout=0.0", "vlm.language_lr=0.001", "train.max_steps=4"
    )
    command("model", "merge", f"{out.parent / f'base of {out.name}'}+{adapter}", "--out", out)
    return out


FOLDERS: dict[str, Make] = {
    "llava": plain_llava,
    "llava-own-bos": beginning_llava,
    "qwen2.5-vl": qwen25,
    "qwen3-vl": qwen3,
    "composed": composed,
    "composed-bos": partial(composed, adds=True),
    "merged": merged,
    "trained": trained_whole,
}


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data") / "world"
    build("mini", folder, seed=7, workers=1, splits=plans("mini", PICTURES, 0.01))
    return folder


@pytest.fixture(scope="module")
def items(drawn: Path) -> list[Asked]:
    """Twenty questions about each of twelve drawn pictures."""
    found: dict[str, list[Asked]] = {}
    for example in open_source(str(drawn)).load("gqa-ru", "train").examples:
        text = f"{example.question}\nОтветь одним словом."
        prompt = prompt_of(text, example.image, LIMIT, protocol="gqa-ru/lmms", stop=("\n\n",))
        found.setdefault(example.image_id, []).append(Asked(prompt, example))
    rows = [item for some in found.values() for item in some[:QUESTIONS]]
    assert len(rows) == PICTURES * QUESTIONS
    return rows


@pytest.fixture(scope="module", params=FOLDERS)
def served(request: pytest.FixtureRequest, drawn: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """One folder after the other, each behind a vLLM of its own."""
    place = tmp_path_factory.mktemp("engine")
    folder = FOLDERS[request.param](place / "model", drawn)
    with vllm(VLLM, folder, place / "vllm.log") as server:
        yield server


@pytest.fixture(scope="module")
def ours(served: Served) -> HfBackend:
    return open_hf(str(served.folder), Access(device="cpu", dtype="float32"))


# --- what they were asked, and what they answered


def raw(served: Served, item: Asked) -> tuple[list[int], list[int]]:
    """Tokens of a question and of its answer, by vLLM's own account."""
    picture = data_uri(read_bytes(item.prompt.image), str(item.prompt.image))
    content = [{"type": "image_url", "image_url": {"url": picture}}, {"type": "text", "text": item.prompt.text}]
    body = {
        "model": served.name,
        "messages": [{"role": "user", "content": content}],
        "temperature": 0,
        "max_tokens": LIMIT,
        "return_token_ids": True,
    }
    request = urllib.request.Request(
        f"{served.url}/chat/completions", json.dumps(body).encode(), {"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(request, timeout=120) as reply:
        said = json.load(reply)
    return said["prompt_token_ids"], said["choices"][0]["token_ids"]


def tokens_of(backend: HfBackend, item: Asked) -> list[int]:
    return backend.reader.encode(load_image(item.prompt.image), [item.prompt.wording]).ids[0]


@torch.inference_mode()
def parted(backend: HfBackend, item: Asked, theirs: list[int]) -> str:
    """Where our greedy answer leaves their tokens, and by how much our model prefers its own there."""
    inputs = backend.reader.batch([[load_image(item.prompt.image)]], [item.prompt.wording])
    length = inputs["input_ids"].shape[1]
    for name, filler in (("input_ids", None), ("attention_mask", 1), ("mm_token_type_ids", 0)):
        if name in inputs:
            more = torch.tensor([theirs if filler is None else [filler] * len(theirs)])
            inputs[name] = torch.cat([inputs[name], more], 1)
    scores = backend.model(**inputs).logits[0, length - 1 : -1]
    for number, (token, row) in enumerate(zip(theirs, scores, strict=True)):
        best = int(row.argmax())
        if best != token:
            gap = float(row[best] - row[token])
            return f"токен {number}: у нас {best}, у vLLM {token}, логит меньше на {gap:.3g} (разброс {float(row.std()):.3g})"
    return "токены vLLM – наши же при тех же словах: дело в кеше, пачке или чтении текста"


def test_vllm_is_asked_the_same(served: Served, ours: HfBackend, items: list[Asked]) -> None:
    """Token for token, the picture's places included: one question about each picture."""
    for item in items[::QUESTIONS]:
        theirs, _ = raw(served, item)
        mine = tokens_of(ours, item)
        words = [ours.reader.processor.tokenizer.convert_ids_to_tokens(ids)[:6] for ids in (mine, theirs)]
        assert theirs == mine, f"{len(theirs)} токенов у vLLM, {len(mine)} у нас; начала: {words[1]} и {words[0]}"


def test_vllm_answers_the_same(
    served: Served,
    ours: HfBackend,
    items: list[Asked],
    request: pytest.FixtureRequest,
    capsys: pytest.CaptureFixture[str],
) -> None:
    mine = [response.text.strip() for response in ours.answer(items)]
    there = open_openai(f"{served.name}@{served.url}", Access(requests=16))
    responses = list(there.answer(items))
    theirs = [response.text.strip() for response in responses]
    assert not [response.error for response in responses if response.error]
    assert len(set(mine)) > len(mine) // 8, "answers must differ for the comparison to say anything"
    other = [n for n, (a, b) in enumerate(zip(mine, theirs, strict=True)) if a != b]
    lines = [f"{request.node.callspec.id}: равны {len(mine) - len(other)} из {len(mine)}, разных {len(set(mine))}"]
    for n in other[:8]:
        why = parted(ours, items[n], raw(served, items[n])[1])
        lines.append(f"  «{items[n].prompt.text[:60]!r}»: hf «{mine[n]}», vLLM «{theirs[n]}»; {why}")
    with capsys.disabled():
        sys.stdout.write("\n" + "\n".join(lines) + "\n")
    assert len(other) <= (1 - ENOUGH) * len(mine), lines[0]
