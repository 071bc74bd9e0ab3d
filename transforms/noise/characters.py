"""Character-level noise: typing slips, recognition errors, homophones."""

from __future__ import annotations

import math
from typing import Any, ClassVar, Literal

import numpy as np
import pyarrow as pa
from pydantic import Field, model_validator

from corpusmill.transforms.hashing import U
from corpusmill.transforms.kernels.njit import njit
from corpusmill.transforms.noise.buffers import output_buffers, put, room
from corpusmill.transforms.noise.confusions import Confusions, homophones, keyboard, lookalikes
from corpusmill.transforms.noise.copies import Copies, Versions, as_texts, text_buffers
from corpusmill.transforms.random import draw, uniform
from corpusmill.transforms.unicode import ALPHA, MARK, decode, tables

OPERATIONS = ("keyboard", "ocr", "same_sound", "swap", "delete")


class Characters(Copies):
    """Puts typing and recognition errors into words: one rate per character and kind.

    Sources: the error kinds of Damerau 1964, "A technique for computer detection and correction of spelling errors";
    keyboard neighbours as in Belinkov and Bisk 2018, "Synthetic and natural noise both break neural machine translation",
    section 4. A character takes at most one error. Where the next error falls is drawn from the geometric distribution,
    skip = floor(ln(1 - u) / ln(1 - sum of rates)), which gives each character its rate independently of all others and costs
    one draw an error. `delete` spares the first letter of a word, so that no word vanishes; a character with a combining
    mark is neither swapped nor deleted, and code points are never split.
    Raises RecipeError for rates that exceed 1 together, MissingDependencyError for `same_sound` without pypinyin.

    >>> batch = pa.record_batch({"id": ["a"], "text": ["hello"], "source": ["s"]})
    >>> Characters(keyboard=1.0, keep_originals=False)(batch).column("text")[0].as_py()
    'gwpol'
    """

    name: ClassVar[str] = "characters"
    version: ClassVar[int] = 1
    example: ClassVar[str] = "{swap: 0.02, keyboard: 0.02, copies: 1}"

    keyboard: float = Field(
        0.0, ge=0, le=1, description="Share of Latin and Cyrillic letters replaced by a neighbouring key."
    )
    ocr: float = Field(0.0, ge=0, le=1, description="Share of Latin characters replaced by one that looks alike.")
    same_sound: float = Field(
        0.0, ge=0, le=1, description="Share of common Chinese characters replaced by a homophone (pypinyin)."
    )
    swap: float = Field(0.0, ge=0, le=1, description="Share of letters exchanged with the letter behind them.")
    delete: float = Field(0.0, ge=0, le=1, description="Share of letters, but the first of a word, left out.")
    layout: Literal["qwerty", "qwertz", "azerty"] = Field("qwerty", description="The keyboard of Latin letters.")

    @model_validator(mode="after")
    def _rates(self) -> Characters:
        total = sum(getattr(self, name) for name in OPERATIONS)
        if total > 1:
            raise ValueError(f"{' + '.join(OPERATIONS)} is {total:g}, more than 1: a character takes one of them")
        if total == 0:
            raise ValueError(f"no rate is set: give at least one of {', '.join(OPERATIONS)}")
        return self

    def libraries(self) -> tuple[str, ...]:
        """Unicode's tables, and pypinyin for Chinese characters of the same sound."""
        return ("unicode", *["pypinyin"] * (self.same_sound > 0))

    def noisy(self, batch: pa.RecordBatch, versions: Versions) -> tuple[pa.Array, np.ndarray]:
        texts, counts = self.counted(batch, versions)
        return texts, counts.sum(axis=1)

    def counted(self, batch: pa.RecordBatch, versions: Versions) -> tuple[pa.Array, np.ndarray]:
        """(texts, edits int64 [m, 5] in the order of OPERATIONS)."""
        sounds = homophones() if self.same_sound else Confusions.of([])
        kinds = (keyboard(self.layout), lookalikes(), sounds)
        rates = np.array([getattr(self, name) for name in OPERATIONS], np.float64)
        index = np.stack([k.index for k in kinds])
        offsets, data, counts = _characters(
            *text_buffers(batch), versions.rows, versions.copies, versions.keys, rates, tables()[0], index,
            *(getattr(k, part) for part in ("first", "offsets", "data") for k in kinds),
        )  # fmt: skip
        return as_texts(offsets, data), counts


