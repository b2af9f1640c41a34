"""Bad input: one sentence in Russian, exit code 2, nothing half-written."""

from __future__ import annotations

import os
import shutil
import struct
import subprocess
import sys
import zlib
from collections.abc import Callable
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from PIL import Image

from tests.support.house import RECIPES, Ran, tiny

Run = Callable[..., Ran]


def refused(ran: Ran, *said: str) -> None:
    assert ran.code == 2, (ran.out, ran.err)
    assert "Traceback" not in ran.err + ran.out
    lines = [line for line in ran.err.splitlines() if line.startswith("Ошибка")]
    assert len(lines) == 1, ran.err
    for part in said:
        assert part in lines[0], lines[0]


def bomb(path: Path) -> Path:
    """A PNG that claims 60,000×60,000 pixels."""

    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    header = struct.pack(">IIBBBBB", 60_000, 60_000, 8, 2, 0, 0, 0)
    path.write_bytes(
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")
    )
    return path


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    path = tmp_path / "picture.png"
    Image.new("RGB", (90, 60), (200, 30, 30)).save(path)
    return path


def test_missing_image(ruvlm: Run, runs: Path) -> None:
    refused(ruvlm("ask", runs / "nano", "нет.png", "Кто в рубашке?"), "нет.png", "не найдена")


def test_truncated_image(ruvlm: Run, runs: Path, tmp_path: Path) -> None:
    path = tmp_path / "cut.jpg"
    Image.effect_noise((400, 400), 90).save(path)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    refused(ruvlm("ask", runs / "nano", path, "Кто в рубашке?"), "cut.jpg", "обрезана")


def test_text_instead_of_an_image(ruvlm: Run, runs: Path, tmp_path: Path) -> None:
    path = tmp_path / "note.png"
    path.write_text("это не картинка", encoding="utf-8")
    refused(ruvlm("ask", runs / "nano", path, "Кто?"), "не похож на картинку")


def test_decompression_bomb(ruvlm: Run, runs: Path, tmp_path: Path) -> None:
    refused(ruvlm("ask", runs / "nano", bomb(tmp_path / "bomb.png"), "Кто?"), "3600000000")


def test_a_folder_instead_of_an_image(ruvlm: Run, runs: Path, tmp_path: Path) -> None:
    refused(ruvlm("ask", runs / "nano", tmp_path, "Кто?"), "не удалось прочитать")


@pytest.mark.parametrize(
    ("question", "said"), [("", "пуст"), ("  \n ", "пуст"), ("а" * 10_000, "10000"), ("стол " * 150, "токенов")]
)
def test_bad_question(ruvlm: Run, runs: Path, picture: Path, question: str, said: str) -> None:
    refused(ruvlm("ask", runs / "nano", picture, question), said)


@pytest.mark.parametrize("options", ["один", "", ";;;", "1;2;3;4;5;6"])
def test_bad_options(ruvlm: Run, runs: Path, picture: Path, options: str) -> None:
    refused(ruvlm("ask", runs / "nano", picture, "Кто?", "--options", options), "вариантов")


def test_no_such_model(ruvlm: Run, picture: Path) -> None:
    refused(ruvlm("ask", "results/none", picture, "Кто?"), "results/none")


def test_unavailable_device(ruvlm: Run, runs: Path, picture: Path) -> None:
    refused(ruvlm("ask", runs / "nano", picture, "Кто?", "--device", "mps"), "mps", "--device auto")
    refused(ruvlm("ask", runs / "nano", picture, "Кто?", "--device", "tpu"), "tpu")


def test_damaged_weights(ruvlm: Run, runs: Path, picture: Path, tmp_path: Path) -> None:
    shutil.copytree(runs / "nano" / "final_model", tmp_path / "model")
    (tmp_path / "model" / "model.safetensors").write_bytes(b"junk" * 100)
    refused(ruvlm("ask", tmp_path / "model", picture, "Кто?"), "model")


def test_config_with_a_typo(ruvlm: Run, tmp_path: Path) -> None:
    path = tmp_path / "x.toml"
    path.write_text('name = "x"\n[train]\nlearning_rate = 1\n', encoding="utf-8")
    refused(ruvlm("train", path), "train.learning_rate")


def test_unknown_model_name(ruvlm: Run, world: Path, tmp_path: Path) -> None:
    sets = [part for o in [*tiny("n", world, tmp_path), 'model.name="nanno"'] for part in ("--set", o)]
    refused(ruvlm("train", RECIPES / "nano_world.toml", *sets), "nanno", "«nano»")


def test_output_folder_of_another_run(ruvlm: Run, runs: Path, world: Path) -> None:
    before = sorted((p, p.stat().st_mtime_ns) for p in (runs / "nano").rglob("*"))
    sets = [part for o in tiny("nano", world, runs) for part in ("--set", o)]
    refused(ruvlm("train", RECIPES / "nano_world.toml", *sets), "занята другим запуском")
    assert before == sorted((p, p.stat().st_mtime_ns) for p in (runs / "nano").rglob("*"))


def test_resume_without_a_checkpoint(ruvlm: Run, world: Path, tmp_path: Path) -> None:
    sets = [part for o in tiny("none", world, tmp_path) for part in ("--set", o)]
    refused(ruvlm("train", RECIPES / "nano_world.toml", *sets, "--resume"), "нет точки")


