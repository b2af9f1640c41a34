"""xlsx as people fill it: merged cells, formulas, booleans, dates, several sheets, charts."""

from __future__ import annotations

import datetime
import warnings
from pathlib import Path
from typing import Any

from ruvlm.data.answer_tables import NoValue, Table, named
from ruvlm.errors import DataError

# Excel keeps no more signs than this in a cell
CELL_LIMIT = 32_767


def read_spreadsheet(path: Path) -> Table:
    """The rows under the header of the one sheet that holds a table. Raises DataError naming sheet and cell."""
    sheets = {name: (values, formulas) for name, values, formulas in _sheets(path)}
    filled = {
        name: pair for name, pair in sheets.items() if sum(any(v is not None for v in line) for line in pair[0]) > 1
    }
    if not filled:
        raise DataError(f"{path}: таблица пуста, оценивать нечего.")
    name, (values, formulas) = next(iter(filled.items()))
    notes = [f"листов с таблицами {len(filled)}, взят «{name}»"] if len(filled) > 1 else []
    first = next(n for n, line in enumerate(values) if any(value is not None for value in line))
    header = ["" if value is None else str(value).strip() for value in values[first]]
    rows, lines, counts = (
        [],
        [],
        dict.fromkeys(("логических значений прочитано как «да» и «нет»", "дат прочитано как ГГГГ-ММ-ДД"), 0),
    )
    cut = repeated = 0
    for number, line in enumerate(values[first + 1 :], first + 1):
        if not any(value is not None for value in line) and not any(formulas[number]):
            continue
        if [("" if value is None else str(value).strip()) for value in line] == header:
            repeated += 1
            continue
        cells: list[Any] = []
        for place, value in enumerate(line):
            formula = formulas[number][place]
            if value is None and formula:
                cells.append(NoValue(f"{_letters(place)}{number + 1}", formula))
                continue
            text, kind = _cell(value)
            counts = {name: count + (name == kind) for name, count in counts.items()}
            cut += len(text) >= CELL_LIMIT
            cells.append(text)
        rows.append(named(path, header, cells))
        lines.append(number + 1)
    if not rows:
        raise DataError(f"{path}: таблица пуста, оценивать нечего.")
    notes += [f"{kind}: {count}" for kind, count in counts.items() if count]
    notes += [f"повторённых строк заголовка пропущено: {repeated}"] if repeated else []
    notes += (
        [f"ячеек в {CELL_LIMIT} знаков: {cut}: ответ обрезан файлом xlsx, а не моделью; сохраните ответы в JSONL"]
        if cut
        else []
    )
    merged = _merged(path, name)
    notes += [f"объединённых ячеек: {merged}, значение отнесено ко всем их строкам"] if merged else []
    return Table(rows, lines, tuple(notes))


def _sheets(path: Path) -> list[tuple[str, list[list[Any]], list[list[str]]]]:
    """(name, values, formulas) of every sheet with cells; merged cells hold their value in each of their places."""
    sheets = []
    pairs = list(zip(_book(path, True).worksheets, _book(path, False).worksheets, strict=True))
    shown = [pair for pair in pairs if pair[0].sheet_state == "visible"] or pairs
    for values, formulas in shown:
        grid = [[_shown(cell) for cell in line] for line in values.iter_rows()]
        texts = [[str(cell.value) if cell.data_type == "f" else "" for cell in line] for line in formulas.iter_rows()]
        width = max(map(len, grid), default=0)
        for merged in values.merged_cells.ranges:
            low_column, low_row, high_column, high_row = merged.bounds
            for row in range(low_row - 1, min(high_row, len(grid))):
                if low_column == high_column <= width:  # across columns it would be another field's value
                    grid[row][low_column - 1] = grid[low_row - 1][low_column - 1]
        sheets.append((values.title, grid, texts))
    return sheets


def _shown(cell: Any) -> Any:
    """A cell's value as its format shows it, where that is another text: per cent, leading zeros."""
    value, style = cell.value, str(cell.number_format)
    if cell.data_type == "e":
        return None if value is None else str(value)
    if isinstance(value, int | float) and not isinstance(value, bool):
        if style.endswith("%"):
            return f"{round(100 * value, 6):g}%"
        if len(style) > 1 and set(style) == {"0"} and float(value).is_integer():
            return str(int(value)).zfill(len(style))
    return value


def _book(path: Path, computed: bool) -> Any:
    from zipfile import BadZipFile, LargeZipFile
    from zlib import error as zlib_error

    from openpyxl.reader.excel import ExcelReader
    from openpyxl.utils.exceptions import InvalidFileException

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # extensions that openpyxl drops say nothing of the values
            reader = _tables_only(ExcelReader)(path, data_only=computed, keep_links=False)
            reader.read()
            return reader.wb
    except FileNotFoundError as error:
        raise DataError(f"Файла {path} нет: проверьте путь.") from error
    except (
        OSError,
        BadZipFile,
        LargeZipFile,
        zlib_error,
        InvalidFileException,
        KeyError,
        ValueError,
        TypeError,
        AttributeError,
        IndexError,
        EOFError,
        SyntaxError,
    ) as error:
        raise DataError(f"{path}: это не таблица xlsx или она повреждена ({error}).") from error


def _tables_only(reader: Any) -> Any:
    """Openpyxl's reader without sheets that are charts: on one that holds none it fails."""

    class SheetReader(reader):  # type: ignore[misc]
        """A reader of cells alone."""

        def read_chartsheet(self, sheet: Any, rel: Any) -> None:
            """Nothing in it is a row."""

    return SheetReader


def _merged(path: Path, sheet: str) -> int:
    return len(_book(path, True)[sheet].merged_cells.ranges)


def _cell(value: Any) -> tuple[str, str]:
    """Text of a cell, and what was guessed about it; a whole number without its «.0»."""
    if value is None:
        return "", ""
    if isinstance(value, bool):
        return ("да" if value else "нет"), "логических значений прочитано как «да» и «нет»"
    if isinstance(value, datetime.datetime | datetime.date):
        whole = not isinstance(value, datetime.datetime) or value.time() == datetime.time()
        return str(value)[: 10 if whole else None], "дат прочитано как ГГГГ-ММ-ДД"
    if isinstance(value, datetime.time):
        return value.strftime("%H:%M:%S" if value.second else "%H:%M").lstrip("0") or "0", ""
    if isinstance(value, float) and value.is_integer():
        return str(int(value)), ""
    from openpyxl.utils.escape import unescape

    return (unescape(value) if isinstance(value, str) else str(value)), ""


def _letters(column: int) -> str:
    from openpyxl.utils import get_column_letter

    return str(get_column_letter(column + 1))
