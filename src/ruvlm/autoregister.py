"""Our models in transformers' Auto classes, without importing transformers ourselves.

A finder on sys.meta_path waits for transformers' auto modules; when one has been executed, our classes of its sort
are registered with it. So `import ruvlm` stays light and AutoModelForImageTextToText.from_pretrained(folder) works
whichever of the two was imported first.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from types import ModuleType

_AUTO = "transformers.models.auto."


def _register_configs() -> None:
    from transformers import AutoConfig

    from ruvlm.models.nano.config import NanoConfig

    AutoConfig.register(NanoConfig.model_type, NanoConfig, exist_ok=True)


def _register_models() -> None:
    from transformers import AutoModelForImageTextToText

    from ruvlm.models.nano.config import NanoConfig
    from ruvlm.models.nano.pretrained import NanoForConditionalGeneration

    AutoModelForImageTextToText.register(NanoConfig, NanoForConditionalGeneration, exist_ok=True)


_HOOKS: dict[str, Callable[[], None]] = {
    _AUTO + "configuration_auto": _register_configs,
    _AUTO + "modeling_auto": _register_models,
}


class _ThenRegister(Loader):
    """Executes a module with its own loader, then registers."""

    def __init__(self, inner: Loader, hook: Callable[[], None]) -> None:
        self._inner, self._hook = inner, hook

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        return self._inner.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        self._inner.exec_module(module)
        self._hook()


class _Finder(MetaPathFinder):
    """Finds only the modules in _HOOKS, and those by the usual way."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        hook = _HOOKS.get(fullname)
        spec = PathFinder.find_spec(fullname, path, target) if hook else None
        if hook is None or spec is None or spec.loader is None:
            return None
        spec.loader = _ThenRegister(spec.loader, hook)
        return spec


def install() -> None:
    """Register now with what transformers has loaded, and later with the rest. Safe to call twice."""
    if any(isinstance(finder, _Finder) for finder in sys.meta_path):
        return
    sys.meta_path.insert(0, _Finder())
    for name, hook in _HOOKS.items():
        if name in sys.modules:
            hook()
