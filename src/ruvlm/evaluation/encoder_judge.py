"""A judge that costs nothing: a small encoder reads question, right answer and answer, and says whether they mean the same.

The input and its reading are those of MERA's own code (`question [SEP] gold [SEP] prediction`, the argmax of the classes; what stands
after «ОТВЕТ» is read too, of a text that is too long both its ends, and one reading as right is enough).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, final

from ruvlm.benchmarks.base import Protocol
from ruvlm.checkpoint import refuse_lost_folder
from ruvlm.errors import ConfigError, ModelError
from ruvlm.evaluation.judge import Judge, Judged, judgement_key, stored_judgements
from ruvlm.files import append_row
from ruvlm.numerals import decimal
from ruvlm.runtime import pick_device
from ruvlm.schema import LETTERS, Example, Metric, Response, Score, Verdict

DEFAULT = "MERA-evaluation/MERA_Answer_judge"
RULE = "judge:encoder"
BATCH = 32
MARK = "ОТВЕТ"
RUSSIAN = "какого цвета этот дом"
# what tokenizers without a limit give for one, and MERA's own limit
UNLIMITED, LONGEST = 1 << 20, 8192
RIGHT_LABELS = ("label_1", "1", "correct", "right", "true", "yes", "верно", "правильно")


@final
class EncoderJudge(Judge):
    """A sequence classifier of two classes, or of one, from a folder or the hub.

    Raises ConfigError for a model that is none, ModelError for one that cannot be loaded.
    """

    def __init__(self, name: str, device: str = "auto") -> None:
        import torch
        from safetensors import SafetensorError
        from transformers import AutoModelForSequenceClassification, AutoTokenizer

        if not Path(name).exists() and name.count("/") != 1:
            raise ConfigError(f"Папки судьи {name} нет: проверьте путь; имя на хабе – ОРГАНИЗАЦИЯ/ИМЯ.")
        refuse_lost_folder(name)
        self.name, self._torch = name, torch
        try:
            self._tokenizer: Any = AutoTokenizer.from_pretrained(name)
            model, loading = AutoModelForSequenceClassification.from_pretrained(
                name, dtype=torch.float32, output_loading_info=True
            )
        except (OSError, ValueError, RuntimeError, KeyError, SafetensorError) as error:
            raise ModelError(
                f"Судью {name} не загрузить ({str(error).splitlines()[0][:200]}): нужна папка или имя классификатора."
            ) from error
        if loading["missing_keys"]:
            absent = ", ".join(sorted(loading["missing_keys"])[:3])
            raise ConfigError(f"Судья {name}: весов классификатора нет ({absent}): нужен обученный классификатор.")
        self._refuse_tokenizer(model.config.vocab_size)
        self._right = _right_class(name, model.config)
        limits = (self._tokenizer.model_max_length, getattr(model.config, "max_position_embeddings", LONGEST), LONGEST)
        self._longest = min(limit for limit in limits if limit and limit < UNLIMITED)
        self._device = pick_device(device)
        self._model = model.to(self._device).eval()
        self._mark = f"encoder {name} {getattr(model.config, '_commit_hash', None) or _weights_mark(model)}"

    def _refuse_tokenizer(self, size: int) -> None:
        """Raise ConfigError for one that cannot have been the judge's."""
        tokenizer = self._tokenizer
        if tokenizer.sep_token is None or tokenizer.pad_token is None:
            raise ConfigError(
                f"Судья {self.name}: у его токенизатора нет [SEP] или [PAD], а вход судьи – вопрос [SEP] верный [SEP] ответ."
            )
        read = tokenizer(RUSSIAN, add_special_tokens=False)["input_ids"]
        if len(tokenizer) > size or not read or all(number == tokenizer.unk_token_id for number in read):
            raise ConfigError(
                f"Судья {self.name}: токенизатор не его (слов {len(tokenizer)}, а в модели {size}) или не знает русских букв."
            )

    def covers(self, protocol: Protocol) -> bool:
        return not protocol.choice

    def judge(
        self, examples: Sequence[Example], responses: Sequence[Response], verdicts: Sequence[Verdict], path: Path
    ) -> Judged:
        known = stored_judgements(path, "right")
        asked = [
            {(example.question, gold, response.text) for gold in _golds(example)} if _is_there(response) else set()
            for example, response in zip(examples, responses, strict=True)
        ]
        triples = dict.fromkeys(triple for row in asked for triple in sorted(row))
        keys = {triple: judgement_key(self._mark, repr(triple)) for triple in triples}
        missing = [triple for triple in triples if keys[triple] not in known]
        for triple, right in self._judged(missing):
            known[keys[triple]] = right
            append_row(path, {"key": keys[triple], "right": right})
        judged = [
            replace(verdict, scores={**verdict.scores, RULE: float(any(known[keys[t]] for t in row))})
            for verdict, row in zip(verdicts, asked, strict=True)
        ]
        return Judged(judged, f"{RULE} – {self.name}; это судья, а не правило: главным баллом не бывает")

    def _judged(self, triples: Sequence[tuple[str, str, str]]) -> Iterator[tuple[tuple[str, str, str], bool]]:
        """Alike lengths together; what is read as right in any of its forms is right."""
        forms = [(n, ids) for n, triple in enumerate(triples) for ids in self._forms(*triple)]
        forms.sort(key=lambda form: len(form[1]))
        rights = [False] * len(triples)
        for start in range(0, len(forms), BATCH):
            batch = forms[start : start + BATCH]
            for (n, _), right in zip(batch, self._classes([ids for _, ids in batch]), strict=True):
                rights[n] = rights[n] or right
        yield from zip(triples, rights, strict=True)

    def _forms(self, question: str, gold: str, answer: str) -> list[list[int]]:
        sep = self._tokenizer.sep_token
        texts = [f"{question}{sep}{gold}{sep}{answer}"]
        marked = answer.split(MARK)[-1].strip()
        if marked and marked != answer:
            texts.append(f"{question}{sep}{gold}{sep}{marked}")
        return [ids for text in texts for ids in self._ends(text)]

    def _ends(self, text: str) -> list[list[int]]:
        """The ids of a text, or of both its ends where it is too long."""
        ids: list[int] = self._tokenizer(text, verbose=False)["input_ids"]
        return [ids] if len(ids) <= self._longest else [ids[: self._longest], ids[-self._longest :]]

    def _classes(self, batch: Sequence[list[int]]) -> list[bool]:
        padded = self._tokenizer.pad({"input_ids": list(batch)}, return_tensors="pt").to(self._device)
        with self._torch.inference_mode():
            logits_BC = self._model(input_ids=padded["input_ids"], attention_mask=padded["attention_mask"]).logits
        if logits_BC.shape[1] == 1:
            return [bool(value) for value in (logits_BC[:, 0] > 0).tolist()]
        return [number == self._right for number in logits_BC.argmax(dim=1).tolist()]


