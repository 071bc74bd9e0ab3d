"""Reads the file of a fastText model: arguments, dictionary, and two matrices, plain or product-quantised."""

from __future__ import annotations

import struct
from dataclasses import dataclass

import numpy as np

from corpusmill.transforms import storage
from corpusmill.transforms.errors import BadFileError
from corpusmill.transforms.select.fasttext.features import build_index, entries

MAGIC = struct.pack("<i", 793712314)
CENTRES = 256
"""Centroids of each part of a product quantiser."""
LOSSES = {1: "hs", 2: "ns", 3: "softmax", 4: "ova"}
SUPERVISED = 3
STRIPE = 4096
"""Rows of a matrix that are looked at together."""
LARGEST = 1 << 26
"""Rows, words or buckets of a model at most: a damaged number must not take all memory."""
ADVICE = "name a supervised model that fastText wrote, or restore a whole copy"


@dataclass(frozen=True)
class Words:
    """A dictionary: the bytes of its entries, where each begins and ends, their counts, and an index by hash.

    number: how many entries are words; the others are labels. pruned: int32 [buckets], the new number of each bucket, -1 for
    none; empty for a model that keeps all.
    """

    names: np.ndarray
    starts: np.ndarray
    ends: np.ndarray
    counts: np.ndarray
    index: np.ndarray
    number: int
    pruned: np.ndarray

    def labels(self) -> list[str]:
        """The labels without their prefix, in the order of the output matrix."""
        spans = zip(self.starts[self.number :].tolist(), self.ends[self.number :].tolist())
        names = [self.names[a:b].tobytes().decode("utf-8", "replace") for a, b in spans]
        return [n.removeprefix("__label__") for n in names]


@dataclass(frozen=True)
class Contents:
    """What a file holds. order: longest word n-gram; shortest, longest: characters of subwords; table: float32 [rows, d], the
    input matrix; output: float32 [labels, d]. Both may lie in the mapped file, where numbers are not aligned."""

    order: int
    buckets: int
    shortest: int
    longest: int
    loss: str
    words: Words
    table: np.ndarray
    output: np.ndarray


def is_fasttext(path: str) -> bool:
    """Whether a file begins as a fastText model does."""
    try:
        with storage.open_input(path) as f:
            return f.read(4) == MAGIC
    except OSError:
        return False


def read(path: str) -> Contents:
    """The contents of a model's file.

    Raises:
        BadFileError: the file is damaged, truncated, or holds no supervised model.
    """
    try:
        # mapped, as a model may have gigabytes of which a run needs one pass
        return _Reader(path, np.frombuffer(storage.arrow_input(path).read_buffer(), np.uint8)).contents()
    except OSError as error:
        raise BadFileError(path, f"no readable model ({error.strerror})", ADVICE) from None


