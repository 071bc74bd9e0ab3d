"""Cuts a page into blocks of text, with what is known of each, in one pass over the HTML that resiliparse's parser wrote.

The parser repairs the page, so that the serialised form is well-formed: every tag is closed, every attribute is quoted, and
text has five entities. One kernel reads it at the speed of memory; walking the tree from Python would cost ten times more.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

import numpy as np

from corpusmill.transforms.kernels.njit import njit
from corpusmill.transforms.web import tags

DEEPEST = 512
# columns of Blocks.values
(
    START,
    STOP,
    TAG,
    ELEMENT,
    DEPTH,
    LINK_BYTES,
    WORDS,
    STOPS,
    COMMAS,
    CAPITALS,
    DIGITS,
    ANCESTRY,
    LIST_DEPTH,
    LEVEL,
    BREAKS,
    LAST,
) = range(16)


class Blocks(NamedTuple):
    """n blocks in the order of the page.

    text uint8: the text of all blocks, one behind the other. values int64 [n, 16]: see the columns above; ELEMENT is the
    innermost block element, ANCESTRY the bits of tags.ANCESTORS, LEVEL that of a heading. words uint64 [n]: bits of tags.WORDS
    in the class names of all ancestors; own uint64 [n]: of the two innermost. parents int32 [e], kinds int32 [e]: the tree
    of block elements, parents before children, with their tags.
    """

    text: np.ndarray
    values: np.ndarray
    words: np.ndarray
    own: np.ndarray
    parents: np.ndarray
    kinds: np.ndarray

    def string(self, i: int) -> str:
        """The text of block i."""
        return self.text[self.values[i, START] : self.values[i, STOP]].tobytes().decode("utf-8", "replace")

    def strings(self, which: Iterable[int]) -> list[str]:
        """The texts of many blocks."""
        text, places = self.text.tobytes(), self.values[:, : STOP + 1].tolist()
        return [text[places[i][0] : places[i][1]].decode("utf-8", "replace") for i in which]

    def nearest(self) -> np.ndarray:
        """int32 [e, 5]: the innermost element that is or is around each element and is an item of a list, a row, a cell, a table,
        or formatted text (`pre`); 0 if there is none."""
        return _nearest(self.parents, self.kinds, tags.tables()[1], _AROUND)


def cut(html: bytes) -> Blocks:
    """The blocks of a serialised page; scripts, styles and the fields of forms are left out."""
    data = np.frombuffer(html, np.uint8)
    return Blocks(*_cut(data, *tags.tables(), *tags.automaton(), _BLOCK_BITS))


_AROUND = np.array([tags.ITEM, tags.ROW, tags.CELL, tags.TABLE, tags.PRE], np.int64)
_HIDDEN_BIT = 1 << tags.ANCESTORS.index("hidden")
_BLOCK_BITS = np.array(
    [tags.BLOCK, tags.SKIP, tags.VOID, tags.LINK, tags.RAW, tags.HEADING, tags.LIST, tags.PRE, tags.BREAK], np.int64
)


@njit(nogil=True, cache=True)
def _nearest(parents: Any, element_tags: Any, kinds: Any, wanted: Any) -> Any:
    out = np.zeros((len(parents), len(wanted)), np.int32)
    for e in range(1, len(parents)):
        kind = kinds[element_tags[e]] if element_tags[e] >= 0 else 0
        for c in range(len(wanted)):
            out[e, c] = e if kind & wanted[c] else out[parents[e], c]
    return out


@njit(nogil=True, cache=True)
def _entity(data: Any, i: int, stop: int) -> tuple[int, int]:
    """The character of the entity at data[i] and its length; serialised text has five."""
    if i + 3 < stop and data[i + 2] == 116 and data[i + 3] == 59:  # &lt; &gt;
        return (60 if data[i + 1] == 108 else 62), 4
    if i + 4 < stop and data[i + 1] == 97 and data[i + 4] == 59:  # &amp;
        return 38, 5
    if i + 5 < stop and data[i + 5] == 59:
        if data[i + 1] == 110:  # &nbsp;
            return 32, 6
        if data[i + 1] == 113:  # &quot;
            return 34, 6
    return 38, 1


@njit(nogil=True, cache=True)
def _seek(data: Any, i: int, n: int, c: int) -> Any:
    """Where the byte `c` next stands in data[i:n]; n if it does not."""
    j, stop = np.uint64(i), np.uint64(n)  # without a sign: see `model`
    while j < stop and data[j] != c:
        j += np.uint64(1)
    return np.int64(j)


@njit(nogil=True, cache=True)
def _attribute_words(data: Any, i: int, stop: int, step: Any, ends: Any) -> Any:
    """The bits of tags.WORDS within data[i:stop], in any case."""
    mask = np.uint64(0)
    state: Any = 0
    for k in range(i, stop):
        c = data[k] | 32
        if 97 <= c <= 122:
            state = np.int64(step[state, c - 97])
            mask |= ends[state]
        else:
            state = 0
    return mask


@njit(nogil=True, cache=True)
def _hides(data: Any, i: int, stop: int) -> bool:
    """Whether a style hides its element: `display:none` or `visibility:hidden`."""
    for k in range(i, stop - 3):
        if data[k] == 110 and data[k + 1] == 111 and data[k + 2] == 110 and data[k + 3] == 101:  # none
            j = k - 1
            while j > i and (data[j] == 32 or data[j] == 58):
                j -= 1
            if data[j] == 121:  # display
                return True
    return False


@njit(nogil=True, cache=True)
def _is_name(data: Any, i: int, name: int, length: int) -> bool:
    """Whether data[i:] begins with the `length` letters at data[name:], in any case."""
    if i + length > len(data):
        return False
    for k in range(length):
        if data[i + k] | 32 != data[name + k] | 32:
            return False
    return True


@njit(nogil=True, cache=True)
def _cut(data: Any, names: Any, kinds: Any, bits: Any, step: Any, ends: Any, kind: Any) -> Any:
    block, skip, void, link, raw, heading, list_, pre, break_ = kind
    n = len(data)
    out = np.empty(n + 1, np.uint8)
    values = np.zeros((256, 16), np.int64)
    words, own = np.zeros(256, np.uint64), np.zeros(256, np.uint64)
    parents, element_tags = np.zeros(1024, np.int32), np.full(1024, -1, np.int32)
    # counts of the open block
    link_bytes, count, stops, commas, capitals, digits, breaks = 0, 0, 0, 0, 0, 0, 0
    # the open elements; deeper ones are counted in `over` and lend nothing
    tag = np.full(DEEPEST, -1, np.int64)
    packed = np.zeros(DEEPEST, np.uint64)
    element = np.zeros(DEEPEST, np.int64)
    ancestry = np.zeros(DEEPEST, np.int64)
    lists = np.zeros(DEEPEST, np.int64)
    every = np.zeros(DEEPEST, np.uint64)
    last = np.zeros(DEEPEST, np.uint64)
    depth, over = 0, 0
    elements = 1
    skipped: Any = -1  # the depth of the outermost element that is left out
    linked: Any = -1
    formatted: Any = -1
    used: Any = 0
    k = 0
    begin: Any = 0
    space: Any = True  # the text ends in white space
    i: Any = 0
    close: Any = False
    while i <= n:
        if i == n - 1 and data[i] == 60:  # cut within a tag
            i = n
        if i < n and data[i] != 60:
            if skipped >= 0:
                i = _seek(data, i, n, 60)
                continue
            # text up to the next tag
            while i < n and data[i] != 60:
                c = data[i]
                length = 1
                if c == 38:
                    e, length = _entity(data, i, n)
                    c = np.uint8(e)
                i += length
                if c == 0xC2 and i < n and data[i] == 0xAD:  # a soft hyphen
                    i += 1
                    continue
                if c <= 32:
                    if formatted >= 0:
                        out[used] = c
                        used += 1
                        space = True
                    elif not space:
                        out[used] = 32
                        used += 1
                        space = True
                    continue
                if space:
                    count += 1
                space = False
                out[used] = c
                used += 1
                link_bytes += linked >= 0
                if c < 128:
                    if c == 46 or c == 33 or c == 63:
                        stops += 1
                    elif c == 44 or c == 59:
                        commas += 1
                    elif 65 <= c <= 90:
                        capitals += 1
                    elif 48 <= c <= 57:
                        digits += 1
                elif c == 0xE3 and i + 1 < n and data[i] == 0x80 and (data[i + 1] == 0x82 or data[i + 1] == 0x81):
                    stops += data[i + 1] == 0x82
                    commas += data[i + 1] == 0x81
            continue
        ended = i >= n
        a = i + 1
        opening = False
        self_kind: Any = np.int64(0)
        which: Any = np.int64(-1)
        mask = np.uint64(0)
        hidden = False
        name = np.uint64(0)
        close = False
        if not ended:
            if data[a] == 33 or data[a] == 63:  # a comment or a declaration
                if a + 2 < n and data[a + 1] == 45 and data[a + 2] == 45:
                    i = a + 3
                    while i + 2 < n and not (data[i] == 45 and data[i + 1] == 45 and data[i + 2] == 62):
                        i += 1
                    i = min(n, i + 3)
                else:
                    i = min(n, _seek(data, i, n, 62) + 1)
                continue
            close = data[a] == 47
            j = a + 1 if close else a
            length = 0
            while j < n and data[j] != 62 and data[j] > 32 and data[j] != 47:
                if length < 8:
                    name |= np.uint64(data[j] | 32 if 65 <= data[j] <= 90 else data[j]) << np.uint64(56 - 8 * length)
                length += 1
                j += 1
            at = np.searchsorted(names, name)
            if at < len(names) and names[at] == name:
                which = np.int64(at)
                self_kind = kinds[at]
            opening = not close
            # attributes
            while j < n and data[j] != 62:
                if data[j] == 34 and data[j - 1] == 61:  # names may hold quotation marks, too
                    quote = j
                    j = _seek(data, j + 1, n, 34)
                    # the name before the equals sign: class, id, role, itemprop; style; hidden="" or aria-hidden="true"
                    c1, c2, c3 = data[quote - 2], data[quote - 3], data[quote - 4]
                    named = (c1 == 115 and c2 == 115) or (c1 == 100 and c2 == 105) or (c1 == 112 and c2 == 111)
                    if (named or (c1 == 101 and c2 == 108)) and j - quote < 400:
                        mask |= _attribute_words(data, quote + 1, j, step, ends)
                    if c1 == 101 and c2 == 108 and c3 == 121:
                        hidden = hidden or _hides(data, quote + 1, j)
                    if c1 == 110 and c2 == 101 and c3 == 100 and data[quote - 5] == 100:
                        hidden = hidden or data[quote - 8] == 32 or data[quote + 1] == 116
                j += 1
            i = min(n, j + 1)
            if opening and self_kind & raw:
                # up to its own end tag
                while i + 1 < n:
                    i = _seek(data, i, n, 60)
                    if i + 1 < n and data[i + 1] == 47 and _is_name(data, i + 2, a, length):
                        break
                    i += 1
                i = min(n, _seek(data, i, n, 62) + 1)
                continue
        else:
            i = n + 1
        if self_kind & break_ and opening:
            if skipped < 0 and used > begin:
                if formatted < 0 and space and out[used - 1] == 32:
                    out[used - 1] = 10
                else:
                    out[used] = 10
                    used += 1
                space = True
                breaks += 1
            continue
        if ended or self_kind & block:
            # the border of a block
            if used > begin:
                stop = used
                if formatted < 0:
                    while stop > begin and out[stop - 1] <= 32:
                        stop -= 1
                if stop > begin and count > 0:
                    d = depth - 1 if depth else 0
                    w = d
                    while w > 0 and not (tag[w] >= 0 and kinds[tag[w]] & block):
                        w -= 1
                    values[k, 0], values[k, 1], values[k, 2] = begin, stop, tag[w]
                    values[k, 3], values[k, 4] = element[w], w
                    values[k, 11], values[k, 12] = ancestry[d], lists[d]
                    if tag[w] >= 0 and kinds[tag[w]] & heading:
                        values[k, 13] = np.int64((names[tag[w]] >> np.uint64(48)) & np.uint64(0xFF)) - 48
                    values[k, 5], values[k, 6], values[k, 7], values[k, 8] = link_bytes, count, stops, commas
                    values[k, 9], values[k, 10], values[k, 14] = capitals, digits, breaks
                    words[k], own[k] = every[d], last[d]
                    k += 1
                    if k == len(values):
                        values = np.concatenate((values, np.zeros_like(values)))
                        words, own = (
                            np.concatenate((words, np.zeros_like(words))),
                            np.concatenate((own, np.zeros_like(own))),
                        )
                link_bytes, count, stops, commas, capitals, digits, breaks = 0, 0, 0, 0, 0, 0, 0
                used = stop
                begin = stop
            space = True
        if ended:
            break
        if opening:
            if self_kind & void:
                continue
            if depth == DEEPEST:
                over += 1
                continue
            up = depth - 1
            tag[depth], packed[depth] = which, name
            if up >= 0:
                ancestry[depth], lists[depth], every[depth] = ancestry[up], lists[up], every[up]
                element[depth] = element[up]
                last[depth] = last[up]
            else:
                ancestry[depth], lists[depth], every[depth], element[depth], last[depth] = 0, 0, 0, 0, 0
            # body and html classes describe the page, not the block
            if depth > 1:
                every[depth] |= mask
                if self_kind & block:
                    last[depth] = mask
            if which >= 0:
                ancestry[depth] |= bits[which]
                lists[depth] += (self_kind & list_) != 0
            if self_kind & block:
                if elements == len(parents):
                    parents = np.concatenate((parents, np.zeros_like(parents)))
                    element_tags = np.concatenate((element_tags, np.zeros_like(element_tags)))
                parents[elements] = element[depth]
                element_tags[elements] = which
                element[depth] = elements
                elements += 1
            if hidden:
                ancestry[depth] |= _HIDDEN_BIT
            if skipped < 0 and self_kind & skip:
                skipped = depth
            if linked < 0 and self_kind & link:
                linked = depth
            if formatted < 0 and self_kind & pre:
                formatted = depth
                space = True
            depth += 1
        else:
            if over:
                over -= 1
                continue
            w = depth - 1
            while w > 0 and depth - w < 8 and packed[w] != name:
                w -= 1
            if w >= 0 and packed[w] == name:
                depth = w
                if skipped >= depth:
                    skipped = -1
                if linked >= depth:
                    linked = -1
                if formatted >= depth:
                    formatted = -1
    return out[:used], values[:k], words[:k], own[:k], parents[:elements], element_tags[:elements]
