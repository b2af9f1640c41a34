"""What `import ruvlm` gives: every snippet of docs/python.md runs, every name is typed, documented and there; no torch."""

from __future__ import annotations

import inspect
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import ruvlm
from tests.support.house import ROOT

PAGE = (ROOT / "docs" / "python.md").read_text(encoding="utf-8")
SNIPPETS = re.findall(r"```python\n(.*?)```", PAGE, flags=re.DOTALL)


def test_every_snippet_runs_one_after_another(tmp_path: Path) -> None:
    assert len(SNIPPETS) >= 6
    (tmp_path / "page.py").write_text("\n".join(SNIPPETS), encoding="utf-8")
    done = subprocess.run([sys.executable, "page.py"], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "Вывод: не лучше, чем угадывание по словам вопроса" in " ".join(done.stdout.split())
    assert "лучше nano" in done.stdout
    assert (tmp_path / "sheet.png").stat().st_size > 10_000
    assert "<html" in (tmp_path / "report.html").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", [name for name in dir(ruvlm) if name != "__version__"])
def test_every_name_is_typed_documented_and_on_the_page(name: str) -> None:
    value = getattr(ruvlm, name)
    assert inspect.getdoc(value), name
    assert f"`{name}`" in PAGE, name
    if inspect.isfunction(value):
        hints = inspect.get_annotations(value)
        missing = [p for p in inspect.signature(value).parameters if p not in hints]
        assert not missing, name
        assert "return" in hints


def test_a_stranger_s_type_checker_sees_the_names(tmp_path: Path) -> None:
    """mypy, strict, over a user's file: py.typed is there and the names have their types."""
    file = tmp_path / "mine.py"
    file.write_text(
        "import ruvlm\n"
        "def run(data: ruvlm.Dataset) -> float:\n"
        '    scores = ruvlm.evaluate("nano", "world")\n'
        "    reveal_type(scores.score.value)\n"
        "    return scores.scor\n",
        encoding="utf-8",
    )
    command = [sys.executable, "-m", "mypy", "--strict", "--cache-dir", str(tmp_path / "cache"), str(file)]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert 'Revealed type is "builtins.float"' in done.stdout or 'Revealed type is "float"' in done.stdout, done.stdout
    assert 'has no attribute "scor"' in done.stdout
    assert "py.typed" not in done.stdout


def test_nothing_of_it_loads_torch() -> None:
    code = (
        "import sys, ruvlm; [getattr(ruvlm, name) for name in dir(ruvlm)];"
        "print(json.dumps([n for n in ('torch', 'transformers', 'matplotlib', 'pandas') if n in sys.modules]))"
    )
    done = subprocess.run([sys.executable, "-c", f"import json; {code}"], capture_output=True, text=True, check=True)
    assert json.loads(done.stdout) == []


def test_a_function_s_answers_are_never_taken_for_another_s(world: Path, tmp_path: Path) -> None:
    said = ["да", "нет"]
    first = ruvlm.evaluate(lambda image, question: said[0], world, protocols=["gqa-ru/lmms"], limit=20)
    second = ruvlm.evaluate(lambda image, question: said[1], world, protocols=["gqa-ru/lmms"], limit=20)
    answers = [{v.parsed for v in one[0].verdicts} for one in (first, second)]
    assert answers == [{"да"}, {"нет"}]
    out = tmp_path / "here"
    ruvlm.evaluate(lambda image, question: "да", world, protocols=["gqa-ru/lmms"], limit=20, out=out, controls=False)
    with pytest.raises(ruvlm.RuvlmError):
        ruvlm.evaluate(lambda image, question: "нет", world, protocols=["gqa-ru/lmms"], limit=20, out=out)


def test_a_function_that_fails_or_says_no_text_is_named(world: Path) -> None:
    def broken(image: object, question: str) -> str:
        raise KeyError("нет ключа")

    with pytest.raises(ruvlm.ModelError, match=r"Функция broken упала на вопросе \d+ \(KeyError"):
        ruvlm.evaluate(broken, world, limit=10)
    with pytest.raises(ruvlm.ModelError, match="вернула int, а нужен текст"):
        ruvlm.evaluate(lambda image, question: 5, world, limit=10)  # type: ignore[arg-type, return-value]


def test_a_backend_goes_on_and_its_pictures_are_real(world: Path, tmp_path: Path) -> None:
    asked: list[str] = []

    class Mine(ruvlm.Backend):
        name, fingerprint = "mine", "mine 1"

        def answer(self, many):  # type: ignore[no-untyped-def]
            for one in many:
                asked.append(one.example.id)
                yield ruvlm.Response(one.example.answer)

    first = ruvlm.evaluate(Mine(), world, protocols=["gqa-ru/lmms"], limit=20, out=tmp_path, controls=False)
    assert first.score.value == 100
    count = len(asked)
    ruvlm.evaluate(Mine(), world, protocols=["gqa-ru/lmms"], limit=20, out=tmp_path, controls=False)
    assert len(asked) == count


@pytest.fixture
def ruvlm_command(ruvlm):  # type: ignore[no-untyped-def]
    """The command line, by another name than the package's."""
    return ruvlm


def test_own_models_from_the_command_line(world: Path, tmp_path: Path, ruvlm_command, monkeypatch) -> None:  # type: ignore[no-untyped-def]
    monkeypatch.chdir(tmp_path)
    (tmp_path / "their_model.py").write_text(
        "import ruvlm\n"
        "def yes(image, question):\n    assert image.size\n    return 'да'\n"
        "class Mine(ruvlm.Backend):\n    name, fingerprint = 'mine', '1'\n"
        "    def answer(self, asked):\n        yield from (ruvlm.Response('нет') for _ in asked)\n",
        encoding="utf-8",
    )
    for address in ("py:their_model:yes", "py:their_model.py:Mine", "py:their_model:Mine"):
        ran = ruvlm_command(
            "eval", address, "--data", world, "--limit", 10, "--no-controls", "--out", tmp_path / address
        )
        assert ran.code == 0, ran.err
    for address, said in (
        ("py:their_model:no", "нет имени no"),
        ("py:nowhere:x", "модуля nowhere нет"),
        ("py:nowhere.py:x", "Файла nowhere.py нет"),
        ("py:their_model", "нужно py:МОДУЛЬ:ИМЯ"),
        ("pi:x", "есть hf, openai, file, py"),
    ):
        ran = ruvlm_command("eval", address, "--data", world, "--limit", 10)
        assert (ran.code, said in ran.err) == (2, True), ran.err


def test_a_package_adds_its_own_scheme(world: Path, tmp_path: Path) -> None:
    """An installed package announces it by an entry point."""
    (tmp_path / "theirs.py").write_text(
        "import ruvlm\n"
        "class Theirs(ruvlm.Backend):\n"
        "    def __init__(self, rest):\n        self.name = self.fingerprint = rest\n"
        "    def answer(self, asked):\n        yield from (ruvlm.Response('да') for _ in asked)\n"
        "def opened(rest, access):\n    return Theirs(rest)\n",
        encoding="utf-8",
    )
    info = tmp_path / "theirs-1.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: theirs\nVersion: 1\n", encoding="utf-8")
    (info / "entry_points.txt").write_text("[ruvlm.backends]\nmyengine = theirs:opened\n", encoding="utf-8")
    command = [
        sys.executable,
        "-m",
        "ruvlm",
        "eval",
        "myengine:best",
        "--data",
        str(world),
        "--limit",
        "10",
        "--no-controls",
    ]
    environment = {**os.environ, "PYTHONPATH": str(tmp_path)}
    done = subprocess.run(
        [*command, "--out", str(tmp_path / "e"), "--json"], capture_output=True, text=True, check=False, env=environment
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)[0]["model"] == "best"


