"""Fine-tuning a pretrained VLM: what is learnt and what is not, packing, LoRA, merging, kills."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest
import torch
from peft import LoraConfig, PromptTuningConfig, get_peft_model
from safetensors.torch import load_file, save_file

from ruvlm.backends.base import Access
from ruvlm.data.images import load_image
from ruvlm.errors import ModelError
from ruvlm.models.vlm.adapters import refuse_another_base
from ruvlm.models.vlm.load import load_hf
from ruvlm.models.vlm.parts import Lora, merged, part_of, prepared, shares
from ruvlm.models.vlm.prompts import PromptReader
from ruvlm.run_folder import checkpoints
from ruvlm.schema import Wording
from ruvlm.training.loop import train
from tests.support.family_models import built
from tests.support.house import RECIPES, ROOT, Ran, tiny
from tests.support.random_models import llava
from tests.support.runs import overrides, ranked, settings, task

Run = Callable[..., Ran]


def test_only_answers_are_learnt(models: dict[str, Path], world: Path, tmp_path: Path) -> None:
    """The tokens that count, decoded, are the answers and nothing of the questions or the picture."""
    built = task(settings(models, world, tmp_path))
    batch = built.batch(0)
    tokenizer = built.reader.processor.tokenizer
    said = tokenizer.decode(batch.targets_N.tolist()).split("</s>")
    assert said[-1] == ""
    gold = {e.answer for e in built.train_examples} | set("ABCD")
    gold |= {option for e in built.train_examples for option in e.options}
    assert len(said) - 1 == batch.questions == 15
    assert {text.strip() for text in said[:-1]} <= gold
    image = built.model.config.image_token_index
    assert image not in batch.targets_N.tolist()
    assert (batch.ids_BT == image).sum().item() == 3 * 4, "one copy of each picture"


def test_a_packed_question_is_answered_as_if_it_were_alone(
    models: dict[str, Path], world: Path, tmp_path: Path
) -> None:
    built = task(settings(models, world, tmp_path))
    built.model.eval()
    (_, ref), examples = next((key, group) for key, group in built.groups if len(group) >= 6)
    pairs = [(f"{e.question}\nОтветь одним словом.", e.answer) for e in examples[:6]]
    with torch.inference_mode():
        together = built.logits(built._packed([(ref, pairs)]))
        alone = []
        for prompt, answer in pairs:
            inputs = built.reader.batch([[load_image(ref)]], [Wording(prompt)])
            ids = [*built.reader.option(answer, Wording(prompt)), built.eos]
            inputs["input_ids"] = torch.cat([inputs["input_ids"], torch.tensor([ids[:-1]])], 1)
            inputs["attention_mask"] = torch.ones_like(inputs["input_ids"])
            alone.append(built.model(**inputs).logits[0, -len(ids) :])
    assert torch.allclose(together, torch.cat(alone), atol=1e-4)


@pytest.mark.parametrize(
    ("parts", "lora", "learns"),
    [
        (("projector",), 0, {"projector"}),
        (("vision",), 0, {"vision"}),
        (("projector", "language"), 0, {"projector", "language"}),
        (("projector",), 4, {"projector", "language"}),
    ],
)
def test_only_what_is_to_learn_changes(
    models: dict[str, Path], world: Path, tmp_path: Path, parts: tuple[str, ...], lora: int, learns: set[str]
) -> None:
    more = (f"vlm.parts={json.dumps(parts)}", f"vlm.lora_rank={lora}", "vlm.vision_lr=1e-3")
    built = task(settings(models, world, tmp_path, *more))
    before = {name: p.detach().clone() for name, p in built.model.named_parameters()}
    (stage,) = built.stages()
    for step in range(2):  # an adapter's second half starts at zero: the first learns from the second step on
        stage.loss(stage.batch(step, 0, 1), 0.0).total.backward()
        stage.optimizers[0].step()
        built.model.zero_grad()
    changed = {name for name, p in built.model.named_parameters() if not torch.equal(before[name], p)}
    assert {part_of(name) for name in changed} == learns
    if lora:
        assert all("lora_" in name for name in changed if part_of(name) == "language")
        whole, learning = shares(built.model)
        assert learning < 0.5 * whole
    rates = {group["lr"] for group in stage.optimizers[0].param_groups}
    assert len(rates) == len(learns)


def test_a_part_that_is_not_there_is_refused(models: dict[str, Path]) -> None:
    model = load_hf(str(models["llava"]), Access()).model.model.language_model
    with pytest.raises(ModelError, match="нет части «vision»"):
        prepared(model, ("vision",), Lora())


def test_an_adapter_is_saved_loaded_and_merged(
    models: dict[str, Path], world: Path, tmp_path: Path, ruvlm: Run
) -> None:
    config = settings(models, world, tmp_path, "vlm.lora_rank=4", "train.max_steps=20", "vlm.language_lr=0.02")
    done = train(config, False, lambda _: None, lambda _: None)
    adapter = done.folder / "final_model"
    assert (adapter / "adapter_config.json").is_file()
    assert not (adapter / "model.safetensors").exists(), "an adapter, not a copy of the model"
    plain, adapted = (load_hf(spec, Access()) for spec in (str(models["llava"]), f"{models['llava']}+{adapter}"))
    built = task(settings(models, world, tmp_path / "x"))
    inputs = built.reader.batch([[load_image(built.groups[0][0][1])]], [Wording("Кто в рубашке?")])
    with torch.inference_mode():
        gap = (plain.model(**inputs).logits - adapted.model(**inputs).logits).abs().max()
    assert gap > 0.05, "the adapter changes the answers"
    out = tmp_path / "merged"
    merging = ruvlm("model", "merge", f"{models['llava']}+{adapter}", "--out", out)
    assert merging.code == 0, merging.err
    whole = load_hf(str(out), Access())
    with torch.inference_mode():
        assert torch.allclose(whole.model(**inputs).logits, adapted.model(**inputs).logits, atol=1e-4)
    evaluated = ruvlm(
        "eval",
        f"hf:{models['llava']}+{adapter}",
        "--data",
        world,
        "--limit",
        6,
        "--no-controls",
        "--protocol",
        "gqa-ru/lmms",
        "--out",
        tmp_path / "e",
        "--json",
    )
    assert evaluated.code == 0, evaluated.err


@pytest.mark.parametrize("rank", [0, 4], ids=["whole", "LoRA"])
@pytest.mark.parametrize(
    "family", ["qwen2_5_vl", "qwen3_vl", "qwen3_5", "internvl", "gemma3", "gemma4", "idefics3", "llava_next"]
)
def test_what_is_trained_is_what_is_saved(family: str, rank: int, world: Path, tmp_path: Path) -> None:
    """Every parameter that learns is moved; the folder, opened as a stranger's, has the logits of the model in memory."""
    source = built(family, tmp_path)
    parts = '["projector", "language"]' if not rank else '["projector"]'
    more = [f"vlm.lora_rank={rank}", f"vlm.parts={parts}", "data.limit_images=2"]
    built_task = task(settings({"llava": source}, world, tmp_path, *more))
    with torch.no_grad():
        for parameter in built_task.model.parameters():
            if parameter.requires_grad:
                parameter.add_(torch.randn_like(parameter), alpha=0.05)
    folder = tmp_path / "saved"
    folder.mkdir()
    built_task.writer()(folder)
    whole = built_task.model.eval()
    reader = built_task.reader
    inputs = reader.batch([[load_image(built_task.groups[0][0][1])]], [Wording("Кто в рубашке?")])
    again = load_hf(f"{source}+{folder}" if rank else str(folder), Access())
    with torch.inference_mode():
        expected = whole(**inputs).logits
        assert torch.allclose(again.model(**inputs).logits, expected, atol=1e-4)
        assert not torch.allclose(load_hf(str(source), Access()).model(**inputs).logits, expected, atol=1e-2)
    other = PromptReader(again.processor, again.model.config.model_type)
    assert (
        other.batch([[load_image(built_task.groups[0][0][1])]], [Wording("Кто?")])["input_ids"].tolist()
        == reader.batch([[load_image(built_task.groups[0][0][1])]], [Wording("Кто?")])["input_ids"].tolist()
    )


