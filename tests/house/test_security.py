"""Nothing that a stranger's file says is executed: model folders, adapters, templates (docs/security.md has the whole list)."""

from __future__ import annotations

import json
import os
import pickle
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from PIL import Image

from tests.support.house import ROOT, Ran

Run = Callable[..., Ran]
PAGE = ROOT / "docs" / "security.md"


class Marked:
    """What a pickle of a stranger's may be: it makes a folder when it is loaded."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> tuple[Callable[..., object], tuple[object, ...]]:
        return os.mkdir, (str(self.marker),)


def test_the_pickle_of_this_test_would_do_harm(tmp_path: Path) -> None:
    """Else what follows could not fail."""
    pickle.loads(pickle.dumps(Marked(tmp_path / "marker")))
    assert (tmp_path / "marker").exists()


def pickled_weights(folder: Path, marker: Path) -> None:
    (folder / "model.safetensors").unlink()
    torch.save({"model.x": Marked(marker)}, folder / "pytorch_model.bin")


def bare_pickle(folder: Path, marker: Path) -> None:
    (folder / "model.safetensors").unlink()
    (folder / "pytorch_model.bin").write_bytes(pickle.dumps(Marked(marker)))


def own_code(folder: Path, marker: Path) -> None:
    """Classes of its own for everything that may have them."""
    (folder / "evil.py").write_text(f"open({str(marker)!r}, 'w')\nclass Evil: pass\n")
    for name in ("config.json", "processor_config.json", "preprocessor_config.json", "tokenizer_config.json"):
        path = folder / name
        fields = json.loads(path.read_text()) if path.exists() else {}
        fields["auto_map"] = {
            auto: "evil.Evil"
            for auto in (
                "AutoConfig",
                "AutoModelForImageTextToText",
                "AutoProcessor",
                "AutoTokenizer",
                "AutoImageProcessor",
            )
        }
        path.write_text(json.dumps(fields | ({"model_type": "evil"} if name == "config.json" else {})))


def template(text: str) -> Callable[[Path, Path], None]:
    def write(folder: Path, marker: Path) -> None:
        (folder / "chat_template.jinja").write_text(text.replace("MARKER", str(marker)))

    return write


ESCAPES = (
    "{{ ''.__class__.__mro__[1].__subclasses__() }}",
    "{{ cycler.__init__.__globals__.os.system('touch MARKER') }}",
    "{{ lipsum.__globals__['os'].popen('touch MARKER').read() }}",
    "{{ namespace.__init__.__globals__ }}",
    "{% for x in range(10**9) %}{% endfor %}{{ messages.append.__self__ }}",
    "{% include '/etc/hostname' %}",
    "{{ raise_exception('roles must alternate') }}",
)


@pytest.mark.parametrize(
    "spoil",
    [pickled_weights, bare_pickle, own_code, *map(template, ESCAPES)],
    ids=["pickled", "bare-pickle", "own-code", *(f"template-{n}" for n in range(len(ESCAPES)))],
)
def test_a_strangers_model_folder_executes_nothing(
    models: dict[str, Path], tmp_path: Path, spoil: Callable[[Path, Path], None], ruvlm: Run
) -> None:
    folder, marker = shutil.copytree(models["llava"], tmp_path / "model"), tmp_path / "marker"
    for path in folder.glob("chat_template*"):
        path.unlink()
    spoil(folder, marker)
    Image.new("RGB", (32, 32)).save(tmp_path / "p.png")
    assert ruvlm("ask", f"hf:{models['llava']}", tmp_path / "p.png", "Кто?").code == 0, "as it was, it answers"
    ran = ruvlm("ask", f"hf:{folder}", tmp_path / "p.png", "Кто?")
    assert not marker.exists()
    assert ran.code == 2
    assert "не предвидели" not in ran.err


def test_a_strangers_adapter_executes_nothing(models: dict[str, Path], tmp_path: Path, ruvlm: Run) -> None:
    adapter, marker = tmp_path / "adapter", tmp_path / "marker"
    adapter.mkdir()
    (adapter / "adapter_config.json").write_text(
        json.dumps(
            {"peft_type": "LORA", "r": 2, "target_modules": ["q_proj"], "base_model_name_or_path": str(models["llava"])}
        )
    )
    (adapter / "adapter_model.bin").write_bytes(pickle.dumps(Marked(marker)))
    Image.new("RGB", (32, 32)).save(tmp_path / "p.png")
    ran = ruvlm("ask", f"hf:{models['llava']}+{adapter}", tmp_path / "p.png", "Кто?")
    assert ran.code == 2
    assert "Адаптер" in ran.err
    assert not marker.exists()


def test_every_guard_has_its_test() -> None:
    """Each line of the threat model names a test, and the test is there."""
    rows = [line for line in PAGE.read_text(encoding="utf-8").splitlines() if line.startswith("| ")]
    guarded = [line for line in rows if "---" not in line and "проверка |" not in line]
    assert len(guarded) > 15
    for line in guarded:
        named = re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", line)
        assert named, line
        for file, name in named:
            assert f"def {name}(" in (ROOT / file).read_text(encoding="utf-8"), line
