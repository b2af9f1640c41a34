"""The encoder judge: its verdicts are those of transformers' own forward, one text at a time; it never leads and changes nothing."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from transformers import (
    AutoModelForSequenceClassification,
    AutoTokenizer,
    BertConfig,
    BertForSequenceClassification,
    BertModel,
    ModernBertConfig,
    ModernBertForSequenceClassification,
    PreTrainedTokenizerFast,
)

from ruvlm.benchmarks.catalog import protocol_named
from ruvlm.evaluation.encoder_judge import EncoderJudge, recovered
from ruvlm.schema import Response, Score
from tests.support.house import Ran
from tests.support.rows import example as example_of

Run = Callable[..., Ran]
SHAPE = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 48}


def tokenizer_of(folder: Path) -> PreTrainedTokenizerFast:
    """Letters, with [CLS] and [SEP] put round a text as BERT's does."""
    letters = sorted({chr(code) for code in range(ord("а"), ord("я") + 1)} | set("АБВОТЕЛМНРСТДК?., ёqz0123456789"))
    vocabulary = {word: n for n, word in enumerate(["[PAD]", "[UNK]", "[CLS]", "[SEP]", *letters])}
    tokenizer = Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]", continuing_subword_prefix=""))
    tokenizer.pre_tokenizer = pre_tokenizers.Split("", "isolated")
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    wrapped = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        unk_token="[UNK]",
        cls_token="[CLS]",
        sep_token="[SEP]",
        pad_token="[PAD]",
        model_max_length=96,
    )
    wrapped.save_pretrained(folder)
    return wrapped


def _balance(model: Any, tokenizer: Any) -> None:
    """An untrained head says the same of everything: this one takes half of some texts for right."""
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.dim() == 2:
                parameter.mul_(8)
    texts = [f"какой предмет {n + 6}?[SEP]слово {(n + 6) % 5}[SEP]ответ {n} {'аб' * (n % 9)}" for n in range(0, 60, 2)]
    with torch.no_grad():
        logits = torch.cat([model(**tokenizer(text, return_tensors="pt")).logits for text in texts])
        ahead = (logits[:, 1] - logits[:, 0]).sort().values
        model.classifier.bias[1] -= (ahead[14] + ahead[15]) / 2


def judge_folder(folder: Path, kind: str = "bert", labels: int = 2) -> Path:
    torch.manual_seed(3)
    size = len(tokenizer_of(folder))
    if kind == "bert":
        config = BertConfig(vocab_size=size, max_position_embeddings=96, num_labels=labels, **SHAPE)
        model = BertForSequenceClassification(config)
    else:
        config = ModernBertConfig(
            vocab_size=size,
            max_position_embeddings=96,
            num_labels=labels,
            pad_token_id=0,
            bos_token_id=2,
            cls_token_id=2,
            eos_token_id=3,
            sep_token_id=3,
            attn_implementation="eager",
            **SHAPE,
        )
        model = ModernBertForSequenceClassification(config)
    if labels == 2:
        _balance(model.eval(), AutoTokenizer.from_pretrained(folder))
    model.save_pretrained(folder)
    return folder


def headless(folder: Path) -> Path:
    """An encoder that was never taught to judge."""
    size = len(tokenizer_of(folder))
    BertModel(BertConfig(vocab_size=size, max_position_embeddings=96, **SHAPE)).save_pretrained(folder)
    return folder


def relabelled(folder: Path, labels: dict[str, str]) -> Path:
    path = judge_folder(folder) / "config.json"
    config = json.loads(path.read_text(encoding="utf-8"))
    config |= {"id2label": labels, "label2id": {label: int(number) for number, label in labels.items()}}
    path.write_text(json.dumps(config), encoding="utf-8")
    return folder


def spoilt(folder: Path) -> Path:
    """Weights that are no safetensors."""
    (judge_folder(folder) / "model.safetensors").write_bytes(b"garbage" * 100)
    return folder


def without_words(folder: Path) -> Path:
    """A tokenizer to which every Russian word is unknown."""
    path = judge_folder(folder) / "tokenizer.json"
    tokenizer = json.loads(path.read_text(encoding="utf-8"))
    tokenizer["model"]["vocab"] = {"[PAD]": 0, "[UNK]": 1, "[CLS]": 2, "[SEP]": 3}
    path.write_text(json.dumps(tokenizer), encoding="utf-8")
    return folder


