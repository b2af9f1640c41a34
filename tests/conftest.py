"""Shared fixtures: a small world, a model trained for seconds on it, the command line in this process."""

from __future__ import annotations

import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from ruvlm.cli.main import main
from ruvlm.world.export import build, plans
from tests.support.house import ROOT, SHARED, Ran, tiny
from tests.support.random_models import idefics3, llava, qwen

# a suite started in the background of a shell ignores Ctrl-C, and so would every process it starts
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def shared() -> Path:
    if not SHARED.is_dir():
        pytest.skip("нет ../shared: реальных строк и картинок здесь не проверить")
    return SHARED


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A mini world of 120 training pictures."""
    folder = tmp_path_factory.mktemp("data") / "world"
    build("mini", folder, seed=3, workers=1, splits=plans("mini", 120, 0.03))
    return folder


@pytest.fixture
def ruvlm(capfd: pytest.CaptureFixture[str]) -> Callable[..., Ran]:
    """Run the command line in this process."""

    def run(*arguments: object) -> Ran:
        capfd.readouterr()
        code = main([str(argument) for argument in arguments])
        captured = capfd.readouterr()
        return Ran(code, captured.out, captured.err)

    return run


@pytest.fixture(scope="session")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Untrained models of three architectures in the hub's layout."""
    root = tmp_path_factory.mktemp("models")
    return {make.__name__: make(root / make.__name__) for make in (llava, idefics3, qwen)}


@pytest.fixture(scope="session")
def little(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A world whose test split is a few pictures: enough questions for a slow model."""
    folder = tmp_path_factory.mktemp("data") / "little"
    build("mini", folder, seed=5, workers=1, splits=plans("mini", 2, 0.01))
    return folder


@pytest.fixture(scope="session")
def runs(world: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a `nano` and a `cnn_lstm` run, a dozen steps each."""
    results = tmp_path_factory.mktemp("results")
    for name, config in (("nano", "nano_world"), ("cnn_lstm", "cnn_lstm")):
        sets = [part for override in tiny(name, world, results) for part in ("--set", override)]
        assert main(["train", str(ROOT / "configs" / f"{config}.toml"), *sets]) == 0
    return results
