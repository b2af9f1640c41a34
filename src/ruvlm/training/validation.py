"""Validation during training, by the same code as `ruvlm eval`, and the lines a score has to beat."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from ruvlm.backends.controls import MajorityBackend, QuestionOnlyBackend
from ruvlm.config import RunConfig
from ruvlm.data.catalog import open_source
from ruvlm.errors import MissingSplitError
from ruvlm.evaluation.judge import judge_all, score
from ruvlm.evaluation.run import ask_all
from ruvlm.schema import Dataset, Example
from ruvlm.training.samples import Sample, samples
from ruvlm.training.task import Task

GQA_IMAGES = 50
CHOICE_GROUPS = 60


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
    def build(cls, config: RunConfig, task: Task) -> Validator:
        """Raises DataError only for a damaged split; a data set without one is trained without validation."""
        source = open_source(config.data.path)
        datasets = []
        for benchmark in source.folders:
            try:
                dataset = source.load(benchmark, config.data.val_split)
            except MissingSplitError:
                continue
            datasets.append(_cut(dataset))
        return cls(datasets, _baselines(task, datasets), source.label)

    @property
    def fingerprints(self) -> dict[str, str]:
        return {f"{d.name}/{d.split}": d.fingerprint for d in self.datasets}

    def check(self, task: Task) -> Check | None:
        """Ask the model in training; None where there is nothing to ask."""
        if not self.datasets:
            return None
        backend = task.backend()
        scores: dict[str, float] = {}
        shown: list[Sample] = []
        for dataset in self.datasets:
            protocol = "gqa-ru/lmms" if dataset.name == "gqa-ru" else "mmbench-ru/lmms"
            responses = ask_all(backend, dataset, protocol)
            verdicts = judge_all(dataset, protocol, responses)
            shown += samples(dataset, responses, verdicts)
            result = score(dataset, protocol, verdicts)
            # the headline: exact match, circular accuracy, or accuracy over rows where no question was asked in two orders
            scores[dataset.name] = result.headline[1].value
        with torch.no_grad():
            loss = task.validation_loss([e for d in self.datasets for e in d.examples if not e.options])
        return Check(scores, loss, tuple(shown))


def _cut(dataset: Dataset) -> Dataset:
    """The first pictures or whole rotation groups: enough to steer by, quick enough to do often."""
    most = GQA_IMAGES if dataset.name == "gqa-ru" else CHOICE_GROUPS
    kept: dict[str, None] = {}
    examples: list[Example] = []
    for example in dataset.examples:
        kept.setdefault(example.cluster, None)
        if len(kept) <= most or example.cluster in list(kept)[:most]:
            examples.append(example)
    return Dataset(dataset.name, dataset.split, dataset.source, dataset.fingerprint, tuple(examples))


def _baselines(task: Task, datasets: list[Dataset]) -> dict[str, float]:
    """GQA exact match of the majority answer and of the question alone, per cent."""
    gqa = next((d for d in datasets if d.name == "gqa-ru"), None)
    if gqa is None:
        return {}
    train = [example for example in task.train_examples if not example.options]
    found = {}
    for label, backend in (
        ("самый частый ответ", MajorityBackend(train)),
        ("только вопрос", QuestionOnlyBackend(train)),
    ):
        result = score(gqa, "gqa-ru/lmms", judge_all(gqa, "gqa-ru/lmms", ask_all(backend, gqa, "gqa-ru/lmms")))
        found[label] = result.scores["gqa-ru/lmms"].value
    return found
