"""What nano is taught beside the answers: each lesson one loss, from what it notes of a question to what it weighs.

Shapes: B pictures, P visual tokens, R rows of text, T tokens of a row, M mentions, K questions whose answer is somewhere, L pairs,
Q questions with deciding words, C lettered questions, W words of a thing, D width, S columns that a head looks over.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, final

import torch
import torch.nn.functional as F
from torch import Tensor

from ruvlm.models.nano.grounding import (
    COLOURS,
    IGNORED,
    Lexicon,
    decisive_tokens,
    description,
    likeness,
    names,
    relation,
    same_colour,
)
from ruvlm.models.nano.model import NanoNetwork, Prefix, Traces
from ruvlm.models.nano.notes import Compared, Decided, Listed, Matched, Mentioned, Note, Placed, Pointed
from ruvlm.models.nano.settings import NanoTraining
from ruvlm.models.nano.tokenizer import CHOICE_LETTERS
from ruvlm.schema import Region

if TYPE_CHECKING:
    from ruvlm.models.nano.packing import PackedBatch, Packer, Row

EMPTY_CELL_WEIGHT = 0.1
EMPTY_STRIDE = 7


class Lesson(ABC):
    """One loss beside the answers'.

    `name` is what its part of the loss is called; a lesson that `fades` is scaffolding, which comes down as the answers stand.
    """

    name: str
    fades: bool = True

    def collect(self, question: Placed, lexicon: Lexicon) -> Iterable[Note]:
        """What it notes of a question as it is packed; lessons may share one another's notes."""
        return ()

    def tensors(self, rows: Sequence[Row], packer: Packer) -> dict[str, Tensor]:
        """What its loss needs of a batch's notes."""
        return {}

    @abstractmethod
    def loss(self, model: NanoNetwork, prefix: Prefix, traces: Traces, batch: PackedBatch) -> Tensor:
        """A scalar; 0 where a batch has nothing to teach it."""

    @abstractmethod
    def weight(self, train: NanoTraining) -> float:
        """What it counts beside the answers."""


@final
class Words(Lesson):
    """What each cell of the picture shows."""

    name = "words"

    def loss(self, model: NanoNetwork, prefix: Prefix, traces: Traces, batch: PackedBatch) -> Tensor:
        return word_loss(model, prefix.seen_BPD, batch.words_BPW)[0]

    def weight(self, train: NanoTraining) -> float:
        return train.word_weight


@final
class Mentions(Lesson):
    """A word that names a thing looks at it."""

    name = "mentions"

    def collect(self, question: Placed, lexicon: Lexicon) -> Iterable[Note]:
        return [Mentioned(token, mention.region) for mention, token in question.mentions.items()]

    def tensors(self, rows: Sequence[Row], packer: Packer) -> dict[str, Tensor]:
        return {"mention_cells_MP": packer.cells([(n.region.box,) for row in rows for n in row.noted(Mentioned)])}

    def loss(self, model: NanoNetwork, prefix: Prefix, traces: Traces, batch: PackedBatch) -> Tensor:
        wanted_MP = batch.taught["mention_cells_MP"]
        return looking_loss(traces.mentions_MS[:, : wanted_MP.shape[1]], wanted_MP)

    def weight(self, train: NanoTraining) -> float:
        return train.mention_weight


@final
class Points(Lesson):
    """The end of a question looks at the things that decide its answer."""

    name = "points"

    def collect(self, question: Placed, lexicon: Lexicon) -> Iterable[Note]:
        regions = question.item.example.answer_regions
        return [Pointed(question.last, regions)] if regions else []

    def tensors(self, rows: Sequence[Row], packer: Packer) -> dict[str, Tensor]:
        groups = [tuple(r.box for r in note.regions) for row in rows for note in row.noted(Pointed)]
        return {"point_cells_KP": packer.cells(groups)}

    def loss(self, model: NanoNetwork, prefix: Prefix, traces: Traces, batch: PackedBatch) -> Tensor:
        wanted_KP = batch.taught["point_cells_KP"]
        return looking_loss(traces.points_KS[:, : wanted_KP.shape[1]], wanted_KP)

    def weight(self, train: NanoTraining) -> float:
        return train.point_weight


