"""Leaks: a picture of one split that is also in another, byte for byte or to the eye."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations

import numpy as np

from ruvlm.audit.findings import FindingKind, Findings
from ruvlm.audit.pictures import Picture

SAME = FindingKind("leak-image", "картинка есть и в другой части")
NEAR = FindingKind("leak-near-image", "почти такая же картинка есть и в другой части")
# Bits of 64 in which the hashes of one picture, saved anew, may differ; and by how much (of 255, in any colour) any cell of
# its thumbnail may. Photographs saved as JPEG 20, halved or brightened differ by at most 14, drawn scenes by 28, with 2 % cut
# off on every side by about 48 (half of them), 64 (nine of ten); the closest pairs of different drawn scenes by 87.
BITS, SHADE = 10, 64
BLOCK = 256


@dataclass(frozen=True)
class Album:
    """The pictures of one split of one set. Sets of one split may share pictures, other splits may not."""

    name: str
    split: str
    pictures: tuple[Picture, ...]


def find_leaks(albums: list[Album], found: Findings) -> None:
    """Between every two albums of different splits."""
    for a, b in combinations(albums, 2):
        if a.split != b.split:
            _between(a, b, found)


def _between(a: Album, b: Album, found: Findings) -> None:
    where = f"{a.name} и {b.name}"
    marks = {picture.mark: picture.name for picture in a.pictures if picture.mark}
    same = set()
    for picture in b.pictures:
        if picture.mark and picture.mark in marks:
            found.add(SAME, where, f"{marks[picture.mark]} и {picture.name}")
            same.add(picture.mark)
    left = _distinct([p for p in a.pictures if p.thumb and p.mark not in same])
    right = _distinct([p for p in b.pictures if p.thumb and p.mark not in same])
    if not left or not right:
        return
    hashes = np.array([p.phash for p in left], dtype=np.uint64)
    thumbs = np.stack([np.frombuffer(p.thumb, np.uint8) for p in left]).reshape(len(left), -1)
    for start in range(0, len(right), BLOCK):
        some = right[start : start + BLOCK]
        bits = np.bitwise_count(np.array([p.phash for p in some], dtype=np.uint64)[:, None] ^ hashes[None, :])
        for row, column in zip(*np.nonzero(bits <= BITS), strict=True):
            mine = np.frombuffer(some[row].thumb, np.uint8).astype(np.int16)
            if np.abs(mine - thumbs[column].astype(np.int16)).max() <= SHADE:
                found.add(NEAR, where, f"{left[column].name} и {some[row].name}")


def _distinct(pictures: list[Picture]) -> list[Picture]:
    return list({picture.mark: picture for picture in pictures}.values())
