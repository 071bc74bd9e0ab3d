"""Helpers of the filters' kernels: words as rules count them, lines, sentence ends, and repeated hashes.

**Words of a rule.** Papers on web text count what white space separates, so "don't" and "3.5%" are one word each, and "="
is a word without a letter. Here too, with one addition for `scripts_without_spaces: adapt`: a character of a script
written without spaces (Han, kana, Thai, ...) begins a word of its own, to which the punctuation behind it belongs, and a
letter of another script behind it begins the next word. With `as-is` a Chinese sentence is one word, as in the papers.

A document is *in a script without spaces* if more than half of its words are such characters.

**Lines** end at a line feed; white space around them does not count, and blank ones are left out.
"""

from __future__ import annotations

import functools
import unicodedata
from typing import Any, Literal

import numpy as np

from corpusmill.transforms.hashing import U, mix64
from corpusmill.transforms.kernels.njit import njit
from corpusmill.transforms.unicode import ALONE, SPACE, WORD, decode, previous, tables

Scripts = Literal["adapt", "as-is"]
SCRIPTS_HELP = (
    "adapt: characters of scripts without spaces (Chinese, Japanese, Thai, ...) count as words, and rules that make sense "
    "for English words only are fitted or skipped for documents in them; as-is: the rules to the letter"
)

END, CLOSE, OPEN_ENDED = 1, 2, 4
"""Flags of `marks`: ends a sentence; a quote or bracket that may follow a sentence's end; a letter of a script that has no
sentence-final mark (Thai, Lao)."""

# Unicode's property Sentence_Terminal, as far as scripts in use have it, and the ellipses
_ENDS = ".!?‼⁇⁈⁉…⋯。．！？｡؟۔؞।॥။၊၏።፧፨។៕᠃᠉᥄᥅᪨᪩᪪᪫᭚᭛᭞᭟᰻᰼᱾᱿։܀܁܂߹࠷࠹࠽࠾꓿꘎꘏꛳꛷꡶꡷꣎꣏꤯꧈꧉꩝꩞꩟꫰꫱꯫﹒﹖﹗⸮⸼"


@functools.cache
def marks() -> np.ndarray:
    """uint8 [0x110000]: flags END, CLOSE and OPEN_ENDED of each code point."""
    out = np.zeros(0x110000, np.uint8)
    for char in _ENDS:
        out[ord(char)] |= END
    for c in range(0x3100):
        if unicodedata.category(chr(c)) in ("Pe", "Pf"):
            out[c] |= CLOSE
    for char in "\"'＂＇）］｝｣﹂﹄":
        out[ord(char)] |= CLOSE
    out[0x0E01:0x0E5C] |= OPEN_ENDED
    out[0x0E81:0x0EE0] |= OPEN_ENDED
    out.flags.writeable = False
    return out


def word_tables(scripts: Scripts) -> tuple[np.ndarray, np.ndarray, int]:
    """(flags, lower, alone) for the kernels: the tables of code points and the flag that makes a character a word."""
    flags, lower = tables()
    return flags, lower, ALONE if scripts == "adapt" else 0


@njit(inline="always")
def is_letter(byte: Any) -> Any:
    """Whether a byte is an ASCII letter."""
    return np.uint8((byte | np.uint8(32)) - np.uint8(97)) < np.uint8(26)


@njit(inline="always")
def breaks_word(f: Any, alone: int, last: int) -> bool:
    """Whether a character with flags `f` begins a new word, in a word whose last letter has flags `last` (0: none yet)."""
    if last == 0:
        return False
    return (f & alone) != 0 or ((last & alone) != 0 and (f & WORD) != 0)


@njit(nogil=True, cache=True)
def count_words(data: Any, start: int, stop: int, flags: Any, alone: int) -> tuple[int, int, int, int]:
    """(words, words of scripts without spaces, characters, longest word) of data[start:stop]."""
    words = 0
    single = 0
    chars = 0
    longest = 0
    length = 0
    last = 0
    i = start
    while i < stop:
        c, i = decode(data, i, stop)
        f: Any = np.int64(flags[c])
        chars += 1
        if f & SPACE:
            length = 0
            continue
        if length == 0 or breaks_word(f, alone, last):
            words += 1
            length = 0
            last = 0
        length += 1
        longest = max(longest, length)
        if f & WORD:
            if f & alone:
                single += 1
            last = f
    return words, single, chars, longest


@njit(nogil=True, cache=True)
def ends_sentence(data: Any, start: int, stop: int, flags: Any, mark: Any) -> bool:
    """Whether data[start:stop], stripped, ends like a sentence of any script: a terminal mark, quotes or brackets allowed
    behind it, or a letter of a script without terminal marks."""
    first = True
    while stop > start:
        c, stop = previous(data, start, stop)
        if mark[c] & END:
            return True
        if first and mark[c] & OPEN_ENDED:
            return True
        if not mark[c] & CLOSE:
            return False
        first = False
    return False


@njit(nogil=True, cache=True)
def count_sentences(data: Any, start: int, stop: int, flags: Any, mark: Any) -> int:
    """Sentences of one line: runs of terminal marks, closing quotes behind them, that white space, a character of a script
    without spaces, or the line's end follows; and what is left behind the last one, if it has a letter or digit."""
    n = 0
    open_ = False
    i = start
    while i < stop:
        c, i = decode(data, i, stop)
        if flags[c] & WORD:
            open_ = True
        elif open_ and mark[c] & END:
            wide = c > 0x2FFF
            while i < stop:
                c, k = decode(data, i, stop)
                if not mark[c] & (END | CLOSE):
                    break
                i = k
            if i >= stop or wide or flags[c] & (SPACE | ALONE):
                n += 1
                open_ = False
    return n + (1 if open_ else 0)


@njit(inline="always")
def first_with(hashes: Any, i: int, table: Any, mask: int) -> int:
    """Index of the first entry equal to hashes[i], which is entered if it is new; `table` int32 holds -1 or an index."""
    slot = np.int64(mix64(hashes[i]) & U(mask))
    while True:
        j = table[slot]
        if j < 0:
            table[slot] = i
            return i
        if hashes[j] == hashes[i]:
            return j
        slot = (slot + 1) & mask


@njit(inline="always")
def table_mask(n: int) -> int:
    """One less than the power of two that is at least twice `n`: the mask of a table for n entries."""
    size = 16
    while size < 2 * n:
        size *= 2
    return size - 1


def max_rows(offsets: np.ndarray) -> int:
    """Bytes of the longest row, as room for the kernels' work arrays."""
    return int(np.diff(offsets).max()) if len(offsets) > 1 else 0
