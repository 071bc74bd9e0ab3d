"""Decontamination against evaluation sets."""

from __future__ import annotations

import functools
import os
from typing import Any, ClassVar, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pydantic import Field, field_validator

from corpusmill.transforms.arrow import set_column, string_buffers
from corpusmill.transforms.base import Filter, Stability, Verdict
from corpusmill.transforms.decontaminate.evaluation import read_items
from corpusmill.transforms.decontaminate.grams import Grams, build_grams, find_matches
from corpusmill.transforms.errors import BadFileError
from corpusmill.transforms.random import Keyed
from corpusmill.transforms.redact.splice import splice
from corpusmill.transforms.unicode import ALONE, WORD, tables


class Decontaminate(Filter):
    """Finds documents that share word n-grams with evaluation sets, and drops, cuts or tags them.

    Source: Brown et al. 2020, "Language models are few-shot learners" (GPT-3), appendix C: overlap of 13-grams of lower-cased
    words without punctuation. Words are those of `corpusmill.transforms.unicode`, so that re-cased and re-wrapped text is found and
    Chinese is compared by characters. An item shorter than `ngram` words is looked for as a whole, down to `min_words`.
    `drop` leaves the document out, for the first set it touches as the reason and the number of its items as the value;
    `cut` removes the stretches in common (two of one item less than `ngram` words apart become one), and drops a document
    of which no word is left; `tag` adds a column `contaminated_by` of `set:item`. With `keep_scores` the side table says for
    every document, dropped ones too, which items it holds (`contaminated_by`, separated by line feeds): `report` makes the
    table per set of it. Items are named by their column `id`, else by row number (line number in text files).
    Every worker holds the sets' hashes: about 60 bytes a word of evaluation text.
    Raises BadFileError for a set that cannot be read or holds no item long enough.
    """

    name: ClassVar[str] = "decontaminate"
    version: ClassVar[int] = 3
    stability: ClassVar[Stability] = "record"
    example: ClassVar[str] = "{sets: {gsm8k: eval/gsm8k.parquet}}"

    sets: dict[str, str] = Field(
        min_length=1, description="Evaluation sets by name: the path of a Parquet, JSON lines or text file each."
    )
    columns: tuple[str, ...] = Field(
        (),
        description="Columns of the sets that hold text; by default the first of text, question, problem, prompt and others.",
    )
    ngram: int = Field(13, ge=1, le=1000, description="Words that a document and an item must share in a row.")
    min_words: int = Field(5, ge=1, description="Items of fewer words are not looked for: they are matches everywhere.")
    action: Literal["drop", "cut", "tag"] = Field("drop", description="What becomes of a document with a match.")

    @field_validator("sets")
    @classmethod
    def _named(cls, sets: dict[str, str]) -> dict[str, str]:
        bad = [name for name in sets if not name or any(c in name for c in ":\n")]
        if bad:
            raise ValueError(f"the name {bad[0]!r} of a set is empty or holds a colon or line feed: choose another")
        return sets

    def files(self) -> list[str]:
        """The evaluation sets."""
        return list(self.sets.values())

    def judge(self, batch: pa.RecordBatch, rng: Keyed) -> Verdict:
        """Scores: contaminated_by (`set:item` lines), and `<set>` (number of its items in the document)."""
        sets = _load(_stamped(self.sets), self.columns, self.ngram, self.min_words)
        n = batch.num_rows
        texts = batch.column("text")
        matches = find_matches(texts, sets.grams)
        rows, items, spans = sets.expanded(matches)
        pairs = np.unique(np.stack([rows, items], axis=1), axis=0) if len(rows) else np.zeros((0, 2), np.int64)
        counts = np.zeros((len(self.sets), n), np.int64)
        np.add.at(counts, (sets.set_of[pairs[:, 1]], pairs[:, 0]), 1)
        lists = _lists(pairs, n, sets.names)
        scores: dict[str, Any] = {name: counts[k] for k, name in enumerate(self.sets)}
        scores["contaminated_by"] = np.array(["\n".join(names) for names in lists], dtype=np.str_)
        codes = np.full(n, -1, np.int16)
        values = np.full(n, np.nan)
        hit = counts.any(axis=0)
        edited = None
        dropped = hit
        if self.action == "cut":
            text, empty = _cut(texts, rows, items, spans, self.ngram)
            edited, dropped = set_column(batch, "text", text), hit & empty
        elif self.action == "tag":
            edited = set_column(batch, "contaminated_by", pa.array(lists, pa.list_(pa.string())))
            dropped = np.zeros(n, np.bool_)
        if dropped.any():
            codes[dropped] = (counts > 0).argmax(axis=0)[dropped]
            values[dropped] = counts[codes[dropped], np.flatnonzero(dropped)]
        return Verdict(tuple(self.sets), codes, values, scores, edited)

    def report(self, matches: pa.Table) -> pa.Table:
        """The table per set: set, items, items_skipped (too short to be looked for), items_hit, documents, ids (of those that
        hold one), from a table with `id` and `contaminated_by`: the side table of `keep_scores`, or tagged documents."""
        sets = _load(_stamped(self.sets), self.columns, self.ngram, self.min_words)
        pairs = [
            (document, *name.split(":", 1))
            for document, names in zip(matches.column("id").to_pylist(), matches.column("contaminated_by").to_pylist())
            for name in (names.split("\n") if isinstance(names, str) else names or [])
            if name
        ]
        rows = []
        for number, name in enumerate(self.sets):
            documents = sorted({d for d, s, _ in pairs if s == name})
            items = int((sets.set_of == number).sum())
            skipped = items - int((sets.set_of[np.unique(sets.grams.items)] == number).sum())
            hit = len({i for _, s, i in pairs if s == name})
            rows.append((name, items, skipped, hit, len(documents), documents))
        numbers = ("items", "items_skipped", "items_hit", "documents")
        schema = pa.schema([("set", pa.string()), *((n, pa.int64()) for n in numbers), ("ids", pa.list_(pa.string()))])
        return pa.Table.from_pylist([dict(zip(schema.names, row)) for row in rows], schema)