class _Reader:
    """Takes values off the front of a file's bytes."""

    def __init__(self, path: str, data: np.ndarray) -> None:
        self.path, self.data, self.at = path, data, 0

    def bad(self, what: str) -> BadFileError:
        return BadFileError(self.path, f"a damaged fastText model: {what}", ADVICE)

    def take(self, count: int, dtype: str, what: str) -> np.ndarray:
        size = count * np.dtype(dtype).itemsize
        if count < 0 or size > len(self.data) - self.at:
            raise self.bad(f"it ends within {what}, at byte {len(self.data):,}")
        self.at += size
        return self.data[self.at - size : self.at].view(np.dtype(dtype))

    def number(self, dtype: str, what: str, low: int = 0, high: int = LARGEST) -> int:
        value = int(self.take(1, dtype, what)[0])
        if not low <= value <= high:
            raise self.bad(f"{what} is {value}")
        return value

    def contents(self) -> Contents:
        if bytes(self.data[:4]) != MAGIC:
            raise BadFileError(self.path, "no fastText model", ADVICE)
        version = int(self.take(2, "<i4", "its header")[1])
        if version not in (11, 12):
            raise BadFileError(
                self.path, f"a fastText model of version {version}; 11 and 12 can be read", "save it with fastText 0.9"
            )
        (dim, _, _, _, _, order, loss, kind, buckets, shortest, longest, _) = self.take(
            12, "<i4", "its arguments"
        ).tolist()
        self.take(1, "<f8", "its arguments")
        if kind != SUPERVISED:
            raise BadFileError(
                self.path, "a fastText model of word vectors, which has no labels", "train one with `supervised`"
            )
        if version == 11:
            longest = 0
        if loss not in LOSSES or not 0 < dim <= 65_536 or not 0 < order <= 64 or not 0 <= buckets <= LARGEST:
            raise self.bad("its arguments are out of range")
        if not (0 <= longest <= 256 and 0 <= shortest <= 256) or (not buckets and (longest > 0 or order > 1)):
            raise self.bad("its arguments are out of range")
        words = self._words(buckets)
        quantised = self.number("u1", "a mark", 0, 1)
        rows = words.number + (int(words.pruned.max()) + 1 if len(words.pruned) else buckets)
        table = self._quantised(dim, "the input matrix") if quantised else self._dense(dim, "the input matrix")
        if len(words.pruned) and not quantised:
            raise self.bad("its dictionary is pruned, but its matrix is not quantised")
        again = self.number("u1", "a mark", 0, 1)
        output = (
            self._quantised(dim, "the output matrix") if quantised and again else self._dense(dim, "the output matrix")
        )
        labels = len(words.starts) - words.number
        if len(table) < rows or len(output) != labels:
            raise self.bad(f"its matrices have {len(table)} and {len(output)} rows for {rows} and {labels}")
        if not all(np.isfinite(m[i : i + STRIPE]).all() for m in (table, output) for i in range(0, len(m), STRIPE)):
            raise self.bad("its matrices hold values that are no numbers")
        return Contents(order, buckets, shortest, longest, LOSSES[loss], words, table, output)

    def _words(self, buckets: int) -> Words:
        number, words, labels = (self.number("<i4", "the size of the dictionary") for _ in range(3))
        self.take(1, "<i8", "the dictionary")
        pruned = self.number("<i8", "the number of kept n-grams", -1)
        if words + labels != number or not labels:
            raise self.bad(f"its dictionary has {number} entries, of which {words} are words and {labels} labels")
        # an entry takes ten bytes at least
        if number > (len(self.data) - self.at) // 10:
            raise self.bad("it ends within the dictionary")
        starts, ends, counts = (np.empty(number, np.int64) for _ in range(3))
        kinds = np.empty(number, np.int8)
        at = entries(self.data, self.at, number, starts, ends, counts, kinds)
        if at < 0:
            raise self.bad("it ends within the dictionary")
        if (kinds != (np.arange(number) >= words)).any():
            raise self.bad("its labels do not follow its words")
        self.at = at
        kept = np.zeros(0, np.int32)
        if pruned >= 0:
            pairs = self.take(2 * pruned, "<i4", "the kept n-grams").reshape(-1, 2)
            if ((pairs < 0) | (pairs >= max(buckets, 1))).any():
                raise self.bad("its kept n-grams are out of range")
            kept = np.full(max(buckets, 1), -1, np.int32)
            kept[pairs[:, 0]] = pairs[:, 1]
        index = np.full(1 << max(2 * number - 1, 1).bit_length(), -1, np.int32)
        names = self.data[:at]
        build_index(names, starts, ends, index)
        return Words(names, starts, ends, counts, index, words, kept)

    def _shape(self, dim: int, what: str) -> int:
        rows, width = self.number("<i8", what), self.number("<i8", what)
        if width != dim:
            raise self.bad(f"{what} is {width} wide instead of {dim}")
        return rows

    def _dense(self, dim: int, what: str) -> np.ndarray:
        rows = self._shape(dim, what)
        return self.take(rows * dim, "<f4", what).reshape(rows, dim)

    def _quantised(self, dim: int, what: str) -> np.ndarray:
        normed = self.number("u1", "a mark", 0, 1)
        rows = self._shape(dim, what)
        codes = self.take(self.number("<i4", what, 0, 1 << 31), "u1", what)
        table = self._decoded(codes, rows, dim, what)
        if normed:
            norms = self.take(rows, "u1", what)
            table = table * self._decoded(norms, rows, 1, what)
        return table

    def _decoded(self, codes: np.ndarray, rows: int, dim: int, what: str) -> np.ndarray:
        """Rows float32 [rows, dim] of codes, by the product quantiser that comes next in the file."""
        given, parts, size, last = self.take(4, "<i4", what).tolist()
        if given != dim or parts < 1 or size < 1 or (parts - 1) * size + last != dim or len(codes) != rows * parts:
            raise self.bad(f"the quantiser of {what} does not fit it")
        centres = self.take(dim * CENTRES, "<f4", what)
        codes, out = codes.reshape(rows, parts), np.empty((rows, dim), np.float32)
        for part in range(parts):
            width = last if part == parts - 1 else size
            begin = part * CENTRES * size
            mine = centres[begin : begin + CENTRES * width].reshape(CENTRES, width)
            out[:, part * size : part * size + width] = mine[codes[:, part]]
        return out
