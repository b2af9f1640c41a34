"""Options of training: what each changes, and that it changes nothing else."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch import nn

from ruvlm.config import load_config
from ruvlm.errors import ConfigError, ModelError, RuvlmError
from ruvlm.files import recover, whole_folder
from ruvlm.run_folder import checkpoints
from ruvlm.training.checks import memory_line, needed_memory, out_of_memory, time_line
from ruvlm.training.ema import Ema
from ruvlm.training.mixture import Epochs
from ruvlm.training.optim import Muon
from tests.support.house import RECIPES, tiny
from tests.support.runs import nano, settings, trained


def weights(results: Path, name: str, folder: str = "final_model") -> dict[str, torch.Tensor]:
    (file,) = (results / name / folder).glob("*.safetensors")
    return load_file(file)


def records(results: Path, name: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (results / name / "metrics.jsonl").read_text().splitlines()]


def test_an_epoch_shows_every_picture_once() -> None:
    sets = np.zeros(23, dtype=int)
    for lengths in (None, np.random.default_rng(0).random(23)):
        epochs = Epochs(sets, (1.0,), lengths)
        seen = [n for step in range(23) for n in epochs.pictures(7, step, 5).tolist()]
        assert len(seen) == 5 * 23
        assert set(Counter(seen).values()) == {5}, "23 steps of 5 are five whole epochs of 23"
        whole = np.concatenate([epochs.pictures(7, 3, 6, part, 3) for part in range(3)])
        assert sorted(whole) == sorted(epochs.pictures(7, 3, 6)), "parts are the step, each picture in one"


def test_fewer_pictures_than_parts_are_told_of() -> None:
    with pytest.raises(ConfigError, match=r"Картинок для обучения 2.*\(4\)"):
        Epochs(np.zeros(2, dtype=int), (1.0,)).pictures(0, 0, 16, 0, 4)


def test_steps_by_length_hold_like_lengths_and_lose_nothing() -> None:
    lengths = np.random.default_rng(1).integers(1, 1000, 400).astype(float)
    plain, grouped = (Epochs(np.zeros(400, dtype=int), (1.0,), some) for some in (None, lengths))
    spread = {
        name: np.mean([np.ptp(lengths[e.pictures(0, step, 8)]) for step in range(50)])
        for name, e in (("plain", plain), ("grouped", grouped))
    }
    assert spread["grouped"] < 0.1 * spread["plain"], spread
    seen = sorted(n for step in range(50) for n in grouped.pictures(0, step, 8).tolist())
    assert seen == list(range(400))
    first = [lengths[grouped.pictures(0, step, 8)].mean() for step in range(50)]
    assert first != sorted(first, reverse=True), "steps themselves come in any order"


def test_accumulated_steps_are_the_steps_of_one(models: dict[str, Path], world: Path, tmp_path: Path) -> None:
    for name, accumulate in (("one", 1), ("four", 4)):
        more = (f'name="{name}"', "train.images_per_step=4", f"train.accumulate={accumulate}", "vlm.lora_rank=4")
        trained(settings(models, world, tmp_path, *more))
    a, b = weights(tmp_path, "one"), weights(tmp_path, "four")
    assert all(torch.allclose(a[key], b[key], atol=1e-5) for key in a)
    with pytest.raises(ConfigError, match="accumulate"):
        trained(load_config(RECIPES / "cnn_lstm.toml", [*tiny("c", world, tmp_path), "train.accumulate=2"]))
    with pytest.raises(ConfigError, match="images_per_step"):
        trained(nano(world, tmp_path, "few", "train.images_per_step=2", "train.accumulate=3"))


def test_batches_made_ahead_change_nothing(models: dict[str, Path], world: Path, tmp_path: Path) -> None:
    """0 and 2 workers, across the end of an epoch (12 pictures, 3 a step), bit for bit."""
    for workers in (0, 2):
        trained(
            settings(models, world, tmp_path, f'name="w{workers}"', f"train.workers={workers}", "train.max_steps=9")
        )
    a, b = weights(tmp_path, "w0"), weights(tmp_path, "w2")
    assert all(torch.equal(a[key], b[key]) for key in a)


def test_averaged_weights_are_what_is_saved(world: Path, tmp_path: Path) -> None:
    trained(nano(world, tmp_path, "plain"))
    trained(nano(world, tmp_path, "ema", "train.ema=0.9"))
    plain, averaged = weights(tmp_path, "plain"), weights(tmp_path, "ema")
    assert any(not torch.equal(plain[key], averaged[key]) for key in plain)
    last = load_file(checkpoints(tmp_path / "ema" / "checkpoints")[0] / "state.safetensors")
    assert all(torch.equal(last[f"model.{key}"], plain[key]) for key in plain), "learning itself is not changed"
    assert all(torch.equal(last[f"extra.{key}"], averaged[key]) for key in averaged)


def test_the_average_is_the_formulas() -> None:
    model = nn.Linear(1, 1, bias=False)
    ema = Ema(model, 0.9)
    start = model.weight.item()
    expected, value = start, start
    for step in range(30):
        value += 1.0
        model.weight.data.fill_(value)
        ema.update(step)
        decay = min(0.9, (1 + step) / (10 + step))
        expected = decay * expected + (1 - decay) * value
    with ema.used():
        assert model.weight.item() == pytest.approx(expected, rel=1e-5)
    assert model.weight.item() == pytest.approx(value)


def test_a_run_that_gets_no_better_ends(world: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scores = iter([10.0, 30.0, 30.0, 29.0, 99.0])

    def check(self: Any, task: Any, progress: Any = None) -> Any:
        from ruvlm.training.validation import Check

        return Check({"gqa-ru": next(scores)}, None)

    monkeypatch.setattr("ruvlm.training.validation.Validator.check", check)
    config = nano(world, tmp_path, "stale", "train.patience=2", "train.validations=10", "train.max_steps=100")
    done, _ = trained(config)
    assert (done.early, done.best) == (True, 99.0), "the last validation, at the end, counts too"
    assert done.steps < 75 + 100, "steps of words, and of answers"
    assert [r["scores"]["gqa-ru"] for r in records(tmp_path, "stale") if r["kind"] == "validation"] == [
        10,
        30,
        30,
        29,
        99,
    ]


def test_the_last_checkpoints_are_kept_and_a_damaged_one_gives_way(world: Path, tmp_path: Path) -> None:
    more = ("train.checkpoint_minutes=1e-9", "train.keep_last=3")
    trained(nano(world, tmp_path, "whole", *more))
    root = tmp_path / "whole" / "checkpoints"
    assert len(checkpoints(root)) == 3
    expected = weights(tmp_path, "whole")
    newest = checkpoints(root)[0] / "state.safetensors"
    newest.write_bytes(newest.read_bytes()[:-9])
    done, said = trained(nano(world, tmp_path, "whole", *more), resume=True)
    assert not done.interrupted
    assert sum("Продолжаю с предыдущей" in line for line in said) == 1
    assert all(torch.equal(expected[key], value) for key, value in weights(tmp_path, "whole").items())


def test_a_finished_run_resumed_stays_as_it_is(world: Path, tmp_path: Path) -> None:
    config = nano(world, tmp_path, "n", "train.validations=2")
    trained(config)
    before = (tmp_path / "n" / "metrics.jsonl").read_bytes(), weights(tmp_path, "n")
    trained(config, resume=True)
    assert (tmp_path / "n" / "metrics.jsonl").read_bytes() == before[0]
    assert all(torch.equal(before[1][key], value) for key, value in weights(tmp_path, "n").items())


def test_a_folder_whose_swap_was_cut_short_comes_back(tmp_path: Path) -> None:
    target = tmp_path / "best_model"
    with whole_folder(target, over=True) as folder:
        (folder / "a").write_text("1")
    target.rename(tmp_path / ".best_model.old")  # a kill between the two renamings
    (tmp_path / ".best_model-abcd1234").mkdir()
    recover(target)
    assert (target / "a").read_text() == "1"
    assert [p.name for p in tmp_path.iterdir()] == ["best_model"]


def test_sigterm_saves_like_ctrl_c(world: Path, tmp_path: Path) -> None:
    sets = [
        part
        for o in [*tiny("n", world, tmp_path), "train.max_steps=4000", "train.validations=0"]
        for part in ("--set", o)
    ]
    command = [sys.executable, "-m", "ruvlm", "train", str(RECIPES / "nano_world.toml"), *sets]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    metrics = tmp_path / "n" / "metrics.jsonl"
    deadline = time.monotonic() + 120
    while not (metrics.is_file() and metrics.read_text(encoding="utf-8").count("\n") > 2):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    process.send_signal(signal.SIGTERM)
    _, said = process.communicate(timeout=60)
    assert (process.returncode, "--resume" in said) == (130, True), said
    assert checkpoints(tmp_path / "n" / "checkpoints")


@pytest.mark.parametrize("precision", ["bf16", "fp16"])
def test_half_precision_learns(world: Path, tmp_path: Path, precision: str) -> None:
    """fp16 with its loss scaled; the weights stay fp32."""
    trained(
        nano(world, tmp_path, precision, f'train.precision="{precision}"', "train.max_steps=45", "model.hidden_size=48")
    )
    losses = [r["answers"] for r in records(tmp_path, precision) if r.get("stage") == "answers"]
    assert losses[-1] < losses[0]
    assert {value.dtype for value in weights(tmp_path, precision).values()} == {torch.float32}
    state = json.loads((checkpoints(tmp_path / precision / "checkpoints")[0] / "state.json").read_text())
    assert bool(state["scalars"]["scaler"]) == (precision == "fp16")


def test_trackers_hold_the_figures_and_the_pictures(
    world: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TRACKIO_DIR", str(tmp_path / "trackio"))
    more = ('train.trackers=["tensorboard", "trackio"]', "train.validations=1")
    code = (
        "from ruvlm.config import load_config; from ruvlm.training.loop import train\n"
        f"train(load_config(__import__('pathlib').Path({str(RECIPES / 'nano_world.toml')!r}), "
        f"{[*tiny('n', world, tmp_path), 'train.max_steps=30', *more]!r}), False, lambda _: None, lambda _: None)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout == "", "trackers do not chatter"
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(tmp_path / "n" / "tensorboard"))
    events.Reload()
    recorded = {r["step"]: r["loss"] for r in records(tmp_path, "n") if r["kind"] == "train"}
    assert {e.step: pytest.approx(e.value, rel=1e-4) for e in events.Scalars("train/loss")} == recorded
    (picture,) = events.Images("val/answers")
    assert picture.width > 300
    import sqlite3

    (database,) = (tmp_path / "trackio").glob("*.db")
    with sqlite3.connect(database) as connection:
        rows = connection.execute("select metrics from metrics").fetchall()
    assert any("train/loss" in str(row) for row in rows)
    assert any("val/answers" in str(row) for row in rows)


def test_answers_are_shown_at_each_validation(world: Path, tmp_path: Path) -> None:
    from PIL import Image

    trained(nano(world, tmp_path, "n", "train.validations=2"))
    sheets = sorted((tmp_path / "n" / "samples").glob("*.png"))
    checks = [r["step"] for r in records(tmp_path, "n") if r["kind"] == "validation"]
    assert [int(p.stem.removeprefix("step_")) for p in sheets] == checks
    assert len(checks) == 2
    with Image.open(sheets[0]) as sheet:
        assert sheet.width > 900
    lines = [[json.loads(x) for x in p.with_suffix(".jsonl").read_text().splitlines()] for p in sheets]
    assert [x["id"] for x in lines[0]] == [x["id"] for x in lines[1]], "the same questions every time"
    assert 8 <= len({x["image"] for x in lines[0]}) <= 16, "eight pictures of each benchmark"
    assert all({"question", "gold", "said", "right"} <= x.keys() for x in lines[0])


def test_costs_are_told_before_and_early(world: Path, tmp_path: Path) -> None:
    _, said = trained(nano(world, tmp_path, "n"))
    assert sum(line.startswith("память: градиентам и оптимизатору") for line in said) == 1
    assert sum(line.startswith("шагов 30, осталось") for line in said) == 1
    model = nn.Linear(1000, 1000, bias=False)
    assert needed_memory(model, [torch.optim.AdamW(model.parameters())], False) == 4_000_000 * 3
    assert needed_memory(model, [Muon(model.parameters())], True) == 4_000_000 * 3
    assert "раньше кончится время: 1 мин, около 60 шагов" in time_line(10_000, 10, 10.0, 1.0)


def test_memory_that_will_not_do_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    model = nn.Linear(1000, 1000)
    optimizer = torch.optim.AdamW(model.parameters())
    monkeypatch.setattr("ruvlm.training.checks.free_memory", lambda device: 1_000_000)
    assert "НЕ ХВАТИТ" in memory_line(model, [optimizer], False, torch.device("cpu"))
    monkeypatch.setattr("ruvlm.training.checks.free_memory", lambda device: 10**9)
    assert "НЕ ХВАТИТ" not in memory_line(model, [optimizer], False, torch.device("cpu"))


def test_out_of_memory_names_the_knobs_in_order(world: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert out_of_memory(RuntimeError("shape mismatch")) is None
    with pytest.raises(RuntimeError, match="allocate") as caught:
        torch.empty(1 << 50)
    told = str(out_of_memory(caught.value))
    assert told.index("accumulate") < told.index("checkpointing") < told.index("4bit")

    def full(*_: Any) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB")

    monkeypatch.setattr("ruvlm.training.step.Stepper.take", full)
    with pytest.raises(RuvlmError, match=r"Не хватило памяти .*20.00 GiB.*accumulate"):
        trained(nano(world, tmp_path, "n"))


def test_a_checkpoint_of_another_model_names_the_weight(world: Path, tmp_path: Path) -> None:
    from ruvlm.training.state import Learning, restore

    model = nn.Linear(3, 3)
    learning = Learning(model, [], {}, torch.amp.GradScaler("cpu", enabled=False))
    good = {"model.weight": torch.zeros(3, 3), "model.bias": torch.ones(3), "rng": torch.get_rng_state()}
    restore(learning, good, {"scaler": {}})
    assert bool((model.bias == 1).all())
    for bad in (
        {k: v for k, v in good.items() if k != "model.bias"},
        good | {"model.strange": torch.zeros(1)},
        good | {"model.bias": torch.ones(4)},
    ):
        with pytest.raises(ModelError, match=r"bias|strange"):
            restore(learning, bad, {"scaler": {}})


def test_two_processes_do_not_train_in_one_folder(world: Path, tmp_path: Path) -> None:
    from ruvlm.errors import OutputError
    from ruvlm.run_folder import RunFolder

    config = nano(world, tmp_path, "n")
    with RunFolder(config.folder).claimed(False), pytest.raises(OutputError, match="другой процесс"):
        trained(config)
    trained(config)
    with RunFolder(config.folder).claimed(True), pytest.raises(OutputError, match="другой процесс"):
        trained(config, resume=True)
