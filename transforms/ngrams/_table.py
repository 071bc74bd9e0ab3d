"""An n-gram model as one quantised hash table, and its file, which is mapped and never read whole.

The file is in the layout of safetensors: a header in JSON, then the slots as one tensor `table` of 64-bit numbers. An n-gram takes
13 bytes: 16 bits for the logarithm of the probability and of the back-off weight each, in even steps between the smallest and
the largest of each length, 32 bits of its hash, and the empty slots. Two n-grams are taken
for one another where these 32 bits and the place agree: about one look-up in 10^9.
"""

from __future__ import annotations

import functools
import hashlib
import json
import os
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, BinaryIO

import numpy as np

from corpusmill.transforms.errors import BadFileError
from corpusmill.transforms.ngrams._kernels import place, score
from corpusmill.transforms.ngrams._symbols import Units
from corpusmill.transforms.storage.local import temporary_name

FORMAT = "corpusmill ngrams 1"
FILLED = 0.6
"""Share of the slots that are taken."""
_ARPA = (".arpa", ".arpa.gz", ".arpa.bz2", ".arpa.zst", ".arpa.lz4")
_ADVICE = "name a file that `corpusmill perplexity train` wrote, or an .arpa file"


@dataclass(frozen=True)
class Head:
    """What the header of a model's file says. order: longest n-gram, in symbols; slots: by which hashes are placed; levels:
    float64 [order + 1, 4] (`_kernels.score`); tokenizer: SHA-256 of its file, or ""; card: what it was trained on."""

    order: int
    units: Units
    slots: int
    levels: np.ndarray
    tokenizer: str = ""
    card: dict[str, Any] = field(default_factory=dict)

    def to_json(self, digest: str) -> str:
        """JSON text; `digest`: SHA-256 of the slots in hexadecimal digits."""
        levels = [[float(v) for v in row] for row in self.levels]
        fields = {"format": FORMAT, "order": self.order, "units": self.units, "slots": self.slots, "levels": levels}
        fields |= {"tokenizer": self.tokenizer, "card": self.card, "sha256": digest}
        return json.dumps(fields, sort_keys=True)


@dataclass(frozen=True)
class LanguageModel:
    """A trained model. table: uint64, its slots."""

    head: Head
    table: np.ndarray

    def log_probabilities(self, offsets: np.ndarray, symbols: np.ndarray) -> np.ndarray:
        """Log probability of each document with its end, float64 [n], natural: offsets int64 [n + 1], symbols uint32."""
        out = np.zeros(len(offsets) - 1, np.float64)
        if len(out):
            begins, values = np.asarray(offsets, np.int64), np.asarray(symbols, np.uint32)
            score(begins, values, self.head.order, self.table, self.head.slots, self.head.levels, out)
        return out

    def perplexities(self, offsets: np.ndarray, symbols: np.ndarray) -> np.ndarray:
        """exp(-log p / (symbols + 1)) of each document, float64 [n]; nan without symbols. The end counts as one, as in KenLM."""
        lengths = np.diff(offsets)
        found = np.exp(-self.log_probabilities(offsets, symbols) / (lengths + 1))
        return np.where(lengths > 0, found, np.nan)


def slots_for(ngrams: int) -> int:
    """Slots of a table."""
    return max(64, int(ngrams / FILLED) + 1)


def codes_of(log_p: np.ndarray, log_back: np.ndarray, length: np.ndarray, levels: np.ndarray) -> np.ndarray:
    """Codes of n-grams for `place`, uint64 [n]."""
    top, step, back_top, back_step = levels[length].T
    p = np.rint((top - log_p) / step).clip(0, 0xFFFF).astype(np.uint64)
    back = np.rint((back_top - log_back) / back_step).clip(0, 0xFFFF).astype(np.uint64)
    return np.asarray((p << np.uint64(16)) | back)


def levels_of(order: int, lengths: Iterable[tuple[float, float, float, float]]) -> np.ndarray:
    """`Head.levels` from (least, largest log probability, least, largest log back-off) of each length from 1."""
    levels = np.ones((order + 1, 4), np.float64)
    for k, (low, high, back_low, back_high) in enumerate(lengths, 1):
        levels[k] = high, max(high - low, 1e-6) / 0xFFFF, back_high, max(back_high - back_low, 1e-6) / 0xFFFF
    return levels


def write(path: str, head: Head, parts: Iterable[tuple[np.ndarray, np.ndarray]]) -> None:
    """Write a model from its n-grams: (hashes uint64, rising over all parts, codes uint64)."""
    fresh = temporary_name(path)
    try:
        with open(fresh, "wb") as f:
            _write(f, head, parts)
        os.replace(fresh, path)
    finally:
        if os.path.exists(fresh):
            os.unlink(fresh)