def _golds(example: Example) -> tuple[str, ...]:
    """In words: of a question with options the text that a letter stands for."""
    return tuple(example.options[LETTERS.index(a)] if example.options else a for a in example.answers)


def _is_there(response: Response) -> bool:
    return response.error is None and bool(response.text.strip())


def _right_class(name: str, config: Any) -> int:
    """Which of a classifier's classes means that an answer is right."""
    count = config.num_labels
    if count == 1:
        return 0
    if count != 2:
        raise ConfigError(f"Судья {name}: классов у него {count}, а нужно два – верно и неверно.")
    labels = {int(number): str(label).lower() for number, label in config.id2label.items()}
    right = [number for number, label in labels.items() if label in RIGHT_LABELS]
    if len(right) != 1:
        raise ConfigError(
            f"Судья {name}: который из классов {', '.join(labels.values())} значит «верно», не понять: назовите его correct."
        )
    return right[0]


def _weights_mark(model: Any) -> str:
    """A hash of the weights: a folder of the same name may hold another judge."""
    import hashlib

    digest = hashlib.sha256()
    for tensor_name, tensor in sorted(model.state_dict().items()):
        digest.update(tensor_name.encode() + tensor.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()[:12]


def recovered(scores: dict[str, Score], rules: Sequence[str]) -> dict[str, Metric]:
    """How much of the gap between a protocol's first rule and the encoder judge its other rules close, in per cent.

    Of rows, whatever average stands before them; nothing without a gap.
    """
    judge, first = scores.get(RULE), scores.get(rules[0])
    if judge is None or first is None or judge.value <= first.value:
        return {}
    gap = judge.value - first.value
    note = f"из разрыва {decimal(gap)} пункта между {rules[0]} и {RULE}, %"
    return {
        f"доля разрыва с судьёй, {rule}": Metric(100 * (scores[rule].value - first.value) / gap, scores[rule].n, note)
        for rule in rules[1:]
    }