def test_parquet_without_a_column(ruvlm: Run, world: Path, tmp_path: Path) -> None:
    shutil.copytree(world, tmp_path / "w")
    path = tmp_path / "w/gqa-ru/testdev_balanced_instructions/testdev-00000-of-00001.parquet"
    pq.write_table(pq.read_table(path).drop(["answer"]), path)
    refused(ruvlm("eval", "majority", "--data", tmp_path / "w", "--out", tmp_path / "o"), "answer", "testdev-00000")


def test_truncated_parquet(ruvlm: Run, world: Path, tmp_path: Path) -> None:
    shutil.copytree(world, tmp_path / "w")
    path = tmp_path / "w/mmbench-ru/mmbench_ru_dev.parquet"
    path.write_bytes(path.read_bytes()[:5000])
    refused(ruvlm("eval", "random", "--data", tmp_path / "w", "--out", tmp_path / "o"), "повреждён")


def test_question_without_its_image(ruvlm: Run, world: Path, tmp_path: Path) -> None:
    shutil.copytree(world, tmp_path / "w")
    path = tmp_path / "w/gqa-ru/testdev_balanced_images/testdev-00000-of-00001.parquet"
    pq.write_table(pq.read_table(path).slice(1), path)
    refused(ruvlm("eval", "random", "--data", tmp_path / "w", "--out", tmp_path / "o"), "картинки", "строка 0")


def test_no_data(ruvlm: Run, tmp_path: Path) -> None:
    refused(ruvlm("eval", "majority", "--data", tmp_path / "none"), "ruvlm data world")
    refused(ruvlm("eval", "majority", "--data", tmp_path), "нет ни gqa-ru")


def test_unknown_split_and_protocol(ruvlm: Run, world: Path, tmp_path: Path) -> None:
    refused(
        ruvlm("eval", "majority", "--data", world / "gqa-ru", "--split", "tset", "--out", tmp_path / "o"),
        "tset",
        "testdev",
    )
    refused(ruvlm("eval", "majority", "--data", world, "--protocol", "gqa"), "gqa-ru/lmms")


def test_world_into_a_full_folder(ruvlm: Run, tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("моё", encoding="utf-8")
    refused(ruvlm("data", "world", "--out", tmp_path, "--train-images", "4", "--scale", "0.01"), "занята")
    assert [p.name for p in tmp_path.iterdir()] == ["mine.txt"]


def test_unknown_level(ruvlm: Run, tmp_path: Path) -> None:
    refused(ruvlm("data", "world", "--level", "maxi", "--out", tmp_path / "w"), "maxi", "mini и full")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "пуст"),
        ('{"gold": "a"}\n', "ответа модели"),
        ('{"prediction": "a"}\n', "верного ответа"),
        ('{"prediction": "a", "gold": "a"}\n{oops\n', "строка 2"),
        ('{"prediction": {"a": 1}, "gold": "a"}\n', "строка 1"),
        ('{"prediction": "a", "gold": "a"}\n{"prediction": "a", "gold": ["a", {}]}\n', "строка 2"),
        ('{"prediction": "a", "gold": "a", "answer": "b"}\n', "несколько"),
        ("[1]\n", "строка 1"),
    ],
)
def test_bad_predictions(ruvlm: Run, tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "p.jsonl"
    path.write_text(text, encoding="utf-8")
    refused(ruvlm("score", path), said)


def test_predictions_that_are_not_text(ruvlm: Run, tmp_path: Path) -> None:
    path = tmp_path / "p.jsonl"
    path.write_bytes(b"\xff\xfe\x00")
    refused(ruvlm("score", path), "UTF-8")


@pytest.mark.parametrize(
    "arguments",
    [("нет",), ("eval",), ("score", "--нет"), ("ask", "a", "b", "c", "d"), ("data", "world", "--seed", "x")],
)
def test_wrong_arguments(ruvlm: Run, arguments: tuple[str, ...]) -> None:
    refused(ruvlm(*arguments))


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="нет /dev/full")
def test_full_disk(runs: Path, world: Path, tmp_path: Path) -> None:
    """A real full file system where one can be mounted, else the kernel's own full device behind the store."""
    if os.geteuid() != 0:
        pytest.skip("полный диск монтирует только root")
    mount = tmp_path / "small"
    mount.mkdir()
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(mount)], capture_output=True, check=False
    )
    if done.returncode:
        pytest.skip("tmpfs здесь не смонтировать")
    try:
        for arguments in (
            ["data", "world", "--out", str(mount / "w"), "--train-images", "60", "--scale", "0.02", "--workers", "1"],
            ["eval", str(runs / "nano"), "--data", str(world), "--out", str(mount / "o"), "--no-controls"],
        ):
            ran = subprocess.run(
                [sys.executable, "-m", "ruvlm", *arguments], capture_output=True, text=True, check=False
            )
            assert ran.returncode == 2, ran.stderr
            assert "Traceback" not in ran.stderr
            assert "Ошибка" in ran.stderr
        assert not (mount / "w").exists()
        assert not list(mount.rglob("summary.json"))
    finally:
        subprocess.run(["umount", str(mount)], check=False)
