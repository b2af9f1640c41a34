"""Shared fixtures: a small world, a model trained for seconds on it, the command line in this process."""

from __future__ import annotations

import os
import shutil
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import hypothesis
import pytest
from filelock import FileLock

from ruvlm.cli.main import main
from ruvlm.world.export import build, plans
from tests.support.house import RECIPES, SHARED, Ran, tiny
from tests.support.hub import Server
from tests.support.random_models import idefics3, llava, qwen
from tests.support.serving import hub as hub_served

# a suite started in the background of a shell ignores Ctrl-C, and so would every process it starts
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# how long an example takes hangs on the load; and a dictionary is read with the first
hypothesis.settings.register_profile("house", deadline=None)
hypothesis.settings.load_profile("house")


@pytest.fixture(scope="session")
def shared() -> Path:
    if not SHARED.is_dir():
        pytest.skip("нет ../shared: реальных строк и картинок здесь не проверить")
    return SHARED


def once(factory: pytest.TempPathFactory, name: str, make: Callable[[Path], object]) -> Path:
    """A folder that whichever worker comes first makes, and of which every worker has a copy of its own."""
    own = factory.getbasetemp()
    shared = own.parent if "PYTEST_XDIST_WORKER" in os.environ else own
    with FileLock(shared / f"{name}.lock"):
        if not (shared / name).is_dir():
            make(shared / f"{name}.part")
            (shared / f"{name}.part").rename(shared / name)
    return Path(shutil.copytree(shared / name, factory.mktemp("data") / name))


def draw(folder: Path) -> object:
    return build("mini", folder, seed=3, workers=1, splits=plans("mini", 120, 0.03))


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A mini world of 120 training pictures."""
    return once(tmp_path_factory, "world", draw)


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
    makers = (llava, idefics3, qwen)

    def make(folder: Path) -> None:
        for maker in makers:
            maker(folder / maker.__name__)

    root = once(tmp_path_factory, "models", make)
    return {maker.__name__: root / maker.__name__ for maker in makers}


@pytest.fixture(scope="session")
def little(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A world whose test split is a few pictures: enough questions for a slow model."""
    folder = tmp_path_factory.mktemp("data") / "little"
    build("mini", folder, seed=5, workers=1, splits=plans("mini", 2, 0.01))
    return folder


@pytest.fixture(scope="session")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a `nano` and a `cnn_lstm` run, a dozen steps each."""

    def make(folder: Path) -> None:
        drawn = tmp_path_factory.mktemp("drawn") / "world"
        draw(drawn)
        for name, config in (("nano", "nano_world"), ("cnn_lstm", "cnn_lstm")):
            sets = [part for override in tiny(name, drawn, folder) for part in ("--set", override)]
            assert main(["train", str(RECIPES / f"{config}.toml"), *sets]) == 0

    return once(tmp_path_factory, "runs", make)


@pytest.fixture(scope="module")
def served(world: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    root = tmp_path_factory.mktemp("hub")
    for name, source in (("GQA-ru", "gqa-ru"), ("MMBench-ru", "mmbench-ru")):
        shutil.copytree(world / source, root / "deepvk" / name)
    with hub_served(root) as url:
        yield Server(root, url)