def _write(f: BinaryIO, head: Head, parts: Iterable[tuple[np.ndarray, np.ndarray]]) -> None:
    """Slots are written as they fill up; the header, which has their digest, is written last."""
    room = len(_header(head, "0" * 64, 1 << 44))
    f.write(b"\0" * room)
    digest, free = hashlib.sha256(), 0
    for hashes, codes in parts:
        if len(hashes):
            last = int(((int(hashes[-1]) >> 32) * head.slots) >> 32)
            out = np.zeros(max(last, free) + len(hashes) + 1 - free, np.uint64)
            # what comes later lies behind the last entry
            end = int(place(hashes, codes, head.slots, free, free, out))
            _put(f, out[: end - free], digest)
            free = end
    # an empty slot at the end, where look-ups stop
    _put(f, np.zeros(max(head.slots - free, 0) + 1, np.uint64), digest)
    size = f.tell() - room
    f.seek(0)
    f.write(_header(head, digest.hexdigest(), size, room))


def _put(f: BinaryIO, slots: np.ndarray, digest: Any) -> None:
    data = slots.astype("<u8", copy=False).tobytes()
    digest.update(data)
    f.write(data)


def _header(head: Head, digest: str, size: int, room: int = 0) -> bytes:
    """Length and JSON of the header, a multiple of eight bytes; filled up with blanks to `room` bytes."""
    tensor = {"dtype": "U64", "shape": [size // 8], "data_offsets": [0, size]}
    text = json.dumps({"__metadata__": {"corpusmill": head.to_json(digest)}, "table": tensor}).encode()
    length = room - 8 if room else -(-len(text) // 8) * 8
    return length.to_bytes(8, "little") + text.ljust(length)


def open_model(path: str, tokenizer: str | None = None) -> LanguageModel:
    """The model of a file, opened once a process until the file changes. An ARPA file is converted first.

    Args:
        path: of a model's file, or of an ARPA file.
        tokenizer: see `corpusmill.transforms.ngrams._arpa.convert`.

    Raises:
        BadFileError: the file is absent, damaged, or of another kind.
    """
    try:
        stat = os.stat(path)
    except OSError as error:
        raise BadFileError(path, f"cannot be read ({error.strerror})", _ADVICE) from None
    return _open(path, tokenizer, stat.st_size, stat.st_mtime_ns)


@functools.lru_cache(8)
def _open(path: str, tokenizer: str | None, size: int, stamp: int) -> LanguageModel:
    from corpusmill.transforms.ngrams import _arpa

    try:
        with open(path, "rb") as f:
            start = f.read(4096)
    except OSError as error:
        raise BadFileError(path, f"cannot be read ({error.strerror})", _ADVICE) from None
    if not (_arpa.is_arpa(start) or path.endswith(_ARPA)):
        return parse(path, _mapped(path) if size else np.zeros(0, np.uint8))
    with tempfile.TemporaryDirectory() as folder:  # the mapping outlives the file's name
        converted = os.path.join(folder, "model")
        _arpa.convert(path, converted, tokenizer)
        return parse(path, _mapped(converted))


def _mapped(path: str) -> np.ndarray:
    return np.asarray(np.memmap(path, np.uint8, "r"))


def parse(path: str, data: np.ndarray) -> LanguageModel:
    """The model in the bytes of a file, uint8.

    Raises:
        BadFileError: see `open_model`.
    """
    start = bytes(data[:64])
    if start.startswith(b"mmap lm http://kheafield.com/code"):
        raise BadFileError(
            path,
            "is a binary file of KenLM, which this version does not read",
            "name the .arpa file that it was built from",
        )
    try:
        length = int.from_bytes(start[:8], "little")
        header = json.loads(bytes(data[8 : 8 + length])) if 0 < length <= min(len(data) - 8, 1 << 24) else {}
        head = json.loads(header["__metadata__"]["corpusmill"])
    except (ValueError, KeyError, TypeError):
        head = {}
    if not isinstance(head, dict) or head.get("format") != FORMAT:
        raise BadFileError(path, "is no n-gram model", _ADVICE)
    body = data[8 + length :]
    if len(body) % 8 or hashlib.sha256(body.data).hexdigest() != head["sha256"]:
        raise BadFileError(path, "is damaged: it is not what was written", "train the model again, or restore a copy")
    table = body.view("<u8")
    table.flags.writeable = False
    levels = np.array(head["levels"], np.float64)
    return LanguageModel(
        Head(head["order"], head["units"], head["slots"], levels, head["tokenizer"], head["card"]), table
    )