OLDER = {"qwen2_vl": "model.", "qwen2_5_vl": "language_model.model.", "llava": "language_model.model."}


@pytest.mark.parametrize("named", ["words", "whole names", "pattern"])
@pytest.mark.parametrize("family", list(OLDER))
def test_an_adapter_with_the_names_of_an_older_transformers_is_read(family: str, named: str, tmp_path: Path) -> None:
    """Most LoRAs of Qwen2-VL on the hub say «model.layers…» where the class now has «model.language_model.layers…»."""
    source = built(family, tmp_path)
    model = load_hf(str(source), Access()).model
    whole = [name for name, _ in model.named_modules() if name.endswith("q_proj") and "language" in name]
    targets = {"words": ["q_proj", "v_proj"], "whole names": whole, "pattern": r".*language_model.*\.(q_proj|v_proj)"}
    adapted = get_peft_model(model, LoraConfig(r=4, target_modules=targets[named])).eval()
    for name, parameter in adapted.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(parameter, std=0.5)
    adapter = tmp_path / "adapter"
    adapted.save_pretrained(adapter)
    ids = {"input_ids": torch.tensor([[1, 4, 9, 20, 33]])}
    with torch.inference_mode():
        expected = adapted(**ids).logits

    def old(name: str) -> str:
        return name.replace("model.language_model.", OLDER[family], 1)

    weights = load_file(adapter / "adapter_model.safetensors")
    save_file(
        {old(name): value for name, value in weights.items()}, adapter / "adapter_model.safetensors", {"format": "pt"}
    )
    path = adapter / "adapter_config.json"
    config = json.loads(path.read_text(encoding="utf-8"))
    if named == "whole names":
        config["target_modules"] = [old(name) for name in config["target_modules"]]
    path.write_text(json.dumps(config), encoding="utf-8")
    with torch.inference_mode():
        found = load_hf(f"{source}+{adapter}", Access()).model(**ids).logits
    assert torch.allclose(found, expected, atol=1e-4)


