"""The notebooks run from the first cell to the last, as they are; the fourth with a tiny model instead of one from the hub."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.support.house import ROOT

BOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))


def test_there_are_four_in_russian() -> None:
    assert [book.name[0] for book in BOOKS] == ["1", "2", "3", "4"]
    for book in BOOKS:
        cells = json.loads(book.read_text(encoding="utf-8"))["cells"]
        said = [c for c in cells if c["cell_type"] == "markdown"]
        assert len(said) >= 4
        assert all(any("а" <= letter <= "я" for letter in "".join(c["source"])) for c in said)
        assert book.stat().st_size < 1_000_000
        code = ["".join(c["source"]) for c in cells if c["cell_type"] == "code"]
        # what a reader copies from is public
        assert not [
            line for text in code for line in text.splitlines() if "from ruvlm" in line or "import ruvlm." in line
        ]
        assert "## Упражнения" in "".join("".join(c["source"]) for c in said[-1:])
        assert any(c["outputs"] for c in cells if c["cell_type"] == "code"), (
            "run once, so that it is read without running"
        )


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::RuntimeWarning:zmq.*", "ignore::ResourceWarning")
@pytest.mark.parametrize("book", BOOKS, ids=lambda book: book.stem)
def test_the_notebook_runs(
    book: Path, little: Path, models: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import nbformat
    from nbclient import NotebookClient

    for name, value in {
        "RUVLM_MINUTES": "0.3",
        "RUVLM_IMAGES": "200",
        "RUVLM_MODEL": str(models["llava"]),
        "RUVLM_DATA": str(little),
        "RUVLM_LIMIT": "40",
        "RUVLM_STEPS": "3",
        "MPLBACKEND": "module://matplotlib_inline.backend_inline",
    }.items():
        monkeypatch.setenv(name, value)
    notebook = nbformat.read(book, as_version=4)
    NotebookClient(
        notebook, timeout=300, kernel_name="python3", resources={"metadata": {"path": str(tmp_path)}}
    ).execute()
    outputs = [output for cell in notebook.cells if cell.cell_type == "code" for output in cell.outputs]
    assert [o for o in outputs if o.output_type == "error"] == []
    pictures = [o for o in outputs if "image/png" in o.get("data", {})]
    assert len(pictures) >= (1 if book.stem.startswith("4") else 2)
    # rich shows its lines in a notebook as data, not as a stream
    printed = "".join(o.text if o.output_type == "stream" else o.data.get("text/plain", "") for o in outputs)
    assert {"1": "question-only", "2": "шагов", "3": "Готово", "4": "после:"}[book.stem[0]] in printed, printed[-2000:]
