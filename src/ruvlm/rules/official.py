"""How other benchmarks' own code decides that a short answer is right, each to the letter (CARDS.md, section 2).

Every rule works on what is left after the references' own removal of closed thoughts.
"""

from __future__ import annotations

import re
import string
from decimal import Decimal

from ruvlm.rules.match import strip_reasoning

_PUNCTUATION = str.maketrans("", "", string.punctuation)


def match_any_of(prediction: str, gold: str) -> bool:
    """lm-evaluation-harness's exact match with several targets: lower case, no punctuation, blanks stay."""
    return _bare(strip_reasoning(prediction)) == _bare(gold)


def match_mera(prediction: str, gold: str) -> bool:
    """MERA's exact match: the whole answer, or what follows the last «ОТВЕТ» (arXiv 2511.15552, 3.3.1)."""
    text = strip_reasoning(prediction)
    return _bare(gold).strip() in (_bare(text).strip(), _bare(text.rsplit("ОТВЕТ", 1)[-1]).strip())


def _bare(text: str) -> str:
    return text.lower().translate(_PUNCTUATION)


def match_contains(prediction: str, gold: str) -> bool:
    """MTVQA as lmms-eval and VLMEvalKit count it: the gold answer is in the answer, full stops apart."""
    said, wanted = (text.strip().lower().replace(".", "") for text in (strip_reasoning(prediction), gold))
    return wanted in said


def match_contains_authors(prediction: str, gold: str) -> bool:
    """MTVQA's own script: full stops go from the answer alone, so a gold answer with one is never found."""
    return gold.strip().lower() in strip_reasoning(prediction).strip().lower().replace(".", "")


def match_contains_plain(prediction: str, gold: str) -> bool:
    """WorldCuisines' open answers: a substring in lower case, nothing else."""
    return gold.lower() in strip_reasoning(prediction).lower()


def score_anls(prediction: str, gold: str) -> float:
    """Average normalised Levenshtein similarity of one pair, 0 below one half (Biten et al. 2019, as lmms-eval counts it)."""
    prediction = strip_reasoning(prediction)
    said, wanted = (" ".join(text.strip().lower().split()) for text in (prediction, gold))
    # the references measure the raw texts in upper case, where «ß» is two letters
    longest = max(len(prediction.upper()), len(gold.upper()))
    return _similar(said, wanted, longest)


FEW_WORDS = 5


def score_mws(prediction: str, gold: str) -> float:
    """MWS-Vision-Bench's questions: a short gold answer is looked for inside, a long one compared by edits (OCRBench v2)."""
    said, wanted = (text.lower().strip().replace("\n", " ") for text in (strip_reasoning(prediction), gold))
    if len(wanted.split()) < FEW_WORDS:
        return float(wanted in said)
    return _similar(said, wanted, max(len(said), len(wanted)))


def _similar(said: str, wanted: str, longest: int) -> float:
    """One less the share of edits; 0 below one half, which saves counting them where the lengths alone say so."""
    if longest == 0:
        return 1.0
    if abs(len(said) - len(wanted)) > longest / 2:
        return 0.0
    similarity = 1 - edit_distance(said, wanted) / longest
    return similarity if similarity >= 0.5 else 0.0


def edit_distance(a: str, b: str) -> int:
    """How many letters must be put in, taken out or changed (Levenshtein 1966)."""
    if len(a) < len(b):
        a, b = b, a
    row = list(range(len(b) + 1))
    for i, letter in enumerate(a, 1):
        above, row = row, [i]
        for j, other in enumerate(b, 1):
            row.append(min(above[j] + 1, row[-1] + 1, above[j - 1] + (letter != other)))
    return row[-1]


_NUMBER = re.compile(
    r"\s*(?:ответ\s*:\s*)?(?P<sign>[-−–+]?)(?P<whole>\d{1,3}(?:[ \u00a0\u202f]\d{3})+|\d+)(?:[.,](?P<part>\d*))?"
    r"\s*(?:%|°?[^\W\d_]+\.?)?\s*\.?\s*",
    re.IGNORECASE,
)


def match_numeric(prediction: str, gold: str) -> bool:
    """One number, as Russians write it, with at most a unit behind: equal as decimals."""
    said, wanted = _number(strip_reasoning(prediction)), _number(gold)
    return said is not None and said == wanted


def _number(text: str) -> Decimal | None:
    match = _NUMBER.fullmatch(text)
    if match is None:
        return None
    whole = re.sub(r"\D", "", match["whole"])
    return Decimal(f"{'-' if match['sign'] in ('-', '−', '–') else ''}{whole}.{match['part'] or 0}")


NEAR = 0.05


def match_numeric_near(prediction: str, gold: str) -> bool:
    """ChartQA's relaxed accuracy as lmms-eval counts it: numbers within five per cent, else the same text."""
    prediction = strip_reasoning(prediction)
    said, wanted = _float(prediction), _float(gold)
    if said is not None and wanted:
        return abs(said - wanted) / abs(wanted) <= NEAR
    return prediction.lower() == gold.lower()


def _float(text: str) -> float | None:
    try:
        return float(text.rstrip("%")) / 100 if text.endswith("%") else float(text)
    except ValueError:
        return None
