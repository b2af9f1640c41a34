"""From what a user asks (a model, data, a split) to evaluations with their controls, each in its folder."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from ruvlm.backends.base import Backend
from ruvlm.backends.controls import BlindBackend, MajorityBackend, QuestionOnlyBackend, RandomBackend
from ruvlm.data.catalog import Source, open_source
from ruvlm.errors import ConfigError, MissingSplitError
from ruvlm.evaluation.prompts import protocol_named
from ruvlm.evaluation.run import Evaluation, Progress, evaluate, protocols_for
from ruvlm.schema import Benchmark, Dataset, Example

CONTROLS = ("random", "majority", "question-only")


def evaluate_model(
    model: str,
    data: str,
    split: str,
    protocols: tuple[str, ...] = (),
    controls: bool = True,
    out: Path | None = None,
    device: str = "auto",
    progress: Progress | None = None,
    report: Callable[[str], None] = lambda _: None,
) -> list[Evaluation]:
    """Evaluate a model, then its controls, under every protocol asked for. Raises RuvlmError."""
    for name in protocols:
        protocol_named(name)
    source = open_source(data)
    train = training_rows(source) if controls or model in CONTROLS else []
    main = backend_named(model, train, device)
    backends = [main]
    if controls:
        backends += [backend_named(name, train, device) for name in CONTROLS if name != model]
        if model not in CONTROLS and not model.startswith("blind:"):
            backends.append(BlindBackend(main))
    root = out or _home(model) / "eval"
    found = []
    for benchmark in source.folders:
        if protocols and not any(protocol_named(p).benchmark == benchmark for p in protocols):
            continue
        try:
            dataset = source.load(benchmark, split)
        except MissingSplitError:
            if len(source.folders) == 1:
                raise
            report(f"в {source.folder} у {benchmark} нет части «{split}», пропускаю")
            continue
        for backend in backends:
            found += _evaluate_protocols(backend, dataset, protocols, root, progress)
    if not found:
        raise ConfigError(f"Для {model} на {data} нет ни одного подходящего протокола: проверьте --protocol и --split.")
    return found


def _evaluate_protocols(
    backend: Backend, dataset: Dataset, protocols: tuple[str, ...], root: Path, progress: Progress | None
) -> list[Evaluation]:
    chosen = protocols_for(dataset, backend)
    if protocols:
        chosen = tuple(p for p in protocols if protocol_named(p).benchmark == dataset.name)
    found = []
    for protocol in chosen:
        parts = (dataset.source, dataset.split, protocol, backend.name)
        folder = root / "-".join(part.replace("/", "_").replace(":", "_").replace(" ", "_") for part in parts)
        found.append(evaluate(backend, dataset, protocol, folder, progress))
    return found


def backend_named(name: str, train: list[Example], device: str) -> Backend:
    """«majority», «random», «question-only», «blind:MODEL» or a folder → backend. Raises RuvlmError.

    `train` is what the controls learn from.
    """
    if name.startswith("blind:"):
        return BlindBackend(backend_named(name.removeprefix("blind:"), train, device))
    if name in CONTROLS:
        makers = {"majority": MajorityBackend, "random": RandomBackend, "question-only": QuestionOnlyBackend}
        made: Backend = makers[name](train)
        return made
    from ruvlm.backends.local import load_local
    from ruvlm.runtime import keep_freed_memory, pick_device

    keep_freed_memory()
    return load_local(name, pick_device(device))


def training_rows(source: Source) -> list[Example]:
    """The training examples that controls learn from; none where the data has no training split."""
    rows: list[Example] = []
    for benchmark in ("gqa-ru", "mmbench-ru"):
        found = _training_split(source, benchmark)
        rows += found
    return rows


def _training_split(source: Source, benchmark: Benchmark) -> tuple[Example, ...]:
    if benchmark not in source.folders:
        return ()
    try:
        return source.load(benchmark, "train", bare=True).examples
    except MissingSplitError:
        return ()


def _home(model: str) -> Path:
    """The run folder a model is in, else results/."""
    folder = Path(model.removeprefix("blind:"))
    if folder.name in ("best_model", "final_model"):
        folder = folder.parent
    return folder if folder.is_dir() else Path("results")