def by_transformers(folder: Path, question: str, gold: str, answer: str) -> bool:
    """MERA's reading: text by text, unpadded, the second class wins."""
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModelForSequenceClassification.from_pretrained(folder).eval()
    texts = {answer, answer.split("ОТВЕТ")[-1].strip()} - {""}
    for text in texts:
        ids = tokenizer(f"{question}[SEP]{gold}[SEP]{text}", return_tensors="pt")["input_ids"]
        for part in (ids[:, :96], ids[:, -96:]):
            if model(part).logits.argmax(dim=1).item() == 1:
                return True
    return False


@pytest.mark.parametrize("kind", ["bert", "modernbert"])
def test_verdicts_are_those_of_the_model_alone(tmp_path: Path, kind: str) -> None:
    folder = judge_folder(tmp_path / "judge", kind)
    said = ["мяч", "красный мяч", "q" * 200, "думаю, что нет. ОТВЕТ: да", "", "z0 q"] + [
        f"ответ {n} {'аб' * (n % 9)}" for n in range(60)
    ]
    rows = [example_of(f"какой предмет {n}?", f"слово {n % 5}", id=str(n), cluster=str(n)) for n in range(len(said))]
    protocol = protocol_named("gqa-ru/lmms")
    responses = [Response(text) for text in said]
    judge = EncoderJudge(str(folder), "cpu")
    assert judge.covers(protocol)
    assert not judge.covers(protocol_named("mmbench-ru/lmms"))
    judged = judge.judge(rows, responses, protocol.judge_all(rows, responses), tmp_path / "judged.jsonl")
    own = [bool(verdict.scores["judge:encoder"]) for verdict in judged.verdicts]
    assert own == [
        bool(text) and by_transformers(folder, r.question, r.answer, text) for r, text in zip(rows, said, strict=True)
    ]
    assert 0.1 < sum(own) / len(own) < 0.9
    # what is stored is not judged again, and another judge of that name is
    again = (tmp_path / "judged.jsonl").read_bytes()
    judge.judge(rows, responses, protocol.judge_all(rows, responses), tmp_path / "judged.jsonl")
    assert (tmp_path / "judged.jsonl").read_bytes() == again


def test_it_stands_beside_the_headline(world: Path, tmp_path: Path, ruvlm: Run) -> None:
    folder = judge_folder(tmp_path / "judge")
    common = ("eval", "question-only", "--data", world, "--protocol", "gqa-ru/lmms", "--no-controls", "--json")
    plain = json.loads(ruvlm(*common, "--out", tmp_path / "plain").out)[0]
    ran = ruvlm(*common, "--out", tmp_path / "judged", "--judge", f"encoder:{folder}")
    assert ran.code == 0, ran.err
    judged = json.loads(ran.out)[0]
    column = judged["scores"].pop("judge:encoder")
    assert judged["scores"] == plain["scores"]
    assert next(iter(plain["scores"])) == "gqa-ru/lmms"
    verdicts = next((tmp_path / "judged").glob("*/verdicts.jsonl")).read_text(encoding="utf-8").splitlines()
    shares = [json.loads(line)["scores"]["judge:encoder"] for line in verdicts]
    assert column["value"] == pytest.approx(100 * sum(shares) / len(shares), abs=1e-3)
    # the same column for an evaluation that was made without
    (place,) = (tmp_path / "plain").iterdir()
    scored = ruvlm("score", place, "--data", world, "--judge", f"encoder:{folder}", "--json")
    assert scored.code == 0, scored.err
    assert json.loads(scored.out)["scores"]["judge:encoder"] == column
    # and the two may still be compared, by the rules that both have
    (other,) = (tmp_path / "judged").iterdir()
    assert ruvlm("compare", place, other, "--json").code == 0