@final
class Pairs(Lesson):
    """The second of two coloured things looks at the first if they are alike, else at itself."""

    name = "pairs"

    def collect(self, question: Placed, lexicon: Lexicon) -> Iterable[Note]:
        if question.pair is None:
            return []
        first, second, things = question.pair
        alike = same_colour(*things)
        return [] if alike is None else [Matched(second, first if alike else second, things)]

    def tensors(self, rows: Sequence[Row], packer: Packer) -> dict[str, Tensor]:
        return {"pair_columns_LT": packer.marked([(n.column,) for row in rows for n in row.noted(Matched)], rows)}

    def loss(self, model: NanoNetwork, prefix: Prefix, traces: Traces, batch: PackedBatch) -> Tensor:
        wanted_LT = batch.taught["pair_columns_LT"]
        return looking_loss(traces.pairs_LS[:, prefix.seen_BPD.shape[1] :], wanted_LT)

    def weight(self, train: NanoTraining) -> float:
        return train.point_weight


@final
class Alike(Lesson):
    """Do any two coloured things of one colour find each other, and things of different colours not?

    Few questions compare colours; this compares all that a batch's questions mention.
    """

    name = "alike"

    def tensors(self, rows: Sequence[Row], packer: Packer) -> dict[str, Tensor]:
        notes = [(row.owner, note.region) for row in rows for note in row.noted(Mentioned)]
        colours = [
            next((packer.lexicon.token(w) for w in region.words if w in COLOURS), IGNORED) for _, region in notes
        ]
        numbers: dict[tuple[int, Region], int] = {}
        things = [numbers.setdefault(thing, len(numbers)) for thing in notes]
        return {
            "mention_colours_M": torch.tensor(colours, dtype=torch.long),
            "mention_things_M": torch.tensor(things, dtype=torch.long),
        }

    def loss(self, model: NanoNetwork, prefix: Prefix, traces: Traces, batch: PackedBatch) -> Tensor:
        scores_MM = traces.alike_MM
        colours_M, things_M = batch.taught["mention_colours_M"], batch.taught["mention_things_M"]
        coloured = (colours_M[:, None] >= 0) & (colours_M[None] >= 0) & (things_M[:, None] != things_M[None])
        same = colours_M[:, None] == colours_M[None]
        alike, unlike = coloured & same, coloured & ~same
        if not bool(alike.any()) or not bool(unlike.any()):
            return scores_MM.new_zeros(())
        return 0.5 * (F.softplus(-scores_MM[alike]).mean() + F.softplus(scores_MM[unlike]).mean())

    def weight(self, train: NanoTraining) -> float:
        return train.point_weight


@final
class Decisive(Lesson):
    """The end of a question looks at the words that its answer hangs on."""

    name = "decisive"
    fades = False

    def collect(self, question: Placed, lexicon: Lexicon) -> Iterable[Note]:
        if question.options:
            return [Decided(question.slot, (question.options[question.item.right_option],))]
        columns = decisive_tokens(question.item.example, question.prompt, lexicon)
        return [Decided(question.slot, tuple(question.start + c for c in columns))] if columns else []

    def tensors(self, rows: Sequence[Row], packer: Packer) -> dict[str, Tensor]:
        return {"decisive_QT": packer.marked([n.columns for row in rows for n in row.noted(Decided)], rows)}

    def loss(self, model: NanoNetwork, prefix: Prefix, traces: Traces, batch: PackedBatch) -> Tensor:
        return looking_loss(traces.decisive_QS[:, prefix.seen_BPD.shape[1] :], batch.taught["decisive_QT"])

    def weight(self, train: NanoTraining) -> float:
        return train.decisive_weight


