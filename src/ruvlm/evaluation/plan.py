"""From what a user asks (a model, data, a split) to evaluations with their controls, each in its folder."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import MappingProxyType

from ruvlm.backends.base import Access, Asked, Backend
from ruvlm.backends.controls import (
    BlindBackend,
    GuessBackend,
    MajorityBackend,
    PicturelessBackend,
    RandomBackend,
    ShuffledBackend,
)
from ruvlm.backends.openai_http import open_openai
from ruvlm.backends.question_only import QuestionOnlyBackend
from ruvlm.benchmarks.catalog import benchmark_named, protocol_named
from ruvlm.benchmarks.source import Source, open_by_card, open_source
from ruvlm.benchmarks.wordings import MARK, other_wordings
from ruvlm.errors import ConfigError, DataError, MissingSplitError, ModelError
from ruvlm.evaluation.asking import Evaluation, Progress, evaluate, protocols_for
from ruvlm.evaluation.blind import RowBias, blind_section, row_biases
from ruvlm.evaluation.encoder_judge import DEFAULT, EncoderJudge
from ruvlm.evaluation.evaluated import CHANGED, CONTROLS, is_control
from ruvlm.evaluation.folder import EvaluationFolder
from ruvlm.evaluation.judge import Judge, LetterJudge
from ruvlm.evaluation.probe import Honesty, at_once, honesty, probe
from ruvlm.processes import current_ranks, local_device
from ruvlm.registry import BACKENDS, backend_schemes, lookup
from ruvlm.run_folder import BEST, FINAL, RunFolder
from ruvlm.schema import Dataset, Example

# tokens for a thought and the answer after it
THINKING_ROOM = 8192
# the controls that see no picture and may well be right for all that
BLINDNESS = ("question-only", "blind", "no-picture", "guess")
CHANGES = MappingProxyType(
    {kind.kind: kind for kind in (BlindBackend, PicturelessBackend, GuessBackend, ShuffledBackend)}
)


def evaluate_model(
    model: str | Backend,
    data: str,
    split: str,
    protocols: tuple[str, ...] = (),
    controls: bool = True,
    out: Path | None = None,
    *,
    access: Access = Access(),  # noqa: B008
    max_new_tokens: int | None = None,
    judge: str | None = None,
    progress: Progress | None = None,
    limit: int | None = None,
    skip_bad: bool = False,
    card: Path | None = None,
    blind: bool | None = None,
    probed: bool = True,
    prompts: int = 1,
    report: Callable[[str], None] = lambda _: None,
) -> list[Evaluation]:
    """Evaluate a model, then its controls, under every protocol asked for. Raises RuvlmError.

    An empty `split` is the one that each benchmark is mostly asked on. With a `card` the data are what it says, in the folder `data` where
    that is not empty. `blind`: without its picture too; None, where that costs nothing. `probed`: a server is asked some rows several ways
    before the rest. `prompts`: in how many wordings the model is asked.

    Under torchrun every process asks about its own pictures, and all return the same.
    """
    source = _opened(data, card, skip_bad, report)
    _ = [protocol_named(name) for name in protocols]  # a wrong one is told of before anything is asked
    if access.thinking and max_new_tokens is None:
        max_new_tokens = THINKING_ROOM
    main, *beside = backends_of(model, source, split, controls, access, limit, report, blind)
    root = out or RunFolder(_home(main.name if isinstance(model, Backend) else model)).evaluations
    ask = partial(
        evaluate,
        progress=progress,
        max_new_tokens=max_new_tokens,
        ranks=current_ranks(),
        judge=None if judge is None else judge_named(judge, access),
        where=data,
        probed=probed,
    )
    done: list[Evaluation] = []
    for dataset in _datasets(source, split, limit, protocols, report):
        if not main.covers(dataset) and not protocols and len(source.benchmarks) > 1:
            report(f"{main.name} не отвечает на вопросы {dataset.name}, пропускаю")
            continue
        asked: set[str] = set()  # what a model was not asked, its controls are not
        for backend in (main,) if dataset.hidden else (main, *_able(beside, dataset, report)):
            names = [name for name in protocols_of(backend, dataset, protocols) if backend is main or name in asked]
            asked = {*names} if backend is main else asked
            for protocol in names if backend is not main else _in_other_words(dataset, names, prompts):
                folder = root / _folder_name(dataset, protocol, backend.name, max_new_tokens)
                done.append(ask(backend, dataset, protocol, folder))
    if not done:
        raise ConfigError(
            f"Для {main.name} на {data} нет ни одного подходящего протокола: проверьте --protocol, --split."
        )
    return with_blind_sections(done, main.name) if (controls or blind) and not is_control(main.name) else done


def _able(controls: Sequence[Backend], dataset: Dataset, report: Callable[[str], None]) -> list[Backend]:
    """The controls that can say anything of a data set: not every model answers without a picture."""
    able = []
    for control in controls:
        try:
            control.begin(dataset)
        except ModelError as error:
            report(f"{control.name} пропущен: {error}")
            continue
        able.append(control)
    return able


def _in_other_words(dataset: Dataset, names: Sequence[str], prompts: int) -> list[str]:
    """Protocols with `prompts` wordings of each that asks in words. Raises ConfigError where none does, or there are not so many."""
    benchmark = benchmark_named(dataset.name)
    spoken = [protocol for protocol in map(protocol_named, names) if not (protocol.likelihood or protocol.template)]
    if prompts > 1 and not spoken:
        raise ConfigError(f"--prompts: {', '.join(names)} ни о чём не просит словами, других просьб нет.")
    others: dict[str, None] = {}
    for protocol in spoken:
        if protocol.name not in others:  # else it is another's wording, and so are its own others
            others |= dict.fromkeys(one.name for one in other_wordings(benchmark, protocol, prompts - 1))
    return list(dict.fromkeys([*names, *others]))


def _opened(data: str, card: Path | None, skip_bad: bool, report: Callable[[str], None]) -> Source:
    """The data, and what had to be guessed of them told."""
    source = open_source(data, skip_bad) if card is None else open_by_card(card, Path(data) if data else None, skip_bad)
    for opened in source.guesses:
        report(f"Карточка угадана по строкам, сохранить её – --save-card ФАЙЛ.toml:\n\n{opened.text()}")
    for question in source.guessed_questions():
        report(question)
    return source


def with_blind_sections(done: Sequence[Evaluation], model: str) -> list[Evaluation]:
    """Each evaluation of a model with what it owes to the picture, by the controls on the same rows; kept in its folder too."""
    biases: dict[str, Mapping[str, RowBias]] = {}
    sections: list[Evaluation] = []
    for one in done:
        # in other words the controls were not asked
        if (
            one.model != model
            or one.dataset.hidden
            or one.folder is None
            or MARK in one.protocol
            or not _pictured(one.dataset)
        ):
            sections.append(one)
            continue
        protocol = protocol_named(one.protocol)
        if one.protocol not in biases:
            biases[one.protocol] = row_biases(protocol, one.dataset.examples)
        controls = {
            other.model.partition(":")[0]: other.verdicts
            for other in done
            if other.protocol == one.protocol and other.model.partition(":")[0] in BLINDNESS
        }
        section = blind_section(one.dataset, protocol, one.verdicts, controls, biases[one.protocol])
        if current_ranks().first:
            EvaluationFolder(one.folder).keep_blind(section)
        sections.append(replace(one, blind=section))
    return sections


def _pictured(dataset: Dataset) -> bool:
    return any(example.images for example in dataset.examples)


def probe_server(server: str, data: str, rows: int, access: Access) -> Honesty:
    """Ask a server the first `rows` questions about different pictures in every way that a probe knows.

    Raises ConfigError for what is no server, ModelError for one that does not answer, DataError where there are no two pictures.
    """
    backend = backend_named(server, [], access)
    if not backend.served:
        raise ConfigError(f"doctor «{server}»: осматривать можно сервер, openai:МОДЕЛЬ@URL.")
    source = open_source(data)
    dataset = source.load(source.benchmarks[0], "")
    protocol = benchmark_named(dataset.name).protocols[0]
    if protocol.likelihood:
        raise ConfigError(f"doctor: вопросы {dataset.name} серверу словами не задать, дайте другой --data.")
    asked = [Asked(protocol.prompt(example), example) for example in dataset.examples]
    answers = probe(backend, asked, rows)
    if not answers:
        raise DataError(f"В {data} нет двух вопросов о разных картинках: дайте другой --data.")
    if all(answer.text is None for answer in answers):
        raise ModelError(f"Сервер {server} не ответил ни на один вопрос: проверьте его одним вопросом, ruvlm ask.")
    return honesty([*answers, *at_once(backend, asked, rows)])


def backends_of(
    model: str | Backend,
    source: Source,
    split: str,
    controls: bool,
    access: Access,
    limit: int | None,
    report: Callable[[str], None],
    blind: bool | None = None,
) -> list[Backend]:
    """The model, and beside it the controls where they are wanted; blind ones of the model itself as far as it can be asked so."""
    train = training_rows(source, split) if controls or model in CONTROLS else []
    chosen: tuple[str, ...] = CONTROLS
    if not train and (controls or model in CONTROLS):
        if model == "question-only":
            raise ConfigError(f"В {source.folder} нет части train: контролю question-only не на чем учиться.")
        train, chosen = _own_rows(source, split, limit), ("random", "majority")
        report(
            f"в {source.folder} нет части train: question-only не обучить, а random и majority берут ответы из самой проверяемой части"
        )
    here = replace(access, device=local_device(access.device))
    main = model if isinstance(model, Backend) else backend_named(model, train, here)
    if blind and (main.replays or is_control(main.name)):
        raise ConfigError(f"--blind: {main.name} на картинку не смотрит, вслепую его не спросить.")
    others = [backend_named(name, train, access) for name in chosen if name != model] if controls else []
    if not ((controls and main.free) if blind is None else blind) or main.replays or is_control(main.name):
        return [main, *others]
    without = [] if main.one_picture else [PicturelessBackend(main), GuessBackend(main)]
    return [main, *others, BlindBackend(main), *without]


def _datasets(
    source: Source, split: str, limit: int | None, protocols: Sequence[str], report: Callable[[str], None]
) -> list[Dataset]:
    """The split of every benchmark that a protocol asks for, or of all. Raises MissingSplitError where none has it."""
    asked = {protocol_named(name).benchmark for name in protocols} or set(source.benchmarks)
    datasets, missing = [], False
    for benchmark in source.benchmarks:
        try:
            datasets += [source.load(benchmark, split, limit=limit)] if benchmark in asked else []
        except MissingSplitError:
            if len(source.benchmarks) == 1:
                raise
            report(f"в {source.folder} у {benchmark} нет части «{split or 'test'}», пропускаю")
            missing = True
    if missing and not datasets:
        raise MissingSplitError(
            f"В {source.folder} нет части «{split or 'test'}»: проверьте --split (ruvlm data check {source.folder} покажет, что есть)."
        )
    return datasets


def protocols_of(backend: Backend, dataset: Dataset, wanted: tuple[str, ...]) -> tuple[str, ...]:
    """The protocols asked for that are of this data set, or all that the backend can follow."""
    if not wanted:
        return protocols_for(dataset, backend)
    chosen = tuple(name for name in wanted if protocol_named(name).benchmark == dataset.name)
    blind = next((name for name in chosen if protocol_named(name).likelihood and not backend.scores_candidates), None)
    if blind is not None:
        raise ConfigError(f"{backend.name} не оценивает варианты по правдоподобию: протокол {blind} ей не подходит.")
    mute = next((name for name in chosen if protocol_named(name).system and not backend.follows_system), None)
    if mute is not None:
        raise ConfigError(f"{backend.name} не принимает системных сообщений: протокол {mute} ей не подходит.")
    return chosen


def _folder_name(dataset: Dataset, protocol: str, model: str, max_new_tokens: int | None) -> str:
    known = protocol_named(protocol)
    # a card is edited and asked again: its protocols of one name may be two
    named = f"{protocol}-{known.wording[:6]}" if known.mark else protocol
    parts = [dataset.source, dataset.split, named, model]
    if max_new_tokens is not None:
        parts.append(f"max{max_new_tokens}")
    return "-".join(re.sub(r"[^\w.+~-]", "_", part) for part in parts)


def judge_named(name: str, access: Access) -> Judge:
    """«openai:MODEL@URL» → who reads unread letters; «encoder», «encoder:FOLDER» → who judges short answers. Raises RuvlmError."""
    scheme, _, rest = name.partition(":")
    if scheme == "encoder":
        return EncoderJudge(rest or DEFAULT, access.device)
    if scheme != "openai":
        raise ConfigError(f"--judge «{name}»: судьёй может быть сервер, openai:МОДЕЛЬ@URL, или encoder[:ПАПКА].")
    return LetterJudge(open_openai(rest, replace(access, prices=None)))


def backend_named(name: str, train: list[Example], access: Access) -> Backend:
    """A control, «blind:MODEL», «no-picture:MODEL», «guess:MODEL», «shuffled:MODEL», «hf:…», «openai:…», «file:…» or a folder → backend. Raises RuvlmError.

    `train` is what the controls learn from.
    """
    scheme, colon, rest = name.partition(":")
    if not name.strip():
        raise ConfigError("Имя модели пусто: нужна папка запуска, hf:…, openai:…, file:… или контроль.")
    if colon and scheme in CHANGES:
        if rest in CONTROLS:
            raise ConfigError(f"{name}: контроль {rest} на картинку не смотрит, подменять её незачем.")
        changed: Backend = CHANGES[scheme](backend_named(rest, train, access))
        return changed
    if colon and (scheme in BACKENDS or not Path(name).exists()):
        opened: Backend = lookup(backend_schemes(), scheme, "Схема модели")(rest, access)
        return opened
    if name in CONTROLS:
        makers = {"majority": MajorityBackend, "random": RandomBackend, "question-only": QuestionOnlyBackend}
        made: Backend = makers[name](train)
        return made
    from ruvlm.backends.local import load_local, pretrained_spec
    from ruvlm.runtime import keep_freed_memory, pick_device

    keep_freed_memory()
    pretrained = pretrained_spec(name)
    if pretrained is not None:
        opened = lookup(BACKENDS, "hf", "Схема модели")(pretrained, access)
        return opened
    return load_local(name, pick_device(access.device))


def _own_rows(source: Source, split: str, limit: int | None) -> list[Example]:
    """The rows that are evaluated, for controls that have nothing else to go by."""
    rows: list[Example] = []
    for benchmark in source.benchmarks:
        try:
            rows += [row for row in source.load(benchmark, split, limit=limit).examples if row.answers]
        except MissingSplitError:
            continue
    return rows


def training_rows(source: Source, asked: str = "test") -> list[Example]:
    """The training examples that controls learn from; none where the data has no training split, or that is the one asked."""
    rows: list[Example] = []
    for benchmark in source.benchmarks:
        rows += [example for example in _training_split(source, benchmark, asked) if example.answers]
    return rows


def _training_split(source: Source, benchmark: str, asked: str) -> tuple[Example, ...]:
    known = benchmark_named(benchmark)
    if known.own_split("train") == known.own_split(asked):
        return ()
    try:
        return source.load(benchmark, "train", bare=True).examples
    except MissingSplitError:
        return ()


def _home(model: str) -> Path:
    """The run folder a model is in, else results/, where the evaluations of what is no folder here go."""
    folder = Path(re.sub(f"^(({'|'.join(CHANGED)}):)+", "", model))
    if folder.name in (BEST, FINAL):
        folder = folder.parent
    return folder if folder.is_dir() else Path("results")
