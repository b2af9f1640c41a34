"""A run's settings: typed, read from TOML, overridden by --set a.b=c; an unknown key is an error with a suggestion."""

from __future__ import annotations

import difflib
import json
import tomllib
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal, final, get_args, get_origin

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from ruvlm.errors import ConfigError, because
from ruvlm.registry import FAMILIES, lookup

RECIPES = Path(__file__).parent / "recipes"


class Section(BaseModel):
    """Frozen, and strict about its keys."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Recipe(Section):
    """What a recipe says of itself: what it makes, on what machine in how many minutes, and the score to expect there."""

    about: str
    machine: str
    minutes: float | None = None
    expect: str


class ModelSettings(Section):
    """Which family the model is of; a family adds the settings of its size (`models/NAME/settings.py`)."""

    name: str = "nano"


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
    """How long and how fast; a family adds what only it has. `max_minutes` and `epochs` both bound a run; whichever comes first ends it.

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
    lr: float = Field(3e-3, gt=0)
    weight_decay: float = Field(0.0, ge=0)
    warmup_steps: int = Field(50, ge=0)
    clip: float = Field(1.0, gt=0)
    precision: Literal["auto", "fp32", "bf16", "fp16"] = "auto"
    validations: int = Field(5, ge=0)
    patience: int = Field(0, ge=0)
    ema: float = Field(0.0, ge=0, lt=1)
    checkpoint_minutes: float = Field(5.0, gt=0)
    keep_last: int = Field(2, ge=1)
    trackers: tuple[Literal["tensorboard", "trackio"], ...] = ()
    seed: int = 0


class RunConfig(Section):
    """A complete run; each family has one of its own, with its sections in place of these."""

    name: str = Field("run", pattern=r"^[\w.\-]+$")
    results: str = "results"
    device: str = "auto"
    model: ModelSettings = ModelSettings()
    data: DataSettings = DataSettings()
    train: TrainSettings = TrainSettings()

    @property
    def folder(self) -> Path:
        return Path(self.results) / self.name

    @property
    def base_model(self) -> str:
        """What is fine-tuned; empty for a model that is trained from nothing."""
        return ""

    @property
    def adapter_rank(self) -> int:
        """Of the adapter that is trained instead of the weights; 0 for none."""
        return 0


def recipes() -> dict[str, Recipe]:
    """The recipes that come with the package, by name."""
    paths = sorted(RECIPES.glob("*.toml"))
    return {path.stem: Recipe.model_validate(_read(path)["recipe"]) for path in paths}


def load_config(path: Path, overrides: list[str] | None = None) -> RunConfig:
    """Read a TOML file, or a recipe by its name, and apply `key=value` overrides.

    Raises ConfigError naming file, key, value and what fits.
    """
    named = RECIPES / f"{path}.toml"
    values = _read(named if named.is_file() and not path.is_file() else path)
    values.pop("recipe", None)
    moved_from = _path_of(values)
    for override in overrides or []:
        _apply(values, override)
    _move_mixture(values, moved_from)
    return validated(values, str(path))


