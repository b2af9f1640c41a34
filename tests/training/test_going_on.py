"""Going on with a run: the printed command, a longer run, a setting that differs; what is not done twice."""

from __future__ import annotations

import json
import os
import shlex
import signal
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from ruvlm.config import load_config, recipes
from ruvlm.files import PARTIAL
from ruvlm.training import history, loop
from ruvlm.training.validation import Validator
from tests.support.house import RECIPES, tiny
from tests.support.runs import nano, trained


def records(folder: Path) -> list[dict]:
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text(encoding="utf-8").splitlines()]


def test_the_command_that_is_printed_goes_on(world: Path, tmp_path: Path) -> None:
    """From the shell, with none of the settings that the run was begun with."""
    results = tmp_path / "мои запуски"
    sets = [part for one in [*tiny("n", world, results), "train.max_steps=60"] for part in ("--set", one)]
    command = [sys.executable, "-m", "ruvlm", "train", "nano_world", *sets]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    metrics = results / "n" / "metrics.jsonl"
    while process.poll() is None and not (metrics.is_file() and '"answers"' in metrics.read_text(encoding="utf-8")):
        pass
    process.send_signal(signal.SIGINT)
    _, said = process.communicate()
    assert process.returncode == 130, said
    printed = said[said.index("Продолжить: ") :].splitlines()[0].removeprefix("Продолжить: ")
    arguments = shlex.split(printed)
    assert arguments[0] == "ruvlm"
    done = subprocess.run(
        [sys.executable, "-m", *arguments, "--json"], capture_output=True, text=True, check=False, cwd=tmp_path
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["steps"] >= 60
    # what was learnt of the data before the first step is not learnt again
    assert "обучаю токенизатор" in said
    assert "обучаю токенизатор" not in done.stderr
    assert "самый частый ответ" not in done.stderr


def test_a_check_that_was_cut_short_is_made_again_at_its_step(
    world: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ctrl-C in the middle of the second check: what is recorded afterwards is what an undisturbed run records."""
    checks: list[int] = []
    check = Validator.check

    def cut(self: Validator, *arguments: object) -> object:
        checks.append(1)
        if len(checks) == 2:
            raise KeyboardInterrupt
        return check(self, *arguments)  # type: ignore[arg-type]

    sets = ("train.max_steps=12", "train.validations=3")
    trained(nano(world, tmp_path, "whole", *sets))
    monkeypatch.setattr(Validator, "check", cut)
    assert trained(nano(world, tmp_path, "cut", *sets))[0].interrupted
    monkeypatch.undo()
    trained(nano(world, tmp_path, "cut", *sets), resume=True)
    made = [
        [(r["step"], r["scores"]) for r in records(tmp_path / name) if r["kind"] == "validation"]
        for name in ("whole", "cut")
    ]
    assert made[0] == made[1]
    assert len(made[0]) == 3


def test_half_a_file_of_a_killed_process_is_no_other_run(world: Path, tmp_path: Path) -> None:
    (tmp_path / "n").mkdir()
    (tmp_path / "n" / "run.toml").write_text("", encoding="utf-8")
    (tmp_path / "n" / f"{'0' * 12}{PARTIAL}").write_bytes(b"{")
    trained(nano(world, tmp_path, "n", "train.max_steps=2"))
    assert not list((tmp_path / "n").glob(f"*{PARTIAL}"))


def test_a_run_that_has_ended_goes_on_longer(world: Path, tmp_path: Path, ruvlm) -> None:  # type: ignore[no-untyped-def]
    trained(nano(world, tmp_path, "n", "train.max_steps=4"))
    before = [record["step"] for record in records(tmp_path / "n")]
    ran = ruvlm("train", tmp_path / "n", "--resume", "--set", "train.max_steps=9", "--json")
    assert ran.code == 0, ran.err
    assert "бюджет вырос" in ran.err
    answers = json.loads(ran.out)["steps"] - max(before)
    assert answers == 5, "the last stage has 9 steps now, 4 of them were taken"
    assert tomllib.loads((tmp_path / "n" / "run.toml").read_text(encoding="utf-8"))["train"]["max_steps"] == 9
    # and once more, from what the folder says now
    assert ruvlm("train", tmp_path / "n", "--resume", "--set", "train.max_steps=10").code == 0


def test_a_run_of_steps_ends_at_the_same_weights_beside_busy_processes(world: Path, tmp_path: Path) -> None:
    """The load makes it later, not other: bit for bit, from the shell, with a thread a core."""
    sets = [part for one in tiny("n", world, tmp_path / "quiet") for part in ("--set", one)]
    busy = [part.replace("/quiet", "/busy") for part in sets]
    command = [sys.executable, "-m", "ruvlm", "train", "nano_world"]
    subprocess.run([*command, *sets], check=True, capture_output=True)
    neighbours = [
        subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(2 * (os.cpu_count() or 1))
    ]
    try:
        subprocess.run([*command, *busy], check=True, capture_output=True)
    finally:
        for neighbour in neighbours:
            neighbour.kill()
            neighbour.wait()
    for name in ("final_model", "best_model"):
        quiet, other = (
            (tmp_path / where / "n" / name / "model.safetensors").read_bytes() for where in ("quiet", "busy")
        )
        assert quiet == other


def test_words_are_learnt_in_one_part_and_answers_in_as_many_as_are_asked_for(world: Path, tmp_path: Path) -> None:
    """Convolutions use all cores by themselves: what a step of words loses does not hang on `train.parts`, its answers' last bits do."""
    losses = []
    for parts in (1, 2):
        trained(nano(world, tmp_path, f"p{parts}", "train.max_steps=8", f"train.parts={parts}"))
        losses.append(
            {(r["stage"], r["step"]): r["loss"] for r in records(tmp_path / f"p{parts}") if r["kind"] == "train"}
        )
    words = {key for key in losses[0] if key[0] == "words"}
    assert len(words) == 6
    assert all(losses[0][key] == losses[1][key] for key in words)
    answers = losses[0].keys() - words
    assert answers
    # each part is a mean over its own words, and a step has four pictures
    assert all(losses[0][key] == pytest.approx(losses[1][key], rel=0.25) for key in answers)


def test_recipes_of_the_quickstart_count_steps_and_say_how_long_they_take(world: Path, tmp_path: Path) -> None:
    for name in ("nano_world", "cnn_lstm"):
        train = load_config(Path(name)).train
        assert train.max_steps is not None
        assert train.max_minutes is None
    _, said = trained(nano(world, tmp_path, "n", "train.max_steps=30"))
    assert any(line.startswith("шагов 30, осталось ") for line in said)


def test_a_run_of_minutes_goes_on_longer(world: Path, tmp_path: Path) -> None:
    first, _ = trained(nano(world, tmp_path, "n", "train.max_steps=100000", "train.max_minutes=0.05"))
    again, said = trained(nano(world, tmp_path, "n", "train.max_steps=100000", "train.max_minutes=0.1"), resume=True)
    assert again.steps > first.steps
    assert again.seconds > first.seconds
    assert any("бюджет вырос" in line for line in said)


@pytest.mark.parametrize(
    ("changed", "named"),
    [
        ("train.lr=0.5", "train.lr было 0.0035, стало 0.5"),
        ("train.max_steps=2", "train.max_steps было 4, стало 2"),
        ("train.max_minutes=1", "train.max_minutes было 5.0, стало 1.0"),
        ("model.hidden_size=32", "model.hidden_size"),
    ],
)
def test_another_setting_is_named_before_any_data_are_read(
    world: Path,
    tmp_path: Path,
    ruvlm,  # type: ignore[no-untyped-def]
    changed: str,
    named: str,
) -> None:
    trained(nano(world, tmp_path, "n", "train.max_steps=4", "train.max_minutes=5", "train.lr=0.0035"))
    ran = ruvlm("train", tmp_path / "n", "--resume", "--set", changed)
    assert ran.code == 2
    assert named in ran.err
    assert "читаю вопросы" not in ran.err
    assert tomllib.loads((tmp_path / "n" / "run.toml").read_text(encoding="utf-8"))["train"]["max_steps"] == 4


def test_a_run_may_be_moved_and_watched_otherwise(world: Path, tmp_path: Path, ruvlm) -> None:  # type: ignore[no-untyped-def]
    trained(nano(world, tmp_path, "n", "train.max_steps=4"))
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "n").rename(tmp_path / "elsewhere" / "n")
    sets = ("--set", "train.max_steps=6", "--set", "train.checkpoint_minutes=1")
    ran = ruvlm("train", tmp_path / "elsewhere" / "n", "--resume", *sets)
    assert ran.code == 0, ran.err
    assert not (tmp_path / "n").exists()


def test_a_short_run_is_not_spent_warming_up(world: Path, tmp_path: Path) -> None:
    trained(nano(world, tmp_path, "n", "train.max_steps=40", "train.warmup_steps=50", "train.word_weight=0"))
    factors = {r["step"]: r["lr"] for r in records(tmp_path / "n") if r["kind"] == "train"}
    # the cosine alone stands at a half there
    assert factors[20] == pytest.approx(0.55, abs=0.05)


def test_validation_is_shown_while_it_goes_on(world: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loop, "SHOW_SECONDS", 0.0)
    ticks: list[history.Tick] = []
    config = nano(world, tmp_path, "n", "train.max_steps=4", "train.validations=1")
    loop.train(config, False, ticks.append, lambda _: None)
    checking = [tick.share for tick in ticks if tick.stage == history.CHECKING]
    assert checking == sorted(checking)
    assert len(checking) > 1
    assert checking[-1] > 0.5
    # not once in twenty steps
    assert len({tick.step for tick in ticks if tick.stage == "answers"}) >= 2


def test_recipes_go_by_their_names(ruvlm, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:  # type: ignore[no-untyped-def]
    names = set(recipes())
    assert names == {path.stem for path in RECIPES.glob("*.toml")}
    monkeypatch.chdir(tmp_path)
    assert all(load_config(Path(name)).name == name for name in names)
    listed = json.loads(ruvlm("recipes", "--json").out)
    assert {row["name"] for row in listed} == names
    assert all(row["machine"] and row["expect"] and row["about"] for row in listed)
    ran = ruvlm("train", "nano_wrld")
    assert (ran.code, "может быть, рецепт nano_world?" in ran.err) == (2, True)


def test_a_folder_named_on_the_command_line_is_the_mixture_s_too() -> None:
    """data.path is what data.mix trains on under the same name: naming it anew moves both."""
    config = load_config(Path("llava_stage2_mix"), ["data.path=elsewhere/gqa"])
    assert config.data.mix[0].path == "elsewhere/gqa"
    assert config.data.mix[1].path != "elsewhere/gqa"
    assert load_config(Path("llava_stage2"), ["data.path=x"]).data.mix == ()


@pytest.mark.parametrize("stopped", [False, True])
def test_a_longer_run_keeps_its_validations_and_goes_on_validating(world: Path, tmp_path: Path, stopped: bool) -> None:
    """Those that were made stay in the history, whether the run had ended or was interrupted near its end."""

    def config(steps: int):  # type: ignore[no-untyped-def]
        more = (f"train.max_steps={steps}", "train.validations=5", "train.word_weight=0")
        return nano(world, tmp_path, "n", *more)

    def stop(tick: history.Tick) -> None:
        if stopped and tick.step >= 34:
            raise KeyboardInterrupt

    loop.train(config(40), False, stop, lambda _: None)
    before = [r["step"] for r in records(tmp_path / "n") if r["kind"] == "validation"]
    loop.train(config(120), True, lambda _: None, lambda _: None)
    after = [r["step"] for r in records(tmp_path / "n") if r["kind"] == "validation"]
    assert after[: len(before)] == before
    assert len([step for step in after if 40 < step < 120]) >= 2, "validations go on between"
    assert after[-1] == 120
    # and what it says next time is whole, too
    loop.train(config(130), True, lambda _: None, lambda _: None)
    last = [r["step"] for r in records(tmp_path / "n") if r["kind"] == "validation"]
    assert last[: len(after)] == after


def test_a_bound_that_has_not_grown_is_named(world: Path, tmp_path: Path) -> None:
    trained(nano(world, tmp_path, "n", "train.max_steps=4", "train.max_minutes=5"))
    again, said = trained(nano(world, tmp_path, "n", "train.max_steps=4", "train.max_minutes=9"), resume=True)
    assert any("кончил другой предел" in line for line in said)
    assert again.steps == max(r["step"] for r in records(tmp_path / "n"))


def test_a_renamed_run_and_a_link_to_it_go_on(
    world: Path, tmp_path: Path, ruvlm, monkeypatch: pytest.MonkeyPatch
) -> None:  # type: ignore[no-untyped-def]
    trained(nano(world, tmp_path, "n", "train.max_steps=4"))
    (tmp_path / "n").rename(tmp_path / "renamed")
    (tmp_path / "latest").symlink_to("renamed")
    assert ruvlm("train", tmp_path / "latest", "--resume", "--set", "train.max_steps=6").code == 0
    monkeypatch.chdir(tmp_path / "renamed")
    assert ruvlm("train", ".", "--resume", "--set", "train.max_steps=7").code == 0
    assert {path.name for path in tmp_path.iterdir()} - {".cache"} == {"latest", "renamed"}


def test_a_folder_of_a_recipe_s_name_hides_no_recipe(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "nano_world").mkdir()
    assert load_config(Path("nano_world")).name == "nano_world"