def test_an_adapter_of_another_base_is_refused(
    models: dict[str, Path], world: Path, tmp_path: Path, ruvlm: Run
) -> None:
    """Its shapes fit; what it says of its base does not: the weights' fingerprint, the class, the name on the hub."""
    other = llava(tmp_path / "other", seed=5)
    adapter = tmp_path / "adapter"
    adapter.mkdir()
    task(settings(models, world, tmp_path, "vlm.lora_rank=2")).writer()(adapter)
    load_hf(f"{models['llava']}+{adapter}", Access())
    with pytest.raises(ModelError, match="обучен на"):
        load_hf(f"{other}+{adapter}", Access())
    merging = ruvlm("model", "merge", f"{other}+{adapter}", "--out", tmp_path / "merged")
    assert (merging.code, "обучен на" in merging.err, (tmp_path / "merged").exists()) == (2, True, False)
    model = load_hf(str(other), Access()).model
    for unknown in (
        "",
        "org/other@0123abc",
    ):  # a model of the hub has a commit for a fingerprint, which says nothing here
        refuse_another_base(model, "org/other", unknown, str(adapter))
    (adapter / "base.json").unlink()
    load_hf(f"{other}+{adapter}", Access())  # nothing is left that could tell
    path = adapter / "adapter_config.json"
    config = json.loads(path.read_text(encoding="utf-8"))
    path.write_text(
        json.dumps(config | {"auto_mapping": {"base_model_class": "Qwen2VLForConditionalGeneration"}}), encoding="utf-8"
    )
    with pytest.raises(ModelError, match="обучен на"):
        load_hf(f"{other}+{adapter}", Access())


def test_a_run_that_fine_tuned_a_model_is_evaluated_by_its_folder(
    models: dict[str, Path], world: Path, tmp_path: Path, ruvlm: Run
) -> None:
    """Whole weights or an adapter: `eval RUN` finds the base itself."""
    for name, rank in (("whole", 0), ("lora", 4)):
        folder = tmp_path / name / "final_model"
        folder.mkdir(parents=True)
        task(settings(models, world, tmp_path, f"vlm.lora_rank={rank}")).writer()(folder)
        ran = ruvlm(
            "eval", folder.parent, "--data", world, "--limit", 6, "--no-controls", "--protocol", "gqa-ru/lmms", "--json"
        )
        assert ran.code == 0, ran.err
        assert json.loads(ran.out)[0]["n"] == 6


def test_a_damaged_adapter_is_a_sentence(models: dict[str, Path], world: Path, tmp_path: Path, ruvlm: Run) -> None:
    """Weights cut short, and settings that do not name their base: by its own name and by its run's."""
    adapter = tmp_path / "run" / "final_model"
    get_peft_model(
        load_hf(str(models["llava"]), Access()).model, LoraConfig(r=2, target_modules=["q_proj"])
    ).save_pretrained(adapter)
    weights = adapter / "adapter_model.safetensors"
    weights.write_bytes(weights.read_bytes()[:300])
    merging = ruvlm("model", "merge", f"{models['llava']}+{adapter}", "--out", tmp_path / "merged")
    assert (merging.code, "не подошёл" in merging.err, (tmp_path / "merged").exists()) == (2, True, False), merging.err
    (adapter / "adapter_config.json").write_text('{"broken', encoding="utf-8")
    asked = ruvlm("eval", tmp_path / "run", "--data", world)
    assert (asked.code, "на какой модели обучен" in asked.err) == (2, True), asked.err


