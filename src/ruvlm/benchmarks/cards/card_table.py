"""A table of a card while it is read: keys are asked for by their type, what nobody asked for is a fault."""

from __future__ import annotations

import difflib
import json
from collections.abc import Collection
from typing import Any


class CardTable:
    """A table of a card while it is read: every key is asked for by its type, what nobody asked for is an error."""

    def __init__(self, values: Any, where: str, faults: list[str]) -> None:
        self.where, self.faults = where, faults
        self.values: dict[str, Any] = dict(values) if isinstance(values, dict) else {}
        self._known: list[str] = []
        if not isinstance(values, dict):
            faults.append(f"{where} – не раздел с ключами ({str(values)[:40]})")

    def fault(self, key: str, said: str) -> None:
        self.faults.append(f"{self._full(key)}: {said}")

    def _full(self, key: str) -> str:
        return f"{self.where}.{key}" if self.where else key

    def _get(self, key: str, kinds: tuple[type, ...], default: Any, said: str, needed: bool) -> Any:
        self._known.append(key)
        if key not in self.values:
            if needed:
                self.fault(key, f"ключа нет, а он нужен ({said})")
            return default
        value = self.values[key]
        if not isinstance(value, kinds) or (isinstance(value, bool) and bool not in kinds):
            self.fault(key, f"{json.dumps(value, ensure_ascii=False, default=str)[:60]}, а нужно {said}")
            return default
        return value

    def text(self, key: str, default: str = "", needed: bool = False) -> str:
        return str(self._get(key, (str,), default, "текст", needed))

    def one_of(self, key: str, allowed: Collection[str], default: str, needed: bool = False) -> str:
        value = str(self._get(key, (str,), default, f"одно из {', '.join(allowed)}", needed))
        if key in self.values and isinstance(self.values[key], str) and value not in allowed:
            self.fault(key, f"«{value}», а бывает {', '.join(allowed)}")
        return value

    def flag(self, key: str, default: bool = False) -> bool:
        return bool(self._get(key, (bool,), default, "true или false", False))

    def whole(self, key: str, default: int = 0, needed: bool = False, least: int = 0) -> int:
        value = int(self._get(key, (int,), default, "целое число", needed))
        if key in self.values and isinstance(self.values[key], int) and value < least:
            self.fault(key, f"{value}, а нужно не меньше {least}")
        return value

    def number(self, key: str, needed: bool = False) -> float:
        return float(self._get(key, (int, float), 0.0, "число", needed))

    def texts(self, key: str, needed: bool = False) -> tuple[str, ...]:
        """A list of texts; one text is a list of one."""
        value = self._get(key, (str, list), [], "текст или список текстов", needed)
        values = [value] if isinstance(value, str) else value
        if not all(isinstance(one, str) for one in values):
            self.fault(key, f"{str(value)[:60]}, а нужен список текстов")
            return ()
        return tuple(values)

    def values_of(self, key: str) -> tuple[Any, ...] | None:
        value = self._get(key, (list,), None, "список", False)
        return None if value is None else tuple(value)

    def table(self, key: str) -> CardTable:
        value = self._get(key, (dict,), {}, "раздел", False)
        return CardTable(value, self._full(key), self.faults)

    def tables(self, key: str) -> list[CardTable]:
        value = self._get(key, (list,), [], "список разделов [[…]]", False)
        return [CardTable(one, f"{self._full(key)}[{number}]", self.faults) for number, one in enumerate(value)]

    def any_of(self, key: str) -> Any:
        return self._get(key, (object,), None, "", False)

    def close(self) -> None:
        """Name every key that nobody asked for."""
        for key in self.values:
            if key not in self._known:
                near = difflib.get_close_matches(key, self._known, 1)
                hint = f"может быть, «{near[0]}»?" if near else f"есть {', '.join(self._known)}"
                self.fault(key, f"такого ключа нет: {hint}")
