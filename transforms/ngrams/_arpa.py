"""Reads ARPA files, the text format of n-gram models that KenLM, SRILM and others write."""

from __future__ import annotations

import re
from collections.abc import Iterator

import numpy as np
import pyarrow as pa

from corpusmill.transforms.arrow import string_buffers
from corpusmill.transforms.errors import BadFileError
from corpusmill.transforms.hashing import U
from corpusmill.transforms.ngrams._counts import hashes
from corpusmill.transforms.ngrams._kernels import BEGIN, END, TOP, UNKNOWN, arpa_lines, piece_hashes
from corpusmill.transforms.ngrams._table import Head, codes_of, levels_of, slots_for, write
from corpusmill.transforms.tokens.tokenizer import load_tokenizer

_ADVICE = "write it again, or restore a copy"
_NEPERS = float(np.log(10.0))
_LONGEST = 10
_LOWEST = -30.0
"""What stands for a probability of zero, as log10; ARPA files write -99 or -100."""


def is_arpa(start: bytes) -> bool:
    """Whether a file begins as an ARPA file does."""
    return b"\\data\\" in start[:4096] and not start.startswith(b"mmap lm ")


def convert(path: str, out: str, tokenizer: str | None = None) -> dict[str, list[int]]:
    """Write the model of an ARPA file, which may be compressed, as a table. Returns its card.

    Args:
        path: of the ARPA file.
        out: file to write.
        tokenizer: path of the tokenizer.json whose tokens the file's words are: their texts, or their ids as decimal numbers.
            Without one, words are the pieces between white space.

    Raises:
        BadFileError: the file is damaged or no ARPA file; the message names the line. Or its words are no tokens of the tokenizer.
    """
    try:
        with pa.input_stream(path, compression="detect") as f:
            data = np.frombuffer(f.read(), np.uint8)
    except (OSError, pa.ArrowException) as error:
        raise BadFileError(
            path, f"cannot be read ({error})", "name an .arpa file, as KenLM and SRILM write them"
        ) from None
    sections = list(_sections(path, data, () if tokenizer is None else _tokens(tokenizer)))
    order = len(sections)
    grams, log_p, log_back = _closed(sections)
    values = zip(log_p, log_back, strict=True)
    levels = levels_of(order, [(*_ends(p), *_ends(b)) for p, b in values])
    every = [list(hashes(g))[-1] for g in grams]
    length = np.repeat(np.arange(1, order + 1), [len(h) for h in every])
    h, p, back = np.concatenate(every), np.concatenate(log_p), np.concatenate(log_back)
    at = np.argsort(h, kind="stable")
    codes = codes_of(p[at], back[at], length[at], levels)
    digest = "" if tokenizer is None else load_tokenizer(tokenizer).digest
    card = {"ngrams": [len(g) for g in grams]}
    head = Head(order, "pieces" if tokenizer is None else "tokens", slots_for(len(h)), levels, digest, card)
    write(out, head, [(h[at], codes)])
    return card


def _ends(values: np.ndarray) -> tuple[float, float]:
    """(least, largest) of values; 0 without any."""
    return (float(values.min()), float(values.max())) if len(values) else (0.0, 0.0)


_Known = tuple[np.ndarray, np.ndarray]
"""(hashes uint64, sorted; ids uint32) of tokens."""


def _sections(path: str, data: np.ndarray, spellings: tuple[_Known, ...]) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """(n-grams uint32 [m, k], log10 probability and back-off float64 [m, 2]) of each length k."""
    raw = data.tobytes() if len(data) < 1 << 16 else bytes(data[: 1 << 16])
    counts = [int(n) for _, n in re.findall(rb"^ngram[ \t]+(\d+)[ \t]*=[ \t]*(\d+)", raw.split(b"-grams:")[0], re.M)]
    if not is_arpa(raw) or not counts:
        raise BadFileError(path, "is no ARPA file: it has no counts after \\data\\", "name an .arpa file")
    if len(counts) > _LONGEST or counts[0] == 0:
        raise BadFileError(
            path, f"has n-grams of up to {len(counts)} words, {counts[0]} of one word", "give a model of 1 to 10 words"
        )
    position = 0
    known: _Known | None = None
    for k, count in enumerate(counts, 1):
        title = b"\\%d-grams:" % k
        position = _find(data, title, position)
        if position < 0:
            raise BadFileError(path, f"has no section {title.decode()}", _ADVICE)
        position += len(title)
        while position < len(data) and data[position] in b"\r \t":
            position += 1
        # what is read is never more than the file can hold: four bytes a line at least
        if count > len(data) // 4:
            raise BadFileError(path, f"promises {count:,} n-grams of {k} words, more than fit in it", _ADVICE)
        numbers, words = np.zeros((count, 2)), np.zeros((count, k), np.uint64)
        start = position + 1
        lines, position, bad = arpa_lines(data, start, len(data), k, numbers, words)
        if bad or lines != count:
            line = data[:position].tobytes().count(b"\n") + 1
            what = (
                f"is no line of {k} words with their logarithms" if bad else f"ends {count - lines:,} lines too early"
            )
            raise BadFileError(path, f"line {line} {what}", _ADVICE)
        if k == 1 and spellings:  # ids and texts of tokens look alike where tokens are digits
            known = min(spellings, key=lambda known: int((_as_symbols(words, known) == TOP).sum()))
            _check_known(path, _as_symbols(words, known))
        yield _as_symbols(words, known), numbers