def test_a_merge_that_changes_answers_is_refused(models: dict[str, Path]) -> None:
    model: Any = prepared(load_hf(str(models["llava"]), Access()).model, (), Lora(4))
    for name, parameter in model.named_parameters():
        if "lora_B" in name:
            parameter.data.normal_()
    real = model.merge_and_unload

    def spoilt() -> Any:
        plain = real()
        plain.lm_head.weight.data[0] = float("nan")
        return plain

    model.merge_and_unload = spoilt
    with pytest.raises(ModelError, match="не записаны"):
        merged(model, {"input_ids": torch.tensor([[1, 5, 6]])})


@pytest.mark.parametrize("width", [48, 64])
def test_an_adapter_of_a_kind_that_does_not_merge_is_refused(models: dict[str, Path], width: int) -> None:
    """The case `adapters`: virtual tokens are no part of any weight, and those of another width do not even run."""
    settings = PromptTuningConfig(
        task_type="CAUSAL_LM", num_virtual_tokens=2, token_dim=width, num_layers=2, num_attention_heads=4
    )
    model = get_peft_model(load_hf(str(models["llava"]), Access()).model, settings)
    with pytest.raises(ModelError, match="не сливается"):
        merged(model, {"input_ids": torch.tensor([[1, 5, 6]])})


@pytest.mark.slow
def test_kills_at_random_moments_change_nothing() -> None:
    """Four SIGKILLs, half of them aimed into a save: two kinds of models end bit for bit as undisturbed ones."""
    command = [sys.executable, "-m", "bench.resume", "--kills", "4", "--seed", "1"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=False)
    assert done.returncode == 0, done.stderr
    figures = json.loads(done.stdout.splitlines()[-1])
    assert (figures["kills"], figures["survived"]) == (4, 4), done.stdout
    assert figures["in_saves"] > 0


def test_a_checkpoint_holds_what_learns(models: dict[str, Path], world: Path, tmp_path: Path) -> None:
    train(
        settings(models, world, tmp_path, "vlm.lora_rank=4", "train.max_steps=2"), False, lambda _: None, lambda _: None
    )
    held = load_file(checkpoints(tmp_path / "v" / "checkpoints")[0] / "state.safetensors")
    assert any(key.startswith("model.") and "lora_" in key for key in held)
    assert not any("vision_tower" in key for key in held), "frozen weights are where they were loaded from"


def test_wrong_settings_are_one_sentence(models: dict[str, Path], world: Path, tmp_path: Path, ruvlm: Run) -> None:
    config = RECIPES / "llava_stage1.toml"
    for override, said in (
        ('vlm.path=""', "vlm.path пуст"),
        ('vlm.path="нет/такой/папки"', "нет"),
        ('vlm.parts=["eyes"]', "vlm.parts"),
    ):
        sets = [part for o in overrides(models, world, tmp_path / "r", override) for part in ("--set", o)]
        done = ruvlm("train", config, *sets)
        assert (done.code, said in done.err, "Traceback" in done.err) == (2, True, False), done.err


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["vlm", "nano", "words"])
def test_two_processes_take_the_steps_of_one(models: dict[str, Path], world: Path, tmp_path: Path, kind: str) -> None:
    """Same global batch, same data seen: losses within 1e-5, weights within rounding.

    One process learns words in one part, two in two: there Muon makes what rounding is left in directions of no gradient larger.
    """
    if kind == "vlm":
        config = RECIPES / "llava_stage1.toml"
        base = overrides(models, world, tmp_path, "train.images_per_step=4", "vlm.lora_rank=4", "train.max_steps=8")
    else:
        config = RECIPES / "nano_world.toml"
        base = [*tiny("v", world, tmp_path), "train.max_steps=8", "train.validations=0", "train.parts=2"]
        base += ["train.word_weight=0"] if kind == "nano" else []

    def sets(name: str, *more: str) -> list[str]:
        return [part for o in [*base, f'name="{name}"', *more] for part in ("--set", o)]

    one = subprocess.run(
        [sys.executable, "-m", "ruvlm", "train", str(config), *sets("one")], capture_output=True, text=True
    )
    assert one.returncode == 0, one.stderr
    two = ranked(2, "train", str(config), *sets("two", "train.parts=1"))
    assert two.returncode == 0, two.stderr
    losses = []
    for name in ("one", "two"):
        records = [json.loads(line) for line in (tmp_path / name / "metrics.jsonl").read_text().splitlines()]
        losses.append([r["loss"] for r in records if r["kind"] == "train"])
    assert len(losses[0]) == len(losses[1]) > 0
    near = {"rel": 1e-3} if kind == "words" else {"abs": 2e-5}
    assert losses[0] == pytest.approx(losses[1], **near), "metrics keep six digits"
    assert losses[0][0] == pytest.approx(losses[1][0], abs=2e-5)
    file = "adapter_model.safetensors" if kind == "vlm" else "model.safetensors"
    a, b = (load_file(tmp_path / name / "final_model" / file) for name in ("one", "two"))
    assert all(torch.allclose(a[key], b[key], atol=2e-2 if kind == "words" else 1e-4) for key in a)
    assert two.stderr.count("Готово:") == 1, "one process speaks"


