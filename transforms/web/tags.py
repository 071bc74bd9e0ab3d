"""What the block kernel knows of HTML: kinds of tags, and words in class names that say what an element is for."""

from __future__ import annotations

import functools

import numpy as np

# kinds of tags, bits of one number
BLOCK, SKIP, VOID, LINK, RAW, HEADING, LIST, ITEM, TABLE, ROW, CELL, PRE, PARAGRAPH, BREAK = (1 << i for i in range(14))

_BLOCKS = (
    "address article aside blockquote body center dd details dialog dir div dl dt fieldset figcaption figure footer form header"
    " hgroup html main menu nav section summary caption thead tbody tfoot frameset"
)
_KINDS = {
    **dict.fromkeys(_BLOCKS.split(), BLOCK),
    **dict.fromkeys("h1 h2 h3 h4 h5 h6".split(), BLOCK | HEADING),
    **dict.fromkeys(("ul", "ol"), BLOCK | LIST),
    **dict.fromkeys("script style iframe noembed noframes xmp".split(), SKIP | RAW),
    **dict.fromkeys("svg math template canvas select datalist textarea head title".split(), SKIP),
    **dict.fromkeys("area base basefont bgsound col embed frame img input link meta keygen source track wbr param".split(), VOID),
    "noscript": BLOCK, "a": LINK, "br": VOID | BREAK,
    "hr": VOID | BLOCK, "li": BLOCK | ITEM, "p": BLOCK | PARAGRAPH, "pre": BLOCK | PRE,
    "table": BLOCK | TABLE, "td": BLOCK | CELL, "th": BLOCK | CELL, "tr": BLOCK | ROW,
}  # fmt: skip
NAMES = tuple(sorted(_KINDS, key=lambda name: int.from_bytes(name.encode()[:8].ljust(8, b"\0"), "big")))
"""The tags that have a kind, in the order of `tables`. All others are inline."""

# an ancestor of one of these tags is a feature, in this order
ANCESTORS = (
    "nav header footer aside article main form ul ol table figure figcaption blockquote section dl p button object hidden noscript"
).split()

WORDS = (
    "content article post entry body main text story single page blog news nav menu foot head comment side relat share social"
    " cookie banner promo widget crumb meta tag author caption popup modal newsletter subscri login copyright paginat teaser"
    " recommend list item link date categor consent gdpr search sponsor hidden summary lead intro reply respon bio title top"
    " bottom advert doc toc sect code"
).split()
"""Parts of class names, ids and roles. Each is a bit of a 64-bit mask."""
assert len(WORDS) <= 64


@functools.cache
def tables() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(packed names uint64 [t] in order, kinds int64 [t], ancestor bits int64 [t])."""
    packed = np.array([int.from_bytes(n.encode()[:8].ljust(8, b"\0"), "big") for n in NAMES], np.uint64)
    kinds = np.array([_KINDS[n] for n in NAMES], np.int64)
    bits = np.array([1 << ANCESTORS.index(n) if n in ANCESTORS else 0 for n in NAMES], np.int64)
    return packed, kinds, bits


@functools.cache
def automaton() -> tuple[np.ndarray, np.ndarray]:
    """Aho and Corasick's automaton of WORDS: (next state int16 [states, 26] by letter, words that end uint64 [states])."""
    children: list[dict[int, int]] = [{}]
    ends = [0]
    for bit, word in enumerate(WORDS):
        state = 0
        for c in word.encode():
            if c - 97 not in children[state]:
                children.append({})
                ends.append(0)
                children[state][c - 97] = len(children) - 1
            state = children[state][c - 97]
        ends[state] |= 1 << bit
    step = np.zeros((len(children), 26), np.int16)
    fail = [0] * len(children)
    queue = [0]
    for state in queue:
        ends[state] |= ends[fail[state]]
        for letter in range(26):
            child = children[state].get(letter)
            if child is None:
                step[state, letter] = step[fail[state], letter] if state else 0
            else:
                fail[child] = step[fail[state], letter] if state else 0
                step[state, letter] = child
                queue.append(child)
    return step, np.array(ends, np.uint64)