@final
class MentionWords(Lesson):
    """A word that has found a thing knows what it is like."""

    name = "mention_words"

    def tensors(self, rows: Sequence[Row], packer: Packer) -> dict[str, Tensor]:
        return {"mention_words_MW": packer.words([description(n.region) for row in rows for n in row.noted(Mentioned)])}

    def loss(self, model: NanoNetwork, prefix: Prefix, traces: Traces, batch: PackedBatch) -> Tensor:
        index_M, words_MW = batch.places.mentions_M, batch.taught["mention_words_MW"]
        return description_loss(model.described, traces.mentioned_RTD, index_M, words_MW)

    def weight(self, train: NanoTraining) -> float:
        return train.describe_weight


@final
class PointWords(Lesson):
    """The end of a question knows what the thing it has found is like; several things are only named."""

    name = "point_words"

    def tensors(self, rows: Sequence[Row], packer: Packer) -> dict[str, Tensor]:
        regions = [note.regions for row in rows for note in row.noted(Pointed)]
        # several things' colours would not be anyone's
        return {"point_words_KW": packer.words([description(r[0]) if len(r) == 1 else names(r) for r in regions])}

    def loss(self, model: NanoNetwork, prefix: Prefix, traces: Traces, batch: PackedBatch) -> Tensor:
        index_K, words_KW = batch.places.points_K, batch.taught["point_words_KW"]
        return description_loss(model.described, traces.pointed_RTD, index_K, words_KW)

    def weight(self, train: NanoTraining) -> float:
        return train.describe_weight


@final
class PairWords(Lesson):
    """Where both of two things are known, so is how one is placed to the other."""

    name = "pair_words"

    def collect(self, question: Placed, lexicon: Lexicon) -> Iterable[Note]:
        if question.pair is None:
            return []
        # the second of two mentions is the first place where both are known
        _, second, things = question.pair
        return [Compared(second, things), Compared(question.last, things)]

    def tensors(self, rows: Sequence[Row], packer: Packer) -> dict[str, Tensor]:
        return {
            "related_L": packer.index(rows, Compared),
            "pair_words_LW": packer.words([relation(*n.things) for row in rows for n in row.noted(Compared)]),
        }

    def loss(self, model: NanoNetwork, prefix: Prefix, traces: Traces, batch: PackedBatch) -> Tensor:
        index_L, words_LW = batch.taught["related_L"], batch.taught["pair_words_LW"]
        return description_loss(model.related, traces.pointed_RTD, index_L, words_LW)

    def weight(self, train: NanoTraining) -> float:
        return train.describe_weight


@final
class Likeness(Lesson):
    """The second of two coloured things knows whether they are of one colour, and of which."""

    name = "likeness"

    def tensors(self, rows: Sequence[Row], packer: Packer) -> dict[str, Tensor]:
        return {"likeness_LW": packer.words([likeness(*n.things) for row in rows for n in row.noted(Matched)])}

    def loss(self, model: NanoNetwork, prefix: Prefix, traces: Traces, batch: PackedBatch) -> Tensor:
        return description_loss(model.related, traces.weighed_RTD, batch.places.seconds_L, batch.taught["likeness_LW"])

    def weight(self, train: NanoTraining) -> float:
        return train.describe_weight