def test_pictures_of_the_check_among_the_training_ones_are_refused(
    models: dict[str, Path], world: Path, tmp_path: Path, ruvlm: Run
) -> None:
    config = RECIPES / "nano_world.toml"
    base = [*tiny("leak", world, tmp_path), 'data.val_split="train"', "train.max_steps=2", "train.validations=0"]
    sets = [part for o in base for part in ("--set", o)]
    done = ruvlm("train", config, *sets)
    assert (done.code, "есть и в обучении: " in done.err, "allow_leaks" in done.err) == (2, True, True), done.err
    done = ruvlm("train", config, *sets, "--set", 'name="allowed"', "--set", "data.allow_leaks=true")
    assert done.code == 0, done.err


def test_a_loss_that_is_no_number_keeps_its_batch(
    models: dict[str, Path], world: Path, tmp_path: Path, ruvlm: Run
) -> None:
    sets = [
        part
        for o in overrides(models, world, tmp_path, "vlm.projector_lr=1e30", "train.clip=1e30")
        for part in ("--set", o)
    ]
    done = ruvlm("train", RECIPES / "llava_stage1.toml", *sets)
    assert (done.code, "не число" in done.err) == (2, True), done.err
    (kept,) = (tmp_path / "v").glob("bad_batch_step*.safetensors")
    assert {"ids_BT", "targets_N", "vision.pixel_values"} <= set(load_file(kept))


@pytest.mark.slow
def test_two_processes_killed_and_resumed_end_the_same(models: dict[str, Path], world: Path, tmp_path: Path) -> None:
    """DDP, 2 gloo ranks, SIGKILL of all of them in the middle, LoRA with dropout: bit for bit."""
    import socket

    more = (
        "train.max_steps=40",
        "vlm.lora_rank=4",
        "vlm.lora_dropout=0.1",
        "train.checkpoint_minutes=0.0001",
        "train.images_per_step=4",
    )
    config = str(RECIPES / "llava_stage1.toml")

    def arguments(name: str) -> list[str]:
        return [part for o in overrides(models, world, tmp_path, *more, f'name="{name}"') for part in ("--set", o)]

    whole = ranked(2, "train", config, *arguments("whole"))
    assert whole.returncode == 0, whole.stderr
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = str(probe.getsockname()[1])
    process = subprocess.Popen(
        [
            sys.executable,
            "-m",
            "torch.distributed.run",
            "--nproc_per_node",
            "2",
            "--master_port",
            port,
            "-m",
            "ruvlm",
            "train",
            config,
            *arguments("cut"),
        ],
        stderr=subprocess.DEVNULL,
    )
    while process.poll() is None and len(checkpoints(tmp_path / "cut" / "checkpoints")) < 2:
        time.sleep(0.01)
    for one in [*psutil.Process(process.pid).children(recursive=True), psutil.Process(process.pid)]:
        one.kill()  # torchrun's workers have sessions of their own
    process.wait()
    assert not (tmp_path / "cut" / "final_model").exists(), "killed before the end"
    time.sleep(1)
    resumed = ranked(2, "train", config, *arguments("cut"), "--resume")
    assert resumed.returncode == 0, resumed.stderr
    a, b = (load_file(checkpoints(tmp_path / n / "checkpoints")[0] / "state.safetensors") for n in ("whole", "cut"))
    assert a.keys() == b.keys()
    assert all(torch.equal(a[key], b[key]) for key in a)
    losses = [
        [(r["step"], r["loss"]) for r in map(json.loads, (tmp_path / n / "metrics.jsonl").read_text().splitlines())]
        for n in ("whole", "cut")
    ]
    assert losses[0] == losses[1]
