"""One lazy table: name → where the thing is. A wrong name is an error that suggests the right one."""

from __future__ import annotations

import difflib
import sys
from collections.abc import Mapping
from importlib import import_module
from importlib.metadata import entry_points
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import MappingProxyType, ModuleType
from typing import Any

from ruvlm.errors import ConfigError

# a family of models -> its folder's description
FAMILIES: MappingProxyType[str, str] = MappingProxyType(
    {
        "nano": "ruvlm.models.nano:FAMILY",
        "cnn_lstm": "ruvlm.models.cnn_lstm:FAMILY",
        "vlm": "ruvlm.models.vlm:FAMILY",
    }
)

# «scheme:…» on the command line -> what opens it
BACKENDS: MappingProxyType[str, str] = MappingProxyType(
    {
        "hf": "ruvlm.models.vlm.backend:open_hf",
        "openai": "ruvlm.backends.openai_http:open_openai",
        "file": "ruvlm.backends.replay:open_file",
        "py": "ruvlm.backends.function:open_python",
    }
)
# where other packages announce backends: the entry point's name is the scheme, it opens (rest, Access) -> Backend
PLUGINS = "ruvlm.backends"


def backend_schemes() -> Mapping[str, str]:
    """Those of the house, and what installed packages add."""
    return {entry.name: entry.value for entry in entry_points(group=PLUGINS)} | dict(BACKENDS)


def lookup(table: Mapping[str, str], name: str, what: str) -> Any:
    """Import what a name stands for. Raises ConfigError with a suggestion."""
    if name not in table:
        near = difflib.get_close_matches(name, table, 1)
        hint = f"может быть, вы имели в виду «{near[0]}»?" if near else f"есть {', '.join(table)}."
        raise ConfigError(f"{what} «{name}» не известна: {hint}")
    return imported(table[name])


def imported(address: str) -> Any:
    """What «module:name» names."""
    module, _, attribute = address.partition(":")
    return getattr(import_module(module), attribute)


def imported_by_user(address: str) -> Any:
    """What «module:name» or «file.py:name» names, seen from the folder one is in. Raises ConfigError saying what is missing."""
    place, colon, name = address.rpartition(":")
    if not colon or not place or not name:
        raise ConfigError(f"py:{address}: нужно py:МОДУЛЬ:ИМЯ или py:ФАЙЛ.py:ИМЯ.")
    try:
        module = _from_file(Path(place)) if place.endswith(".py") else _from_here(place)
    except ModuleNotFoundError as error:
        raise ConfigError(
            f"py:{address}: модуля {error.name} нет: проверьте имя или дайте файл, py:ФАЙЛ.py:ИМЯ."
        ) from error
    except Exception as error:
        raise ConfigError(f"py:{address}: {place} не загрузился ({type(error).__name__}: {error}).") from error
    try:
        return getattr(module, name)
    except AttributeError as error:
        raise ConfigError(f"py:{address}: в {place} нет имени {name}.") from error


def _from_here(name: str) -> ModuleType:
    here = str(Path.cwd())
    if here not in sys.path:
        sys.path.insert(0, here)
    return import_module(name)


def _from_file(path: Path) -> ModuleType:
    if not path.is_file():
        raise ConfigError(f"Файла {path} нет: проверьте путь.")
    spec = spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    sys.modules.setdefault(path.stem, module)
    spec.loader.exec_module(module)
    return module