@final
class Options(Lesson):
    """Options know their letters, and which of them is right."""

    name = "options"
    fades = False

    def collect(self, question: Placed, lexicon: Lexicon) -> Iterable[Note]:
        return [Listed(tuple(question.options), question.item.right_option)] if question.options else []

    def tensors(self, rows: Sequence[Row], packer: Packer) -> dict[str, Tensor]:
        most, length = len(CHOICE_LETTERS), packer.length(rows)
        options, letters, right = [], [], []
        for number, row in enumerate(rows):
            for note in row.noted(Listed):
                spare = [IGNORED] * (most - len(note.tokens))
                options.append([number * length + token for token in note.tokens] + spare)
                letters.append(packer.letters[: len(note.tokens)] + spare)
                right.append(note.right)
        return {
            "options_C5": torch.tensor(options, dtype=torch.long).reshape(-1, most),
            "option_letters_C5": torch.tensor(letters, dtype=torch.long).reshape(-1, most),
            "right_C": torch.tensor(right, dtype=torch.long),
        }

    def loss(self, model: NanoNetwork, prefix: Prefix, traces: Traces, batch: PackedBatch) -> Tensor:
        options_C5, letters_C5 = batch.taught["options_C5"], batch.taught["option_letters_C5"]
        if len(options_C5) == 0:
            return traces.last_RAD.new_zeros(())
        states = traces.weighed_RTD.flatten(0, 1)[options_C5.clamp(min=0)]
        given_C5 = options_C5 >= 0
        scores = model.weighed(states).float().masked_fill(~given_C5, -1e4)
        known, _ = word_cross_entropy(model.described(states[given_C5]), letters_C5[given_C5][:, None])
        return F.cross_entropy(scores, batch.taught["right_C"]) + 0.3 * known.mean()

    def weight(self, train: NanoTraining) -> float:
        return train.choice_weight


LESSONS: tuple[Lesson, ...] = (
    Words(),
    Mentions(),
    Points(),
    Pairs(),
    Alike(),
    Decisive(),
    MentionWords(),
    PointWords(),
    PairWords(),
    Likeness(),
    Options(),
)


def word_loss(model: NanoNetwork, seen_BPD: Tensor, words_BPW: Tensor) -> tuple[Tensor, float]:
    """Cross-entropy of each cell's words under the tied word embeddings, and how much its cells count: empty ones little."""
    if not bool((words_BPW >= 0).any()):
        return seen_BPD.new_zeros(()), 0.0
    count_BP = (words_BPW >= 0).sum(-1)
    # of the many empty cells every seventh is enough, another column in each row
    sampled_P = torch.arange(count_BP.shape[1], device=count_BP.device) % EMPTY_STRIDE == 0
    kept_BP = (count_BP > 1) | ((count_BP > 0) & sampled_P)
    loss, count = word_cross_entropy(F.linear(seen_BPD[kept_BP], model.embed.weight), words_BPW[kept_BP])
    weight = torch.where(count > 1, 1.0, EMPTY_STRIDE * EMPTY_CELL_WEIGHT)
    total = weight.sum().clamp(min=EMPTY_CELL_WEIGHT)  # a picture may have no cell kept
    return (loss * weight).sum() / total, float(total)


def word_cross_entropy(logits_NV: Tensor, words_NW: Tensor) -> tuple[Tensor, Tensor]:
    """Mean cross-entropy of each row's words, and how many words it has. [N], [N]."""
    given_NW = words_NW >= 0
    logprobs = logits_NV.float().log_softmax(-1)
    count = given_NW.sum(-1)
    return -(logprobs.gather(-1, words_NW.clamp(min=0)) * given_NW).sum(-1) / count.clamp(min=1), count


def description_loss(
    describe: Callable[[Tensor], Tensor], hidden_RTD: Tensor, index_M: Tensor, words_MW: Tensor
) -> Tensor:
    """Does a token that has found a thing know its words?"""
    known = (words_MW >= 0).any(-1)
    if not bool(known.any()):
        return hidden_RTD.new_zeros(())
    loss, _ = word_cross_entropy(describe(hidden_RTD.flatten(0, 1)[index_M[known]]), words_MW[known])
    return loss.mean()


def looking_loss(looks_NC: Tensor, wanted_NC: Tensor) -> Tensor:
    """How far log-attentions are from the cells, or words, that they should look at."""
    if len(looks_NC) == 0:
        return looks_NC.new_zeros(())
    return -((looks_NC * wanted_NC).sum(-1) / wanted_NC.sum(-1)).mean()
