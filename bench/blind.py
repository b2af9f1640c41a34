"""What the questions alone give away: the question-only control, trained on one file of rows and scored on another.

    python bench/blind.py --train ../shared/real/gqa_ru/train_rows.jsonl --test ../shared/real/gqa_ru/testdev_rows.jsonl

Rows are JSONL with id, imageId, question, answer.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from ruvlm.backends.base import Asked
from ruvlm.backends.controls import MajorityBackend
from ruvlm.backends.question_only import QuestionOnlyBackend
from ruvlm.benchmarks.catalog import benchmark_named, protocol_named
from ruvlm.schema import Example, ImageRef


def read(path: Path) -> list[Example]:
    """Rows as examples without pictures."""
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    return [
        Example(
            id=row["id"],
            benchmark="gqa-ru",
            question=row["question"],
            answers=(row["answer"],),
            images=(ImageRef(Path("none")),),
            image_id=row["imageId"],
            cluster=row["imageId"],
            structural=(row.get("types") or {}).get("structural"),
        )
        for row in rows
    ]


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--train", type=Path, required=True)
    parser.add_argument("--test", type=Path, required=True)
    parser.add_argument("--quick", action="store_true", help="то же самое: и так секунды")
    arguments = parser.parse_args()
    train, test = read(arguments.train), read(arguments.test)
    protocol = protocol_named("gqa-ru/lmms")
    figures: dict[str, float] = {"train_rows": len(train), "test_rows": len(test)}
    for backend in (MajorityBackend(train), QuestionOnlyBackend(train)):
        responses = backend.answer([Asked(protocol.prompt(example), example) for example in test])
        result = protocol.score(benchmark_named("gqa-ru").axes, test, protocol.judge_all(test, list(responses)))
        score = result.headline[1]
        print(
            f"{backend.name}: {score.value:.2f} % ({score.low:.2f}–{score.high:.2f}), n = {score.n}; "
            + ", ".join(f"{k} {s.value:.1f}" for k, s in result.breakdowns.get("structural", {}).items())
        )
        figures[backend.name] = round(score.value, 2)
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
