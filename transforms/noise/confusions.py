"""Tables of confusions: what a character is mistaken for on a keyboard, by OCR, or by sound.

A table maps a code point below 0x10000 to alternatives, which are short strings.
"""

from __future__ import annotations

import functools
import unicodedata
from collections import defaultdict
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from corpusmill.transforms.arrow import string_buffers
from corpusmill.transforms.errors import MissingDependencyError


@dataclass(frozen=True)
class Confusions:
    """index int32 [0x10000]: the group of each code point, -1 if none; first int32 [groups + 1]: where its members begin in
    offsets int32 [members + 1], data uint8."""

    index: np.ndarray
    first: np.ndarray
    offsets: np.ndarray
    data: np.ndarray

    @classmethod
    def of(cls, groups: list[tuple[str, list[str]]]) -> Confusions:
        """Builds the table from (characters, alternatives). Leave out the character itself: drawing it is no edit."""
        index = np.full(0x10000, -1, np.int32)
        for number, (characters, _) in enumerate(groups):
            for c in characters:
                index[ord(c)] = number
        first = np.zeros(len(groups) + 1, np.int32)
        np.cumsum([len(g) for _, g in groups], out=first[1:])
        offsets, data = string_buffers(pa.array([m for _, g in groups for m in g], pa.string()))
        return cls(index, first, offsets.copy(), data.copy())


_LAYOUTS = {
    "qwerty": ("qwertyuiop", "asdfghjkl", "zxcvbnm"),
    "qwertz": ("qwertzuiop", "asdfghjkl", "yxcvbnm"),
    "azerty": ("azertyuiop", "qsdfghjklm", "wxcvbn"),
}
_CYRILLIC = ("йцукенгшщзхъ", "фывапролджэ", "ячсмитьбю")
_SHIFT = (0.0, 0.25, 0.75)  # how far each row of keys stands to the right


def _neighbours(rows: tuple[str, ...]) -> list[tuple[str, list[str]]]:
    place = {c: (x + _SHIFT[y], y) for y, row in enumerate(rows) for x, c in enumerate(row)}
    groups = []
    for c, (x, y) in place.items():
        near = sorted(d for d, (u, v) in place.items() if d != c and abs(v - y) <= 1 and abs(u - x) <= 1)
        groups += [(c, near), (c.upper(), [d.upper() for d in near])]
    return groups


@functools.cache
def keyboard(layout: str) -> Confusions:
    """Neighbouring keys of Latin letters (by `layout`) and of Cyrillic letters; the case of the letter is kept."""
    return Confusions.of(_neighbours(_LAYOUTS[layout]) + _neighbours(_CYRILLIC))


_LOOKALIKES = {
    "0": "O o", "O": "0 Q D", "o": "0 c e", "1": "l I i", "l": "1 I i", "I": "l 1 |", "i": "l j 1", "j": "i", "5": "S", "S": "5",
    "s": "5", "8": "B 3", "B": "8 E", "2": "Z", "Z": "2", "z": "2", "6": "b G", "b": "6 h", "G": "6 C", "9": "g q", "g": "9 q",
    "q": "g 9", "3": "8", "7": "T", "T": "7", "4": "A", "c": "e o", "e": "c o", "h": "b n li", "n": "h ri u", "u": "n ii v",
    "v": "u y", "y": "v", "m": "rn nn", "w": "vv", "d": "cl a", "a": "o d", "r": "n", "t": "f l", "f": "t", "k": "lc", "C": "G (",
    "D": "O 0", "E": "F B", "F": "E P", "H": "N", "K": "X", "M": "N", "N": "H", "P": "F", "Q": "O", "R": "K", "U": "V", "V": "U",
    "W": "VV", "X": "K", "Y": "V", ".": ",", ",": ".", ":": ";", ";": ":",
}  # fmt: skip


@functools.cache
def lookalikes() -> Confusions:
    """Confusions of optical character recognition on Latin characters; accented letters lose their accent."""
    groups = [(c, alternatives.split()) for c, alternatives in _LOOKALIKES.items()]
    for point in range(0xC0, 0x250):
        base = unicodedata.normalize("NFD", chr(point))[0]
        if base.isascii() and base.isalpha():
            groups.append((chr(point), [base]))
    return Confusions.of(groups)


@functools.cache
def homophones() -> Confusions:
    """Common Chinese characters (level 1 of GB 2312, 3,755 of them) with the same most frequent reading, tone included.

    Raises MissingDependencyError without the package `pypinyin`.
    """
    try:
        from pypinyin import Style, pinyin  # type: ignore[import-not-found]
    except ImportError:
        raise MissingDependencyError("same_sound needs the package pypinyin. Run: pip install pypinyin") from None
    common = [bytes((a, b)).decode("gb2312", "ignore") for a in range(0xB0, 0xD8) for b in range(0xA1, 0xFF)]
    by_sound: dict[str, list[str]] = defaultdict(list)
    for c in common:
        if c:
            by_sound[pinyin(c, style=Style.TONE3)[0][0]].append(c)
    return Confusions.of([(c, [d for d in g if d != c]) for g in by_sound.values() if len(g) > 1 for c in g])
