"""A run's settings: typed, read from TOML, overridden by --set a.b=c; an unknown key is an error with a suggestion."""

from __future__ import annotations

import difflib
import json
import tomllib
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal, get_args, get_origin

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from ruvlm.errors import ConfigError, because


class Section(BaseModel):
    """Frozen, and strict about its keys."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class ModelSettings(Section):
    """Which model, and its size. What a model does not have may not be set for it (`OWN`)."""

    name: str = "nano"
    image_size: int = Field(64, ge=16, le=1024)
    hidden_size: int = Field(96, ge=16)
    layers: int = Field(5, ge=5)
    heads: int = Field(4, ge=1)
    mlp_ratio: int = Field(2, ge=1)
    stem_widths: tuple[int, int] = (32, 64)
    stem_blocks: int = Field(1, ge=0)
    vocab_size: int = Field(512, ge=256)
    max_text_positions: int = Field(96, ge=16)
    classes: int = Field(10, ge=2)


class MixSettings(Section):
    """One set of a mixture: a folder as `data.path`, or with `images` a file of LLaVA-style conversations.

    In an epoch the set gives `weight` times its pictures. `limit` is of questions, of conversations where they are that.
    """

    path: str
    split: str = "train"
    weight: float = Field(1.0, gt=0, le=100)
    limit: int | None = Field(None, ge=1)
    images: str | None = None


class DataSettings(Section):
    """What to train on: a folder with gqa-ru/ and mmbench-ru/ in the hub's layout; with `mix`, several sets instead.

    Validation is on `path` all the same; pictures of it among the training ones are refused unless `allow_leaks`.
    """

    path: str = "data/world-mini"
    mix: tuple[MixSettings, ...] = ()
    train_split: str = "train"
    val_split: str = "val"
    limit_images: int | None = Field(None, ge=1)
    allow_leaks: bool = False


class TrainSettings(Section):
    """How long and how fast. `max_minutes` and `epochs` both bound a run; whichever comes first ends it.

    `parts` is how many parts of a step run side by side on a CPU, 0 for one a core; `accumulate` how many follow one
    another, each with its share of `images_per_step`; `workers` threads make the batches of the steps to come. `ema` is
    the decay of the averaged weights, 0 for none. After `patience` validations without a better score a run ends (0: never).
    `sharding` spreads the weights over torchrun's processes. `trackers` watch beside metrics.jsonl.
    """

    max_minutes: float | None = Field(None, gt=0)
    epochs: float = Field(10, gt=0)
    max_steps: int | None = Field(None, ge=1)
    images_per_step: int = Field(16, ge=1)
    parts: int = Field(0, ge=0)
    accumulate: int = Field(1, ge=1)
    workers: int = Field(0, ge=0, le=64)
    sharding: Literal["none", "fsdp2"] = "none"
    compile: bool = False
    questions_per_image: int = Field(16, ge=1)
    choices_per_image: int = Field(2, ge=0)
    lr: float = Field(3e-3, gt=0)
    matrix_lr: float = Field(0.02, gt=0)
    weight_decay: float = Field(0.0, ge=0)
    warmup_steps: int = Field(50, ge=0)
    clip: float = Field(1.0, gt=0)
    precision: Literal["auto", "fp32", "bf16", "fp16"] = "auto"
    word_weight: float = Field(1.0, ge=0)
    mention_weight: float = Field(0.3, ge=0)
    point_weight: float = Field(0.3, ge=0)
    describe_weight: float = Field(0.5, ge=0)
    choice_weight: float = Field(0.3, ge=0)
    decisive_weight: float = Field(0.3, ge=0)
    validations: int = Field(5, ge=0)
    patience: int = Field(0, ge=0)
    ema: float = Field(0.0, ge=0, lt=1)
    checkpoint_minutes: float = Field(5.0, gt=0)
    keep_last: int = Field(2, ge=1)
    length_grouped: bool = False
    trackers: tuple[Literal["tensorboard", "trackio"], ...] = ()
    seed: int = 0


class VlmSettings(Section):
    """For model.name = "vlm": which pretrained model, which of its parts learn, and how fast.

    `lora_rank` above 0 trains an adapter of the language model instead of its weights. `row_tokens` bounds a row: questions
    that do not fit wait for another step.
    """

    path: str = ""
    dtype: Literal["auto", "float32", "bfloat16", "float16", "4bit"] = "auto"
    parts: tuple[Literal["vision", "projector", "language"], ...] = ("projector",)
    lora_rank: int = Field(0, ge=0, le=1024)
    lora_alpha: float = Field(32.0, gt=0)
    lora_dropout: float = Field(0.0, ge=0, lt=1)
    vision_lr: float = Field(2e-6, gt=0)
    projector_lr: float = Field(1e-3, gt=0)
    language_lr: float = Field(2e-4, gt=0)
    checkpointing: bool = False
    row_tokens: int = Field(2048, ge=64)


# settings that one model has and the others do not
OWN: MappingProxyType[str, dict[str, tuple[str, ...]]] = MappingProxyType({
    "nano": {
        "model": ("image_size", "hidden_size", "layers", "heads", "mlp_ratio", "stem_widths", "stem_blocks", "vocab_size",
                  "max_text_positions"),
        "train": ("choices_per_image", "matrix_lr", "word_weight", "mention_weight", "point_weight", "describe_weight",
                  "choice_weight", "decisive_weight"),
    },
    "cnn_lstm": {"model": ("classes",)},
    "vlm": {"vlm": tuple(VlmSettings.model_fields), "train": ("length_grouped",)},
})  # fmt: skip


class RunConfig(Section):
    """A complete run."""

    name: str = Field("run", pattern=r"^[\w.\-]+$")
    results: str = "results"
    device: str = "auto"
    model: ModelSettings = ModelSettings()
    vlm: VlmSettings = VlmSettings()
    data: DataSettings = DataSettings()
    train: TrainSettings = TrainSettings()

    @property
    def folder(self) -> Path:
        return Path(self.results) / self.name


def load_config(path: Path, overrides: list[str] | None = None) -> RunConfig:
    """Read a TOML file and apply `key=value` overrides. Raises ConfigError naming file, key, value and what fits."""
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        near = ", ".join(sorted(str(p) for p in Path("configs").glob("*.toml")))
        raise ConfigError(f"Файла настроек {path} нет.{f' Есть: {near}.' if near else ''}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: это не TOML ({error}): исправьте строку.") from error
    except OSError as error:
        raise ConfigError(f"{path} не удалось прочитать ({because(error)}).") from error
    for override in overrides or []:
        _apply(values, override)
    return validated(values, str(path))


def validated(values: dict[str, Any], where: str) -> RunConfig:
    """Settings from plain values. Raises ConfigError."""
    try:
        config = RunConfig.model_validate(values)
    except ValidationError as error:
        raise ConfigError(_sentence(error, where)) from error
    _refuse_ignored(config, where)
    return config


def _refuse_ignored(config: RunConfig, where: str) -> None:
    """Raise ConfigError for a setting that the model does not have: it would change nothing, and nobody would notice."""
    name, unset = config.model.name, RunConfig()
    for owner, sections in OWN.items():
        for section, keys in sections.items():
            chosen, default = getattr(config, section), getattr(unset, section)
            ignored = [key for key in keys if getattr(chosen, key) != getattr(default, key)]
            if ignored and owner != name and name in OWN:
                raise ConfigError(
                    f"{where}: «{section}.{ignored[0]}» = {getattr(chosen, ignored[0])!r}: у модели {name} такой настройки нет (она у "
                    f"{owner}): уберите её."
                )


def _apply(values: dict[str, Any], override: str) -> None:
    key, sign, text = override.partition("=")
    if not sign or not key:
        raise ConfigError(f"--set {override}: нужно вида раздел.ключ=значение, например train.lr=1e-3.")
    *path, last = key.split(".")
    target = values
    for part in path:
        target = target.setdefault(part, {})
        if not isinstance(target, dict):
            raise ConfigError(f"--set {override}: «{part}» не раздел.")
    try:
        target[last] = tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        target[last] = text


def _sentence(error: ValidationError, where: str) -> str:
    problem = error.errors()[0]
    key = ".".join(map(str, problem["loc"]))
    if problem["type"] == "extra_forbidden":
        known = _keys(".".join(map(str, problem["loc"][:-1])))
        near = difflib.get_close_matches(str(problem["loc"][-1]), known, 1)
        hint = f"может быть, вы имели в виду «{near[0]}»?" if near else f"есть: {', '.join(known)}."
        return f"{where}: ключа «{key}» нет: {hint}"
    return f"{where}: «{key}» = {problem.get('input')!r}: не подходит ({problem['msg']})."


def _keys(section: str) -> list[str]:
    model: type[BaseModel] = RunConfig
    for part in filter(None, section.split(".")):
        if part.isdigit():  # one of a list's
            continue
        annotation = model.model_fields[part].annotation
        if get_origin(annotation) is tuple:
            annotation = get_args(annotation)[0]
        assert isinstance(annotation, type)
        assert issubclass(annotation, BaseModel)
        model = annotation
    return list(model.model_fields)


def to_toml(config: RunConfig) -> str:
    """Settings as TOML that load_config reads back."""
    values = config.model_dump(exclude_none=True)
    lines = _fields(values)
    for section, fields in values.items():
        if isinstance(fields, dict):
            lines += ["", f"[{section}]", *_fields(fields)]
            for name, several in fields.items():
                if _tables(several):
                    lines += [line for one in several for line in ("", f"[[{section}.{name}]]", *_fields(one))]
    return "\n".join(lines) + "\n"


def _fields(values: dict[str, Any]) -> list[str]:
    plain = {key: value for key, value in values.items() if not isinstance(value, dict) and not _tables(value)}
    return [f"{key} = {json.dumps(value, ensure_ascii=False)}" for key, value in plain.items()]


def _tables(value: Any) -> bool:
    return isinstance(value, list | tuple) and bool(value) and isinstance(value[0], dict)
