"""What `import ruvlm` gives: everything that the command line does, as functions over the same nouns. No torch is loaded here."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from ruvlm.backends.base import Access, Asked, Backend
from ruvlm.backends.function import Answering, FunctionBackend
from ruvlm.benchmarks.base import Benchmark, Protocol
from ruvlm.benchmarks.catalog import benchmark_named as benchmark
from ruvlm.benchmarks.catalog import protocol_named as protocol
from ruvlm.benchmarks.source import open_source
from ruvlm.data.images import load_image
from ruvlm.doctor import MODELS
from ruvlm.errors import WITHOUT_MODELS, ConfigError, DataError, ModelError, RuvlmError
from ruvlm.evaluation.asking import Evaluation
from ruvlm.evaluation.causes import Explanation
from ruvlm.evaluation.causes import explain as explain_difference
from ruvlm.evaluation.compare import Difference, paired_evaluations
from ruvlm.evaluation.compare import compare as compare_pairs
from ruvlm.evaluation.outcomes import Differences, Evaluations
from ruvlm.evaluation.single import Answer
from ruvlm.evaluation.standing import Standing
from ruvlm.run_folder import RunFolder
from ruvlm.schema import (
    Dataset,
    Example,
    Generation,
    ImageRef,
    Metric,
    Prompt,
    Response,
    Result,
    Score,
    Verdict,
)

if TYPE_CHECKING:
    from PIL.Image import Image

Model = str | Path | Backend | Answering
Report = Callable[[str], None]


def _silent(_: str) -> None:
    return


def load(data: str | Path, split: str = "", benchmark: str = "", limit: int | None = None) -> Dataset:
    """One split of one benchmark.

    Args:
        data: «world», a benchmark's name («gqa-ru»), a folder, a table with pictures, a card (.toml).
        split: «test», «val», «holdout», «train»; none for the one that is mostly asked.
        benchmark: which one, where the data hold several («mmbench-ru» of a world); none for the first.
        limit: not all rows but a sample of so many, always the same.

    Raises:
        DataError: the data or the split are not there, or are damaged.
        ConfigError: there is no such benchmark in them.
    """
    source = open_source(str(data))
    name = benchmark or source.benchmarks[0]
    if name not in source.benchmarks:
        raise ConfigError(f"В {source.folder} набора «{name}» нет: есть {', '.join(source.benchmarks)}.")
    return source.load(name, split, limit=limit)


def show(dataset: Dataset, pictures: int = 8, questions: int = 3, seed: int = 0, columns: int = 4) -> Image:
    """Some pictures of a data set with their questions and answers, as one picture: a notebook shows it."""
    from ruvlm.data.sheet import contact_sheet
    from ruvlm.reporting.shown import cards

    return contact_sheet(cards(dataset, pictures, questions, seed=seed), columns)


def open_model(name: str | Path, device: str = "auto") -> Backend:
    """A model, to be asked more than once: as `ruvlm ask` names it. Raises RuvlmError."""
    from ruvlm.evaluation.plan import backend_named

    with _with_models():
        return backend_named(str(name), [], Access(device=device))


def ask(
    model: Model, image: str | Path | Image, question: str, options: Sequence[str] = (), device: str = "auto"
) -> Answer:
    """Ask a model about a picture.

    Args:
        model: what `ruvlm ask` takes («nano», a run's folder, «hf:…», «openai:…»), a Backend, or a function (image, question) -> str.
        image: a file, or a PIL image.
        question: in Russian.
        options: to choose one of; none for an answer in its own words.
        device: «auto», «cpu», «cuda», «mps», where the model is named.

    Raises:
        RuvlmError: the picture, the question, the options or the model cannot be used.
    """
    from ruvlm.evaluation.single import answered, question_asked

    listed = "; ".join(options) if options else None
    with _as_file(image) as path:
        asked = question_asked(path, question, listed)
        load_image(asked.prompt.image)
        return answered(_opened(model, device), asked, 5)


@contextmanager
def _with_models() -> Iterator[None]:
    """In the light installation a model that is opened here is an error of ours, which says what to install."""
    try:
        yield
    except ModuleNotFoundError as error:
        if (error.name or "").split(".")[0] not in MODELS:
            raise
        raise ModelError(WITHOUT_MODELS) from error


@contextmanager
def _as_file(image: str | Path | Image) -> Iterator[Path]:
    if isinstance(image, str | Path):
        yield Path(image)
        return
    with tempfile.TemporaryDirectory(prefix="ruvlm-") as folder:
        path = Path(folder) / "image.png"
        image.save(path)
        yield path


def _opened(model: Model, device: str) -> Backend:
    if isinstance(model, Backend):
        return model
    return open_model(model, device) if isinstance(model, str | Path) else FunctionBackend(model)


def evaluate(
    model: Model,
    data: str | Path = "world",
    split: str = "",
    protocols: Sequence[str] = (),
    controls: bool = True,
    blind: bool | None = None,
    limit: int | None = None,
    out: str | Path | None = None,
    judge: str | None = None,
    prompts: int = 1,
    access: Access = Access(),  # noqa: B008
    report: Report = _silent,
) -> Evaluations:
    """Ask a model all questions of a data set and score it, beside controls that do not see.

    Args:
        model: a name as on the command line, a Backend, or a function (PIL image, question) -> str.
        data: as `load` takes it; every benchmark in it is asked.
        split: as `load` takes it.
        limit: as `load` takes it.
        protocols: such as «gqa-ru/lmms»; none for all that fit.
        controls: ask the most frequent answer, one by lot, the questions' words alone, and the model itself without its picture.
        blind: is the model asked without its picture? None: where that costs nothing.
        out: where answers are kept; the same call goes on from them. A function's are never gone on from: it cannot say
            whether it is still the same, so it has a new folder each time unless `out` names one.
        judge: «openai:МОДЕЛЬ@URL» or «encoder», as `ruvlm eval --judge`.
        prompts: in how many wordings to ask.
        access: device, precision, requests at once… for a model that is named.
        report: is told what happens.

    Raises:
        RuvlmError: a name, the data or the answers cannot be used.
    """
    from ruvlm.evaluation.plan import evaluate_model

    opened = str(model) if isinstance(model, str | Path) else _opened(model, access.device)
    lasting = isinstance(opened, str) or opened.lasting
    place = Path(out) if out is not None else None if lasting else Path(tempfile.mkdtemp(prefix="ruvlm-eval-"))
    with _with_models():
        done = evaluate_model(
            opened,
            str(data),
            split,
            tuple(protocols),
            controls,
            place,
            access=access,
            judge=judge,
            limit=limit,
            blind=blind,
            prompts=prompts,
            report=report,
        )
    return Evaluations(tuple(done))


def score(answers: str | Path, gold: str | Path | None = None) -> Result:
    """Scores of a file of answers under every rule; of an evaluation's folder, as they are stored.

    Args:
        answers: JSONL, CSV, TSV, xlsx, a log of lmms-eval, VLMEvalKit or LLaVA, or the folder of an evaluation.
        gold: the file with the right answers, where they stand apart.

    Raises:
        DataError: naming file, line and field.
    """
    from ruvlm.evaluation.answers import open_answers
    from ruvlm.evaluation.table import score_file

    path = Path(answers)
    if not path.is_dir():
        return score_file(path, None if gold is None else Path(gold))
    measured = open_answers(path).measured
    return Result(
        n=measured.n,
        scores=measured.scores,
        breakdowns=measured.breakdowns,
        unparsed=measured.unparsed,
        errors=measured.errors,
        notes=measured.notes,
        letters=measured.letters,
        warnings=measured.warnings,
    )


def compare(*evaluations: str | Path | Evaluations) -> Differences:
    """Are two models, or more, different on the same rows, and how sure is that?

    Each is the folder of a run or of an evaluation, a file of answers, or what `evaluate` gave. Raises DataError where they are not of the same rows.
    """
    if len(evaluations) < 2:
        raise ConfigError("Сравнивать нужно хотя бы две оценки: дайте ещё одну.")
    groups = paired_evaluations([_own_side(one) for one in evaluations])
    return Differences(tuple(row for group in groups for row in compare_pairs(group)))


def explain(a: str | Path | Evaluations, b: str | Path | Evaluations) -> Explanation:
    """Why two scores differ, part by part. Raises DataError where they have no row in common."""
    first, *_ = paired_evaluations([_own_side(a), _own_side(b)])
    return explain_difference(first[0], first[-1])


def _own_side(evaluation: str | Path | Evaluations) -> Path | list[Path]:
    """A path, or all that a model was asked, without its controls."""
    if not isinstance(evaluation, Evaluations):
        return Path(evaluation)
    own = evaluation[0].model
    return [one.folder for one in evaluation if one.model == own and one.folder is not None]


def report(*folders: str | Path | Evaluations, out: str | Path = "report.html", data: Sequence[str] = ()) -> Path:
    """Write one HTML page about runs, evaluations and files of answers: scores, controls, curves, mistakes with their pictures."""
    from ruvlm.reporting.gathered import gather
    from ruvlm.reporting.report_page import report_page

    paths: list[Path] = []
    for one in folders:
        paths += [e.folder for e in one if e.folder is not None] if isinstance(one, Evaluations) else [Path(one)]
    gathered = gather(paths, data, _silent)
    page = report_page(gathered, 120, "ruvlm.report(…)")
    Path(out).write_text(page, encoding="utf-8")
    return Path(out)


def train(recipe: str | Path, *overrides: str, resume: bool = False, report: Report = _silent) -> Path:
    """Train by a recipe (`ruvlm recipes`), a file, or go on with a run's folder; `overrides` are «section.key=value».

    Gives the run's folder. Needs ruvlm[models]. Raises RuvlmError; ConfigError names a key that is none.
    """
    from ruvlm.run_folder import settings_of

    with _with_models():
        from ruvlm.training.loop import train as run

        return run(settings_of(Path(recipe), list(overrides)), resume, lambda tick: None, report).folder


def open_run(folder: str | Path) -> RunFolder:
    """A training run: its `records` (losses and validation scores over time), `facts` (data, machine, baselines), `config`."""
    return RunFolder(Path(folder))


def draw_world(
    out: str | Path,
    level: str = "mini",
    seed: int = 0,
    train_images: int | None = None,
    scale: float = 1.0,
    workers: int = 1,
    version: str | None = None,
) -> Path:
    """Draw an embedded world into a folder: pictures, questions, scene graphs. The same call draws the same bytes.

    More than one of `workers`, which are processes, wants the script that calls this under `if __name__ == "__main__"`.
    """
    from ruvlm.world.export import build, plans

    build(level, Path(out), seed=seed, workers=workers, splits=plans(level, train_images, scale), version=version)
    return Path(out)


__all__ = [
    "Access",
    "Answer",
    "Asked",
    "Backend",
    "Benchmark",
    "ConfigError",
    "DataError",
    "Dataset",
    "Difference",
    "Differences",
    "Evaluation",
    "Evaluations",
    "Example",
    "Explanation",
    "Generation",
    "ImageRef",
    "Metric",
    "ModelError",
    "Prompt",
    "Protocol",
    "Response",
    "Result",
    "RunFolder",
    "RuvlmError",
    "Score",
    "Standing",
    "Verdict",
    "ask",
    "benchmark",
    "compare",
    "draw_world",
    "evaluate",
    "explain",
    "load",
    "load_image",
    "open_model",
    "open_run",
    "protocol",
    "report",
    "score",
    "show",
    "train",
]