def test_all_that_a_model_was_asked_is_compared(world: Path, tmp_path: Path) -> None:
    class Right(ruvlm.Backend):
        name, fingerprint = "right", "1"

        def answer(self, asked):  # type: ignore[no-untyped-def]
            yield from (ruvlm.Response(one.example.answer) for one in asked)

    class Yes(ruvlm.Backend):
        name, fingerprint = "yes", "1"

        def answer(self, asked):  # type: ignore[no-untyped-def]
            yield from (ruvlm.Response("да") for one in asked)

    right = ruvlm.evaluate(Right(), world, limit=20, out=tmp_path / "a")
    yes = ruvlm.evaluate(Yes(), world, limit=20, out=tmp_path / "b")
    rules = {row.rule.split("/")[0] for row in ruvlm.compare(right, yes)}
    assert rules == {"gqa-ru", "mmbench-ru"}
    assert {row.a for row in ruvlm.compare(right, yes)} == {"right"}
    assert ruvlm.explain(yes, right).difference > 0
    page = ruvlm.report(right, out=tmp_path / "r.html", data=[str(world)]).read_text(encoding="utf-8")
    assert "mmbench-ru, буквы" in page
    assert "(контроль)" in page


def test_the_light_installation_says_what_to_install(tmp_path: Path) -> None:
    picture = str(ROOT / "docs" / "images" / "scene.png")
    code = (
        "import sys\n"
        "for name in ('torch', 'transformers', 'tokenizers', 'safetensors'): sys.modules[name] = None\n"
        "import ruvlm\n"
        "for ask in (lambda: ruvlm.ask('nano', sys.argv[1], 'Кто?'), lambda: ruvlm.open_model('nano'), lambda: ruvlm.train('nano_world')):\n"
        "    try: ask()\n"
        "    except ruvlm.RuvlmError as error: print(error)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, picture], capture_output=True, text=True, check=False, cwd=tmp_path
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("pip install 'ruvlm[models]'") == 3


def test_a_function_called_as_a_control_is_a_model_all_the_same(world: Path) -> None:
    def majority(image: object, question: str) -> str:
        return "да"

    scores = ruvlm.evaluate(majority, world, protocols=["gqa-ru/lmms"], limit=20)
    assert scores[0].model == "function-majority"
    assert scores.conclusion