def _find(data: np.ndarray, text: bytes, start: int) -> int:
    """Where `text` begins a line at `start` or behind it; -1 if it does not. Looks at a mebibyte at a time."""
    step = 1 << 20
    for at in range(max(start - 1, 0), len(data), step):
        found = data[at : at + step + len(text) + 1].tobytes().find(b"\n" + text)
        if found >= 0:
            return at + found + 1
    return -1


def _as_symbols(words: np.ndarray, known: _Known | None) -> np.ndarray:
    """Symbols of hashed words, uint32 [m, k]; TOP for those that are no tokens."""
    if known is None:
        symbols = np.minimum(words >> U(32), U(TOP - 1)).astype(np.uint32)
    else:
        at = np.minimum(np.searchsorted(known[0], words), len(known[0]) - 1)
        symbols = np.where(known[0][at] == words, known[1][at], np.uint32(TOP)).astype(np.uint32)
    for name, symbol in zip(_hashed(["<s>", "</s>", "<unk>", "<UNK>"]), (BEGIN, END, UNKNOWN, UNKNOWN), strict=True):
        symbols[words == name] = symbol
    return symbols


def _check_known(path: str, symbols: np.ndarray) -> None:
    """Refuse a file most of whose words are no tokens."""
    strange, words = int((symbols == TOP).sum()), int((symbols <= TOP).sum())
    if strange > words // 2:
        what = f"{strange:,} of its {words:,} words are no tokens of the tokenizer"
        raise BadFileError(path, what, "name the tokenizer it was trained with")


def _hashed(names: list[str]) -> np.ndarray:
    offsets, data = string_buffers(pa.array(names, pa.string()))
    out = np.zeros(len(names), np.uint64)
    piece_hashes(offsets, data, out)
    return out


def _tokens(path: str) -> tuple[_Known, _Known]:
    """A tokenizer's tokens by their texts, and by their ids as decimal numbers."""
    pieces = load_tokenizer(path).pieces()
    ids = np.array([*pieces.values()], np.uint32)
    found = []
    for names in (list(pieces), [str(i) for i in pieces.values()]):
        h, which = np.unique(_hashed(names), return_index=True)
        found.append((h, ids[which]))
    return found[0], found[1]


def _closed(
    sections: list[tuple[np.ndarray, np.ndarray]],
) -> tuple[list[np.ndarray], list[np.ndarray], list[np.ndarray]]:
    """N-grams of each length with the natural logarithms of their probabilities and back-off weights.

    The end of each n-gram is there, too: a pruned file may lack it, and look-ups go from the end to the beginning. Its probability
    is what the file gives it, by backing off. An unknown symbol is there in any case.
    """
    grams = [g for g, _ in sections]
    log_p = [np.maximum(n[:, 0], _LOWEST) * _NEPERS for _, n in sections]
    log_back = [np.maximum(n[:, 1], _LOWEST) * _NEPERS for _, n in sections]
    if not (grams[0] == UNKNOWN).any():
        grams[0] = np.append(grams[0], np.full((1, 1), UNKNOWN, np.uint32), axis=0)
        log_p[0], log_back[0] = np.append(log_p[0], _LOWEST * _NEPERS), np.append(log_back[0], 0.0)
    for k in range(len(grams) - 1, 1, -1):  # ends of k symbols that are wanted by n-grams of k + 1
        ends = np.unique(grams[k][:, 1:], axis=0)
        absent = ~np.isin(list(hashes(ends))[-1], list(hashes(grams[k - 1]))[-1])
        if absent.any():
            grams[k - 1] = np.concatenate([grams[k - 1], ends[absent]])
            log_p[k - 1] = np.append(log_p[k - 1], np.full(int(absent.sum()), np.nan))
            log_back[k - 1] = np.append(log_back[k - 1], np.zeros(int(absent.sum())))
    for k in range(2, len(grams)):
        rows = np.flatnonzero(np.isnan(log_p[k - 1]))
        if len(rows):
            added = grams[k - 1][rows]
            log_p[k - 1][rows] = _values(grams[k - 2], log_back[k - 2], added[:, :-1], 0.0) + _values(
                grams[k - 2], log_p[k - 2], added[:, 1:], _LOWEST * _NEPERS
            )
    kept = [_first(g) for g in grams]
    return (
        [g[at] for g, at in zip(grams, kept, strict=True)],
        [p[at] for p, at in zip(log_p, kept, strict=True)],
        [b[at] for b, at in zip(log_back, kept, strict=True)],
    )


def _first(grams: np.ndarray) -> np.ndarray:
    """The first row of each n-gram that has a place in a table: without words that are no tokens."""
    at = np.sort(np.unique(list(hashes(grams))[-1], return_index=True)[1])
    return at[~(grams[at] == TOP).any(axis=1)]


def _values(grams: np.ndarray, values: np.ndarray, wanted: np.ndarray, missing: float) -> np.ndarray:
    """The values of n-grams, float64 [n]; `missing` where there is none."""
    h = list(hashes(grams))[-1]
    order = np.argsort(h, kind="stable")
    asked = list(hashes(wanted))[-1]
    at = order[np.minimum(np.searchsorted(h, asked, sorter=order), len(h) - 1)]
    return np.where(h[at] == asked, values[at], missing)