@njit(nogil=True, cache=True)
def _characters(
    offsets: Any, data: Any, rows: Any, copies: Any, keys: Any, rates: Any, flags: Any, index: Any,
    first0: Any, first1: Any, first2: Any, offsets0: Any, offsets1: Any, offsets2: Any, data0: Any, data1: Any, data2: Any,
) -> tuple[Any, Any, Any]:  # fmt: skip
    m = len(rows)
    rate = min(1.0, rates.sum())
    per_log = 1.0 / math.log1p(-rate) if rate < 1 else 0.0
    out, bounds = output_buffers(offsets, rows)
    counts = np.zeros((m, 5), np.int64)
    o = 0
    for r in range(m):
        begin, stop = np.int64(offsets[rows[r]]), np.int64(offsets[rows[r] + 1])
        key = keys[r]
        done = begin  # all before it is written, but for the letter in hand
        hand, hand_end, slot = begin, begin, begin  # a letter that a swap took to `slot`, where it may take an error
        p = begin if copies[r] > 0 else stop
        j = 0
        while p < stop:
            # positions are drawn over bytes; a byte inside a character is skipped
            skip = math.log1p(-uniform(key, 2 * j)) * per_log
            if skip >= stop - p:
                break
            at = p + np.int64(skip)
            p = at + 1
            d = draw(key, 2 * j + 1)
            j += 1
            if (data[at] & 0xC0) == 0x80:
                continue
            u = float(d >> U(11)) * (1.0 / 9007199254740992.0) * rate
            op = 0
            while op < 4 and u >= rates[op]:
                u -= rates[op]
                op += 1
            if rates[op] == 0:
                continue
            if hand < hand_end and at > slot:
                out = room(out, o, hand_end - hand)
                o = put(out, o, data, hand, hand_end)
                hand = hand_end
            if hand == hand_end:
                slot = at
            held = hand < hand_end
            c, behind = decode(data, hand if held else at, stop)
            if held:
                behind = done
            replaced, a, b, after, chars = False, 0, 0, behind, data0
            if op < 3:
                group = index[op, c] if c < 0x10000 else -1
                if group < 0:
                    continue
                first = first0 if op == 0 else (first1 if op == 1 else first2)
                words = offsets0 if op == 0 else (offsets1 if op == 1 else offsets2)
                chars = data0 if op == 0 else (data1 if op == 1 else data2)
                pick = first[group] + np.int64(((d & U(0xFFFFFFFF)) * U(first[group + 1] - first[group])) >> U(32))
                replaced, a, b = True, words[pick], words[pick + 1]
            else:
                if not flags[c] & ALPHA:
                    continue
                following = np.int32(0)
                if behind < stop:
                    following, after = decode(data, behind, stop)
                if flags[following] & MARK:
                    continue
                if op == 3:
                    if not flags[following] & ALPHA or following == c:
                        continue
                    if after < stop:
                        third, _ = decode(data, after, stop)
                        if flags[third] & MARK:
                            continue
                    a, b = behind, after
                elif not held:
                    if at == begin:
                        continue
                    before = at - 1
                    while (data[before] & 0xC0) == 0x80:
                        before -= 1
                    previous, _ = decode(data, before, stop)
                    if not flags[previous] & ALPHA:
                        continue
            counts[r, op] += 1
            if not held:
                out = room(out, o, at - done)
                o = put(out, o, data, done, at)
            out = room(out, o, b - a)
            o = put(out, o, chars, a, b) if replaced else put(out, o, data, a, b)
            done = behind
            if op == 3:
                if not held:
                    hand, hand_end = at, behind
                slot, done = behind, after
            else:
                hand = hand_end
        out = room(out, o, hand_end - hand + stop - done)
        o = put(out, o, data, hand, hand_end)
        o = put(out, o, data, done, stop)
        bounds[r + 1] = o
    return bounds, out, counts