def test_the_share_of_the_gap_that_rules_recover() -> None:
    scores = {name: Score(100, 0, value) for name, value in (("exact", 40.0), ("ru", 55.0), ("judge:encoder", 70.0))}
    (metric,) = recovered(scores, ("exact", "ru")).values()
    assert metric.value == 50
    # an average that stands before the rows' figures is not theirs
    averaged = {"exact/macro": Score(100, 0, 10.0), **scores, "judge:encoder/macro": Score(100, 0, 90.0)}
    assert recovered(averaged, ("exact", "ru")) == recovered(scores, ("exact", "ru"))
    assert recovered({**scores, "judge:encoder": Score(100, 0, 39.0)}, ("exact", "ru")) == {}
    assert recovered({"exact": Score(100, 0, 40.0)}, ("exact",)) == {}


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda folder: folder / "нет", "Папки судьи"),
        (lambda folder: spoilt(folder / "judge"), "не загрузить"),
        (lambda folder: without_words(folder / "judge"), "токенизатор не его"),
        (lambda folder: judge_folder(folder / "judge", labels=5), "классов у него 5"),
        (lambda folder: headless(folder / "judge"), "весов классификатора нет"),
        (lambda folder: relabelled(folder / "judge", {"0": "cat", "1": "dog"}), "cat, dog"),
    ],
)
def test_no_judge(make: Callable[[Path], Path], said: str, world: Path, tmp_path: Path, ruvlm: Run) -> None:
    (tmp_path / "judge").mkdir()
    spec = f"encoder:{make(tmp_path)}"
    ran = ruvlm("eval", "majority", "--data", world, "--judge", spec, "--out", tmp_path / "out")
    assert ran.code == 2
    assert said in ran.err
    assert not (tmp_path / "out").exists()


def test_named_labels_are_read_by_name(tmp_path: Path) -> None:
    """Where the first class means right, the verdicts turn round."""
    (tmp_path / "plain").mkdir()
    plain = judge_folder(tmp_path / "plain")
    (tmp_path / "turned").mkdir()
    turned = relabelled(tmp_path / "turned", {"0": "correct", "1": "wrong"})
    protocol = protocol_named("gqa-ru/lmms")
    rows = [example_of(f"какой предмет {n}?", f"слово {n % 5}", id=str(n), cluster=str(n)) for n in range(20)]
    responses = [Response(f"ответ {n} аб") for n in range(20)]
    verdicts = protocol.judge_all(rows, responses)
    first, second = (
        [
            v.scores["judge:encoder"]
            for v in EncoderJudge(str(f), "cpu").judge(rows, responses, verdicts, tmp_path / f"{f.name}.jsonl").verdicts
        ]
        for f in (plain, turned)
    )
    assert [1 - score for score in first] == second
    assert 0 < sum(first) < 20


def test_of_a_question_with_options_the_text_is_judged(tmp_path: Path) -> None:
    folder = judge_folder(tmp_path / "judge")
    judge = EncoderJudge(str(folder), "cpu")
    asked = []
    judge._judged = lambda triples: iter([(triple, True) for triple in asked.extend(triples) or triples])  # type: ignore[method-assign,assignment,func-returns-value]
    row = example_of("какой?", "B", options=("синий", "красный"))
    judge.judge(
        [row], [Response("красный")], protocol_named("gqa-ru/lmms").judge_all([row], [Response("x")]), tmp_path / "j"
    )
    assert asked == [("какой?", "красный", "красный")]


def test_a_question_is_judged_by_the_kindest_of_its_golds(tmp_path: Path) -> None:
    folder = judge_folder(tmp_path / "judge")
    protocol = protocol_named("gqa-ru/lmms")
    question = "какой предмет 6?"
    tables = {
        text: {gold: by_transformers(folder, question, gold, text) for gold in (f"слово {n}" for n in range(5))}
        for text in (f"ответ {n} {'аб' * (n % 9)}".strip() for n in range(60))
    }
    text, alone = next((text, table) for text, table in tables.items() if len(set(table.values())) == 2)
    golds = tuple(sorted(alone, key=lambda gold: alone[gold]))  # the kindest is the last
    row = replace(example_of(question, golds[0]), answers=golds)
    responses = [Response(text)]
    judge = EncoderJudge(str(folder), "cpu")
    verdicts = protocol.judge_all([row], responses)
    assert judge.judge([row], responses, verdicts, tmp_path / "j").verdicts[0].scores["judge:encoder"] == 1
    strict = replace(row, answers=golds[:1])
    assert judge.judge([strict], responses, verdicts, tmp_path / "j").verdicts[0].scores["judge:encoder"] == 0
