"""Validation during training, by the same code as `ruvlm eval`, and the lines a score has to beat."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import torch

from ruvlm.backends.controls import MajorityBackend
from ruvlm.backends.question_only import QuestionOnlyBackend
from ruvlm.benchmarks.catalog import benchmark_named
from ruvlm.benchmarks.source import open_source
from ruvlm.config import RunConfig
from ruvlm.errors import MissingSplitError
from ruvlm.evaluation.asking import ask_all
from ruvlm.schema import Dataset, Example
from ruvlm.training.learner import Learner
from ruvlm.training.samples import Sample, samples


@dataclass(frozen=True)
class Check:
    """One validation: each benchmark's headline score in per cent, and the loss on answers."""

    scores: dict[str, float]
    loss: float | None
    samples: tuple[Sample, ...] = ()

    @property
    def score(self) -> float:
        """What best_model is chosen by: the mean of what there is."""
        return sum(self.scores.values()) / len(self.scores) if self.scores else -1.0


class Validator:
    """The validation split, cut to size, and its baselines."""

    def __init__(self, datasets: list[Dataset], baselines: dict[str, float], source: str) -> None:
        self.datasets = datasets
        self.baselines = baselines
        self.source = source

    @classmethod
    def build(cls, config: RunConfig, learner: Learner[Any], baselines: dict[str, float] | None = None) -> Validator:
        """Raises DataError only for a damaged split; a data set without one is trained without validation.

        `baselines` are those of the same run where it is gone on with.
        """
        source = open_source(config.data.path)
        datasets = []
        for benchmark in source.benchmarks:
            try:
                dataset = source.load(benchmark, config.data.val_split)
            except MissingSplitError:
                continue
            datasets.append(_cut(dataset))
        known = _baselines(learner, datasets) if baselines is None else baselines
        return cls(datasets, known, source.label)

    @property
    def fingerprints(self) -> dict[str, str]:
        return {f"{d.name}/{d.split}": d.fingerprint for d in self.datasets}

    def check(self, learner: Learner[Any], progress: Callable[[int, int], None] | None = None) -> Check | None:
        """Ask the model in training; None where there is nothing to ask. `progress` hears (done, total) of all questions."""
        if not self.datasets:
            return None
        backend = learner.backend()
        scores: dict[str, float] = {}
        shown: list[Sample] = []
        total, before = sum(len(dataset.examples) for dataset in self.datasets), 0
        for dataset in self.datasets:
            benchmark = benchmark_named(dataset.name)
            protocol = benchmark.protocols[0]
            heard = None if progress is None else partial(_further, progress, before, total)
            responses = ask_all(backend, dataset, protocol, heard)
            before += len(dataset.examples)
            verdicts = protocol.judge_all(dataset.examples, responses)
            shown += samples(dataset, responses, verdicts)
            result = benchmark.score(protocol, dataset, verdicts)
            # the headline: exact match, circular accuracy, or accuracy over rows where no question was asked in two orders
            scores[dataset.name] = result.headline[1].value
        with torch.no_grad():
            loss = learner.validation_loss([e for d in self.datasets for e in d.examples if not e.options])
        return Check(scores, loss, tuple(shown))


def _further(progress: Callable[[int, int], None], before: int, total: int, done: int, _: int) -> None:
    progress(before + done, total)


def _cut(dataset: Dataset) -> Dataset:
    """The first pictures or whole rotation groups: enough to steer by, quick enough to do often."""
    most = benchmark_named(dataset.name).steering
    kept: dict[str, None] = {}
    examples: list[Example] = []
    for example in dataset.examples:
        if len(example.images) != 1:
            continue
        kept.setdefault(example.cluster, None)
        if len(kept) <= most or example.cluster in list(kept)[:most]:
            examples.append(example)
    return replace(dataset, examples=tuple(examples), notes=(), vocabulary=None, sample=None)


def _baselines(learner: Learner[Any], datasets: list[Dataset]) -> dict[str, float]:
    """What the majority answer and the question alone score on the first set of short answers, per cent."""
    short = next((d for d in datasets if not benchmark_named(d.name).choice), None)
    if short is None:
        return {}
    benchmark = benchmark_named(short.name)
    protocol = benchmark.protocols[0]
    train = [example for example in learner.train_examples if not example.options]
    baselines = {}
    for label, backend in (
        ("самый частый ответ", MajorityBackend(train)),
        ("только вопрос", QuestionOnlyBackend(train)),
    ):
        verdicts = protocol.judge_all(short.examples, ask_all(backend, short, protocol))
        baselines[label] = benchmark.score(protocol, short, verdicts).headline[1].value
    return baselines
