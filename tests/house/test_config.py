"""Settings: TOML, overrides, suggestions."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path

import pytest

from ruvlm.config import load_config
from ruvlm.errors import ConfigError, ModelError
from ruvlm.models.nano.settings import NanoRun
from ruvlm.training.state import _settings_of
from tests.support.house import RECIPES


@pytest.mark.parametrize("path", sorted(RECIPES.glob("*.toml")), ids=lambda p: p.stem)
def test_every_config_loads(path: Path) -> None:
    assert load_config(path).name == path.stem


def test_override_beats_the_file() -> None:
    config = load_config(RECIPES / "nano_world.toml", ["train.lr=1e-4", "name=other"])
    assert (config.train.lr, config.name) == (1e-4, "other")


@pytest.mark.parametrize(
    ("override", "said"),
    [
        ("train.lrr=1", "«lr»"),
        ("model.layerss=3", "«layers»"),
        ("trian.lr=1", "«train»"),
        ("train.lr=fast", "train.lr"),
        ("train.lr=-1", "train.lr"),
        ("train.lr", "раздел.ключ=значение"),
        ("name=../up", "name"),
        ("name.x=1", "не раздел"),
    ],
)
def test_a_wrong_override_is_one_sentence(override: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        load_config(RECIPES / "nano_world.toml", [override])


@pytest.mark.parametrize(
    ("recipe", "override", "said"),
    [
        (
            "cnn_lstm",
            "model.image_size=224",
            "model.image_size» = 224: у модели cnn_lstm такой настройки нет (она у nano)",
        ),
        ("cnn_lstm", "vlm.lora_rank=8", "она у vlm"),
        ("nano_world", "model.classes=20", "она у cnn_lstm"),
        ("vlm_lora", "train.word_weight=0", "она у nano"),
    ],
)
def test_a_setting_that_a_model_does_not_have_is_no_silence(recipe: str, override: str, said: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load_config(RECIPES / f"{recipe}.toml", [override])
    assert said in str(caught.value)


def test_broken_toml(tmp_path: Path) -> None:
    path = tmp_path / "x.toml"
    path.write_text("name = ", encoding="utf-8")
    with pytest.raises(ConfigError, match="не TOML"):
        load_config(path)


def test_toml_round_trip(tmp_path: Path) -> None:
    from ruvlm.config import to_toml

    config = NanoRun.model_validate({"name": "a", "train": {"max_minutes": 2, "lr": 1e-3}})
    path = tmp_path / "run.toml"
    path.write_text(to_toml(config), encoding="utf-8")
    assert load_config(path) == config


EARLY = """
name = "a"
[model]
name = "nano"
hidden_size = 88
classes = 10
[vlm]
path = ""
parts = ["projector"]
lora_rank = 0
[train]
max_steps = 3
length_grouped = false
"""


def test_settings_of_earlier_runs_hold_other_families_keys_at_their_defaults(tmp_path: Path) -> None:
    path = tmp_path / "run.toml"
    path.write_text(EARLY, encoding="utf-8")
    config = load_config(path)
    assert config == NanoRun.model_validate({"name": "a", "model": {"hidden_size": 88}, "train": {"max_steps": 3}})
    path.write_text(EARLY.replace("lora_rank = 0", "lora_rank = 8"), encoding="utf-8")
    with pytest.raises(ConfigError, match=r"«vlm\.lora_rank» = 8: у модели nano такой настройки нет \(она у vlm\)"):
        load_config(path)
    path.write_text('[model]\nname = "nona"', encoding="utf-8")
    with pytest.raises(ConfigError, match=r"run\.toml, model\.name: Модель «nona»"):
        load_config(path)


def test_a_checkpoint_of_an_earlier_run_is_of_the_same_settings(tmp_path: Path) -> None:
    early = tomllib.loads(EARLY)
    path = tmp_path / "run.toml"
    path.write_text(EARLY, encoding="utf-8")
    assert _settings_of(json.dumps(early), tmp_path) == load_config(path)
    with pytest.raises(ModelError, match="не читаются"):
        _settings_of("{", tmp_path)