def _read(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        known = sorted(file.stem for file in RECIPES.glob("*.toml"))
        near = difflib.get_close_matches(path.stem, known, 1)
        hint = f"может быть, рецепт {near[0]}?" if near else f"рецепты по именам: {', '.join(known)}."
        raise ConfigError(f"Файла настроек {path} нет: {hint}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: это не TOML ({error}): исправьте строку.") from error
    except OSError as error:
        raise ConfigError(f"{path} не удалось прочитать ({because(error)}).") from error


def _path_of(values: dict[str, Any]) -> Any:
    data = values.get("data")
    return data.get("path") if isinstance(data, dict) else None


def _move_mixture(values: dict[str, Any], before: Any) -> None:
    """A folder that was named anew is meant wherever a mixture names it, too."""
    now, data = _path_of(values), values.get("data")
    mix = data.get("mix") if isinstance(data, dict) and now != before else None
    for part in mix if isinstance(mix, list) else ():
        if isinstance(part, dict) and part.get("path") == before:
            part["path"] = now


def validated(values: dict[str, Any], where: str) -> RunConfig:
    """Settings from plain values, as the model's family has them. Raises ConfigError."""
    model = values.get("model", {})
    try:
        family = family_named(str(model.get("name", ModelSettings().name) if isinstance(model, dict) else model))
    except ConfigError as error:
        raise ConfigError(f"{where}, model.name: {error}") from error
    own = _own(values, family, where)
    try:
        return family.run.model_validate(own)
    except ValidationError as error:
        raise ConfigError(_sentence(error, where, family.run)) from error


def _own(values: dict[str, Any], family: Family, where: str) -> dict[str, Any]:
    """The values without other families' settings, which earlier run.toml files hold at their defaults.

    Raises ConfigError for one with another value: it would change nothing, and nobody would notice.
    """
    own = {section: dict(keys) if isinstance(keys, dict) else keys for section, keys in values.items()}
    known = _sections(family.run)
    for other in families():
        for section, fields in _sections(other.run).items():
            given = own.get(section)
            if not isinstance(given, dict):
                continue
            for key in [key for key in given if key in fields and key not in known.get(section, {})]:
                if _plain(given[key]) != _plain(fields[key]):
                    raise ConfigError(
                        f"{where}: «{section}.{key}» = {given[key]!r}: у модели {family.name} такой настройки нет (она у "
                        f"{other.name}): уберите её."
                    )
                del given[key]
            if not given and section not in known:
                del own[section]
    return own


def _sections(run: type[RunConfig]) -> dict[str, dict[str, Any]]:
    """The keys of each section of a run's settings, with their defaults."""
    made = run()
    return {name: dict(section) for name, section in made if isinstance(section, Section)}


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value


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


def _sentence(error: ValidationError, where: str, run: type[RunConfig]) -> str:
    problem = error.errors()[0]
    key = ".".join(map(str, problem["loc"]))
    if problem["type"] == "extra_forbidden":
        known = _keys(".".join(map(str, problem["loc"][:-1])), run)
        last = str(problem["loc"][-1])
        near = difflib.get_close_matches(last, known, 1)
        elsewhere = [f"{section}.{last}" for section, keys in _sections(run).items() if last in keys]
        if not near and elsewhere:
            return f"{where}: ключа «{key}» нет. Может быть, вы имели в виду «{elsewhere[0]}»?"
        hint = f"Может быть, вы имели в виду «{near[0]}»?" if near else f"Здесь бывают {', '.join(known)}."
        return f"{where}: ключа «{key}» нет. {hint}"
    return f"{where}: «{key}» = {problem.get('input')!r} не подходит: {_wanted(problem)}."


# what pydantic says of a value, by the kind of its error; «{}» is the bound or the values that it names
WANTED = MappingProxyType(
    {
        "greater_than": "нужно больше {gt}",
        "greater_than_equal": "нужно не меньше {ge}",
        "less_than": "нужно меньше {lt}",
        "less_than_equal": "нужно не больше {le}",
        "literal_error": "нужно одно из: {expected}",
        "string_pattern_mismatch": "нужны буквы, цифры, точки, дефисы и подчёркивания",
        "finite_number": "нужно конечное число",
        "missing": "без него нельзя",
    }
)
# the beginnings of other kinds
KINDS = (
    ("int", "нужно целое число"),
    ("float", "нужно число"),
    ("bool", "нужно true или false"),
    ("string", "нужен текст в кавычках"),
    ("tuple", "нужен список"),
    ("list", "нужен список"),
    ("model", "нужен раздел с ключами"),
    ("dict", "нужен раздел с ключами"),
    ("too", "список не той длины"),
)


def _wanted(problem: Any) -> str:
    """What would have been right, in Russian."""
    if problem["type"] == "float_parsing" and "," in str(problem.get("input")):
        return "нужно число, дробь – через точку"
    words = WANTED.get(problem["type"])
    if words is not None:
        bounds = {name: str(value).replace(" or ", " или ") for name, value in problem.get("ctx", {}).items()}
        return words.format_map(bounds)
    return next((said for start, said in KINDS if problem["type"].startswith(start)), problem["msg"])


def _keys(section: str, run: type[RunConfig]) -> list[str]:
    model: type[BaseModel] = run
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


@final
@dataclass(frozen=True, kw_only=True)
class Family:
    """A family of models: its folder says all of it, and nothing of it is imported before it is needed.

    `run` are its settings; `learner` and `backend` name classes as «module:class»; `model_type` is what its checkpoints
    call themselves, empty for models that transformers opens by itself.
    """

    name: str
    run: type[RunConfig]
    learner: str
    backend: str
    model_type: str = ""


def family_named(name: str) -> Family:
    """Raises ConfigError with a suggestion."""
    family: Family = lookup(FAMILIES, name, "Модель")
    return family


def families() -> list[Family]:
    """All of them."""
    return [family_named(name) for name in FAMILIES]