class _Sets:
    """All sets of a step: their n-grams, and the name and set of each item."""

    def __init__(self, sets: dict[str, str], columns: tuple[str, ...], ngram: int, min_words: int) -> None:
        self.names: list[str] = []
        set_of: list[int] = []
        texts: list[tuple[pa.Array, np.ndarray]] = []
        for number, (name, path) in enumerate(sets.items()):
            read = read_items(path, columns)
            begin = len(self.names)
            self.names += [f"{name}:{item}" for item in read.names]
            set_of += [number] * len(read.names)
            texts += [(column, np.arange(begin, len(self.names))) for column in read.texts]
        self.set_of = np.array(set_of, np.int64)
        self.grams: Grams = build_grams(texts, ngram, min_words)
        present = set(self.set_of[np.unique(self.grams.items)].tolist())
        for number, path in enumerate(sets.values()):
            if number not in present:
                todo = "give a set with longer items, or lower `min_words`"
                raise BadFileError(path, f"no item in it has {min(min_words, ngram)} words", todo)

    def expanded(self, matches: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """One line for every item that a match belongs to: rows, items int64 [m], spans int64 [m, 4]."""
        entries = matches[:, 1]
        widths = self.grams.first[entries + 1] - self.grams.first[entries]
        every = np.repeat(np.arange(len(matches)), widths)
        nth = np.arange(len(every)) - np.repeat(np.cumsum(widths) - widths, widths)
        return matches[every, 0], self.grams.items[self.grams.first[entries[every]] + nth], matches[every, 2:]


def _stamped(sets: dict[str, str]) -> tuple[tuple[str, str, int, int], ...]:
    """The sets with size and time of their files, which a process reads again only when one changed."""
    out = []
    for name, path in sets.items():
        try:
            stat = os.stat(path)
        except OSError as error:
            raise BadFileError(
                path, f"cannot be read ({error.strerror})", "correct the path of the evaluation set"
            ) from None
        out.append((name, path, stat.st_size, stat.st_mtime_ns))
    return tuple(out)


@functools.lru_cache(maxsize=4)
def _load(
    stamped: tuple[tuple[str, str, int, int], ...], columns: tuple[str, ...], ngram: int, min_words: int
) -> _Sets:
    return _Sets({name: path for name, path, _, _ in stamped}, columns, ngram, min_words)


def _lists(pairs: np.ndarray, n: int, names: list[str]) -> list[list[str]]:
    out: list[list[str]] = [[] for _ in range(n)]
    for row, item in pairs.tolist():
        out[row].append(names[item])
    return out


def _cut(
    texts: pa.Array, rows: np.ndarray, items: np.ndarray, spans: np.ndarray, ngram: int
) -> tuple[pa.Array, np.ndarray]:
    """(texts without the stretches in common, bool [n]: no word is left)."""
    if not len(rows):
        return texts, np.zeros(len(texts), np.bool_)
    # stretches of one item, joined over gaps of fewer than ngram words
    order = np.lexsort((spans[:, 2], items, rows))
    rows, items, spans = rows[order], items[order], spans[order]
    other = np.ones(len(rows), np.bool_)
    other[1:] = (rows[1:] != rows[:-1]) | (items[1:] != items[:-1])
    # the furthest end so far: of an item with a short column, one stretch may lie within another
    above = (np.cumsum(other) - 1)[:, None] * (spans[:, [1, 3]].max() + 1)
    reach = np.maximum.accumulate(spans[:, [1, 3]] + above) - above
    apart = other
    apart[1:] |= spans[1:, 2] - reach[:-1, 1] >= ngram
    first = np.flatnonzero(apart)
    last = np.append(first[1:], len(rows)) - 1
    begins, ends, owners = spans[first, 0], reach[last, 0], rows[first]
    # of all items, in order, overlaps joined
    order = np.lexsort((ends, begins))
    merged: list[list[int]] = []
    for row, a, b in zip(owners[order].tolist(), begins[order].tolist(), ends[order].tolist()):
        if merged and merged[-1][0] == row and a <= merged[-1][2]:
            merged[-1][2] = max(merged[-1][2], b)
        else:
            merged.append([row, a, b])
    offsets, data = string_buffers(texts)
    between = pa.array([_between(data, offsets[row], a, b, offsets[row + 1]) for row, a, b in merged], pa.string())
    cut = splice(texts, np.array(merged, np.int64), between)
    touched = np.zeros(len(texts), np.bool_)
    touched[[m[0] for m in merged]] = True
    words = pc.match_substring_regex(cut, r"[\pL\pN]").fill_null(False).to_numpy(zero_copy_only=False)
    return cut, touched & ~words.astype(np.bool_)


def _between(data: np.ndarray, start: int, a: int, b: int, stop: int) -> str:
    """What replaces data[a:b] of the text data[start:stop]: a space where the words around it would become one, else nothing."""
    before = data[max(start, a - 4) : a].tobytes().decode(errors="ignore")[-1:]
    after = data[b : min(b + 4, stop)].tobytes().decode(errors="ignore")[:1]
    if not before or not after:
        return ""
    c, d = (int(tables()[0][ord(x)]) for x in (before, after))
    return " " if c & WORD and d & WORD and not (c | d) & ALONE else ""
