"""`ruvlm score` as a whole process with a 10,000-fold bootstrap, beside lmms-eval with a canned model on the same rows.

python bench/score_speed.py [--quick]

12,216 GQA rows over 398 pictures and 3,910 MMBench rows of 1,109 groups, synthetic, with GQA-ru's ratio of questions to
pictures. lmms-eval cannot score a file: it loads its data set first, and that is in its time.
"""

from __future__ import annotations

import argparse
import json
import random
import statistics
import sys
import tempfile
from pathlib import Path

import pyarrow as pa

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from bench.lmms_side import Measured, hub_slice, measured, run_lmms

ANSWERS = ["да", "нет", "красный", "стол", "Слева.", "большая кошка", "мужчина", "белые"]
GROUPS, ROWS = 1_109, 3_910


def gqa_rows(count: int) -> list[dict[str, str]]:
    """Short answers, about 31 a picture."""
    rng = random.Random(0)
    return [
        {
            "id": str(n),
            "imageId": f"n{n * 398 // count}",
            "gold": rng.choice(ANSWERS),
            "prediction": rng.choice(ANSWERS),
        }
        for n in range(count)
    ]


def mmbench_rows(count: int) -> list[dict[str, object]]:
    """Letters in many guises, rotations of base questions."""
    rng = random.Random(0)
    guises = ("{}", "{}.", "Ответ: {}", "({})", "**{}**", "Правильный ответ – {}, так как это видно на картинке")
    groups = max(1, count * GROUPS // ROWS)
    rows: list[dict[str, object]] = []
    for n in range(count):
        gold = rng.choice("ABCD")
        said = gold if rng.random() < 0.7 else rng.choice("ABCD")
        rows.append(
            {
                "index": n % groups + n // groups * 1_000_000,
                "gold": gold,
                "prediction": rng.choice(guises).format(said),
                "options": [f"вариант {word}" for word in ("один", "два", "три", "четыре")],
                "category": f"c{n % groups % 20}",
                "l2-category": f"l{n % groups % 6}",
            }
        )
    return rows


def score(path: Path, runs: int) -> list[Measured]:
    """Whole processes of `ruvlm score`."""
    command = [sys.executable, "-m", "ruvlm", "score", str(path), "--json"]
    return [measured(command, path.parent, {}) for _ in range(runs)]


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--world", type=Path, help="готовый мир: рядом – lmms-eval на его буквах")
    given = parser.parse_args()
    share, runs = (10, 3) if given.quick else (1, 9)
    figures: dict[str, object] = {"quick": given.quick}
    with tempfile.TemporaryDirectory() as folder:
        for name, rows in (("gqa", gqa_rows(12_216 // share)), ("mmbench", mmbench_rows(ROWS // share))):
            path = Path(folder) / f"{name}.jsonl"
            path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
            done = score(path, runs)
            seconds = statistics.median(one.seconds for one in done)
            memory = statistics.median(one.memory for one in done)
            print(
                f"{name}: {len(rows)} строк, {seconds:.2f} с, {memory:.0f} МБ ({[round(d.seconds, 2) for d in done]})"
            )
            figures |= {
                f"score_{name}_rows": len(rows),
                f"score_{name}_seconds": round(seconds, 3),
                f"score_{name}_memory_mb": round(memory),
            }
        if given.world is not None:
            figures |= beside_lmms(given.world, Path(folder), 1 if given.quick else 3)
    print(json.dumps(figures))


def beside_lmms(world: Path, folder: Path, runs: int) -> dict[str, object]:
    """MMBench rows of a world: `ruvlm score` of a file with everything in it against lmms-eval's whole process."""
    import pyarrow.parquet as pq

    work = hub_slice(world, folder / "slice", None)
    table: pa.Table = pq.read_table(work / "deepvk/MMBench-ru/mmbench_ru_dev.parquet").drop(["image"])
    rows = table.to_pylist()
    answers = folder / "slice/answers.jsonl"
    answers.write_text(
        "".join(json.dumps({"id": row["index"], "prediction": row["answer"]}) + "\n" for row in rows), encoding="utf-8"
    )
    path = folder / "letters.jsonl"
    lines = [{**row, "prediction": row["answer"]} for row in rows]
    path.write_text("".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines), encoding="utf-8")
    ours, theirs = [], []
    for _ in range(runs):
        ours.append(score(path, 1)[0].seconds)
        done, _ = run_lmms(work, "canned", f"answers={answers}", "mmbench_ru_dev", work / "stamp")
        theirs.append(done.seconds)
    mine, other = statistics.median(ours), statistics.median(theirs)
    print(f"mmbench {len(rows)} строк мира: наш {mine:.2f} с, lmms-eval {other:.2f} с, отношение {other / mine:.1f}")
    return {"score_mmbench_ratio": round(other / mine, 1)}


if __name__ == "__main__":
    main()
