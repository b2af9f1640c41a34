"""nano's own BPE tokenizer: trained on a data set's texts, with each prompt instruction as one token."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from tokenizers import AddedToken, Regex, Tokenizer, decoders, normalizers, pre_tokenizers
from tokenizers.models import BPE
from tokenizers.trainers import BpeTrainer

from ruvlm.errors import ModelError
from ruvlm.files import write_text

PAD, BOS, EOS, IMAGE, UNK = "<pad>", "<s>", "</s>", "<image>", "<unk>"
SPECIAL = (PAD, BOS, EOS, IMAGE, UNK)
# the letters of options that it knows as tokens
CHOICE_LETTERS = "ABCDE"
_ALPHABET = "абвгдеёжзийклмнопрстуфхцчшщъыьэюя"
_WORDS = Regex(r"\n?[A-E]\.(?=\s)| ?[\w]+|[^\w\s]|\s")


def special_id(tokenizer: Tokenizer, mark: str) -> int:
    """The number of one of `SPECIAL`. Raises ModelError for a tokenizer that is not of ours."""
    number: int | None = tokenizer.token_to_id(mark)
    if number is None:
        raise ModelError(f"В токенизаторе нет метки {mark}: tokenizer.json – не от этой модели.")
    return number


def train_tokenizer(texts: Iterable[str], vocab_size: int, instructions: tuple[str, ...]) -> Tokenizer:
    r"""Byte-pair encoding over words; «\\nA.» is one piece, so are the fixed instructions of the prompts.

    The Cyrillic and Latin alphabets and digits are always in the vocabulary, so that any Russian word can be read;
    other characters become <unk>.
    """
    tokenizer = Tokenizer(BPE(unk_token=UNK, fuse_unk=True))
    tokenizer.normalizer = normalizers.NFC()
    tokenizer.pre_tokenizer = pre_tokenizers.Split(_WORDS, "isolated")
    tokenizer.decoder = decoders.Fuse()
    alphabet = [*_ALPHABET, *_ALPHABET.upper(), *"ABCDEabcdefghijklmnopqrstuvwxyz0123456789 .,:;?!-–«»()\n"]
    trainer = BpeTrainer(
        vocab_size=vocab_size - len(instructions) - 5,
        special_tokens=list(SPECIAL),
        initial_alphabet=alphabet,
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    tokenizer.add_tokens([AddedToken(text, normalized=False, single_word=False) for text in instructions])
    tokenizer.add_tokens([AddedToken(f" {letter}", normalized=False, single_word=True) for letter in CHOICE_LETTERS])
    return tokenizer


def word_families(tokenizer: Tokenizer) -> list[list[int]]:
    """Tokens that are forms of one Russian word, by pymorphy3's first lemma; the lemma itself first.

    «красная», «красного» and «Красный» start where «красный» is, so that what is learned of one form serves all.
    """
    from ruvlm.morphology import analyser

    heads: dict[str, int] = {}
    members: dict[str, list[int]] = {}
    for text, token in sorted(tokenizer.get_vocab().items(), key=lambda item: item[1]):
        word = text.strip().lower()
        if len(word) < 3 or not all("а" <= letter <= "я" or letter == "ё" for letter in word):
            continue
        lemma = analyser().parse(word)[0].normal_form
        members.setdefault(lemma, []).append(token)
        if text == f" {lemma}":
            heads[lemma] = token
    return [
        [heads[lemma], *(t for t in tokens if t != heads[lemma])]
        for lemma, tokens in members.items()
        if lemma in heads and len(tokens) > 1
    ]


def load_tokenizer(path: Path) -> Tokenizer:
    """Read tokenizer.json. Raises ModelError if it is missing or damaged."""
    try:
        return Tokenizer.from_file(str(path))
    except Exception as error:  # the library raises plain Exception
        first = (str(error).strip().splitlines() or [type(error).__name__])[0][:160]
        raise ModelError(f"Файл {path} не читается ({first}): сохраните модель заново.") from error


def save_tokenizer(tokenizer: Tokenizer, path: Path) -> None:
    """Write tokenizer.json, whole or not at all: the library's own `save` leaves half a file on a full disk. Raises OutputError."""
    write_text(path, tokenizer.to_str(pretty=True))
