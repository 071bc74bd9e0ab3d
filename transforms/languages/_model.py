"""A model of languages: the n-grams of letters of each, from text of known languages.

An n-gram g of k letters says log(1 + p(g | language, k) / floor) for a language, and nothing for languages where it is unseen:
naive Bayes with a common floor. One that is seen in more than COMMON languages says nothing. The languages of other scripts than
a text's are out of question. A text's score is the mean over its places; probabilities follow by a temperature that is fitted
on text that was held out.

Sources: Cavnar and Trenkle 1994, "N-gram-based text categorization"; Lui and Baldwin 2012, "langid.py" (naive Bayes over n-grams).
"""

from __future__ import annotations

import functools
import hashlib
import json
import os
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa

from corpusmill.transforms.arrow import string_buffers
from corpusmill.transforms.errors import BadFileError, MissingDependencyError
from corpusmill.transforms.hashing import U, hash64
from corpusmill.transforms.languages._kernels import add_up, letter_grams
from corpusmill.transforms.languages._scripts import script_table
from corpusmill.transforms.ngrams._kernels import place
from corpusmill.transforms.ngrams._table import slots_for
from corpusmill.transforms.normal_forms import normalize
from corpusmill.transforms.select._linear import softmax
from corpusmill.transforms.select._train import calibrated
from corpusmill.transforms.storage.local import write_atomic
from corpusmill.transforms.unicode import tables

FORMAT = "corpusmill languages 1"
FLOOR = 1e-5
"""Share of n-grams below which being seen says little."""
COMMON = 32
"""In how many languages an n-gram may be seen."""
CHUNK = 300
"""Characters of the pieces that training text is cut into."""
_GATE = 0.02
"""A language is written in the scripts of at least this share of its letters."""
_ARRAYS = ("table", "starts", "labels", "weights", "gates")


@dataclass(frozen=True)
class Languages:
    """A trained model. names: codes of the languages; order: longest n-gram; arrays: those of `add_up`, by name; temperature: by
    which scores are divided; card: what it was trained on."""

    names: tuple[str, ...]
    order: int
    slots: int
    arrays: dict[str, np.ndarray]
    temperature: float
    card: dict[str, Any] = field(default_factory=dict)

    def scores(self, lines: pa.Array) -> tuple[np.ndarray, np.ndarray]:
        """(mean weights float64 [n, languages], letters int64 [n]) of lower-cased lines; languages of other scripts have -1."""
        offsets, data = string_buffers(normalize(lines.fill_null(""), "NFC"))
        out, found = np.zeros((len(lines), len(self.names))), np.zeros(len(lines), np.int64)
        a = self.arrays
        last = (a["starts"], a["labels"], a["weights"], a["gates"], out, found)
        add_up(offsets, data, tables()[0], script_table(), self.order, a["table"], self.slots, *last)
        return out, found

    def guess(self, lines: pa.Array) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """(most likely language int64 [n], -1 without letters or languages of the script; its probability; that of the next)."""
        scores, letters = self.scores(lines)
        shares = softmax(scores / self.temperature)
        rows, top = np.arange(len(scores)), scores.argmax(axis=1)
        known = (letters > 0) & (scores[rows, top] > 0)
        first = shares[rows, top]
        shares[rows, top] = 0.0
        return np.where(known, top, -1), np.where(known, first, 0.0), np.where(known, shares.max(axis=1), 0.0)

    def save(self, path: str) -> None:
        """Write the model as one safetensors file."""
        head = {"format": FORMAT, "names": self.names, "order": self.order, "slots": self.slots}
        head |= {"temperature": self.temperature, "card": self.card}
        head["sha256"] = _checksum(head, self.arrays)
        write_atomic(
            path, _safetensors().save(self.arrays, {"corpusmill": json.dumps(head, sort_keys=True)}), fsync=True
        )


def train(lines: pa.Array, labels: np.ndarray, names: tuple[str, ...], order: int, card: dict[str, Any]) -> Languages:
    """A model of lower-cased lines of known languages; a tenth of their pieces is held out to fit the temperature.

    Args:
        lines: string [n]; each is cut into pieces.
        labels: int64 [n], indexes into `names`.
        names: codes of the languages.
        order: longest n-gram, in letters.
        card: what to note in the file.
    """
    pieces, of = _pieces(lines, labels)
    held = np.asarray(hash64(pieces) % U(10) == 0)
    held &= np.bincount(of[~held], minlength=len(names))[of] > 0  # not the only pieces of a language
    first = _counted(pieces.filter(pa.array(~held)), of[~held], names, order, 1.0, {})
    scores, _ = first.scores(pieces.filter(pa.array(held)))
    temperature = calibrated(scores, of[held])
    right = scores.argmax(axis=1) == of[held]
    card = card | {"pieces": len(pieces), "held_out_pieces": int(held.sum())}
    card["held_out_accuracy"] = round(float(right.mean()), 4) if len(right) else None
    return _counted(pieces, of, names, order, temperature, card)


def _pieces(lines: pa.Array, labels: np.ndarray) -> tuple[pa.Array, np.ndarray]:
    """Pieces of about CHUNK characters, each once for a language, and their labels."""
    found: dict[tuple[str, int], None] = {}
    for line, label in zip(lines.fill_null("").to_pylist(), labels.tolist(), strict=True):
        begin = 0
        while begin < len(line):
            end = line.find(" ", begin + CHUNK)
            end = end if 0 < end < begin + 2 * CHUNK else begin + CHUNK
            found[line[begin:end], label] = None
            begin = end
    keys = sorted(found, key=lambda k: (k[1], k[0]))
    return pa.array([k[0] for k in keys], pa.string()), np.array([k[1] for k in keys], np.int64)


def _counted(
    pieces: pa.Array, of: np.ndarray, names: tuple[str, ...], order: int, temperature: float, card: dict[str, Any]
) -> Languages:
    grams, which, weights, gates = [], [], [], np.zeros(len(names), np.uint64)
    for label in range(len(names)):
        offsets, data = string_buffers(normalize(pieces.filter(pa.array(of == label)), "NFC"))
        room = order * (int(offsets[-1]) - int(offsets[0]) + 3 * len(offsets))
        hashes, lengths, seen = np.empty(room, np.uint64), np.empty(room, np.uint8), np.zeros(64, np.int64)
        n = letter_grams(offsets, data, tables()[0], script_table(), order, hashes, lengths, seen)
        known, at, count = np.unique(hashes[:n], return_index=True, return_counts=True)
        length = lengths[at].astype(np.int64)
        total = np.bincount(length, count, order + 1)
        said = np.log1p(count / total[length] / FLOOR)
        grams.append(known)
        which.append(np.full(len(known), label, np.uint16))
        weights.append(said.astype(np.float32))
        for script in np.flatnonzero(seen >= _GATE * max(seen.sum(), 1)).tolist():
            gates[label] |= U(1 << script)
    every = np.concatenate(grams)
    at = np.argsort(every, kind="stable")
    hashes, starts = np.unique(every[at], return_index=True)
    lengths_of = np.diff(np.append(starts, len(every)))
    # the table keeps common n-grams, because longer ones are looked up behind them
    kept = np.where(lengths_of <= COMMON, lengths_of, 0)
    at, starts = at[np.repeat(kept > 0, lengths_of)], np.cumsum(kept) - kept
    slots = slots_for(len(hashes))
    table = np.zeros(slots + len(hashes) + 16, np.uint64)
    free = int(place(hashes, np.arange(len(hashes), dtype=np.uint64), slots, 0, 0, table))
    arrays: dict[str, np.ndarray] = {
        "table": table[: max(slots, free) + 16].copy(),
        "starts": np.append(starts, len(at)).astype(np.int64),
        "labels": np.concatenate(which)[at],
        "weights": np.concatenate(weights)[at],
        "gates": gates,
    }
    return Languages(names, order, slots, _fixed(arrays), temperature, card)


def _fixed(arrays: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Arrays that cannot be written to, as kernels get them from trained and from opened models."""
    for array in arrays.values():
        array.flags.writeable = False
    return arrays


def open_languages(path: str) -> Languages:
    """The model of a file, opened once a process until the file changes.

    Raises:
        BadFileError: the file is absent, damaged or of another kind.
    """
    try:
        stat = os.stat(path)
    except OSError as error:
        raise BadFileError(path, f"cannot be read ({error.strerror})", _ADVICE) from None
    return _open(path, stat.st_size, stat.st_mtime_ns)


_ADVICE = "name a file that `corpusmill language train` wrote"


@functools.lru_cache(4)
def _open(path: str, size: int, stamp: int) -> Languages:
    _safetensors()
    from safetensors import safe_open

    try:
        with safe_open(path, framework="numpy") as f:
            head = json.loads((f.metadata() or {}).get("corpusmill", "{}"))
            if head.get("format") != FORMAT:
                raise BadFileError(path, "is no model of languages", _ADVICE)
            arrays = {name: np.ascontiguousarray(f.get_tensor(name)) for name in _ARRAYS}
    except BadFileError:
        raise
    except Exception as error:  # safetensors raises exceptions of its own, of no public type
        raise BadFileError(path, f"is no readable model of languages ({error})", _ADVICE) from None
    if head.pop("sha256", "") != _checksum(head, arrays):
        raise BadFileError(path, "is damaged: it is not what was written", "train it again, or restore a copy")
    return Languages(
        tuple(head["names"]), head["order"], head["slots"], _fixed(arrays), head["temperature"], head["card"]
    )


def _checksum(head: dict[str, Any], arrays: dict[str, np.ndarray]) -> str:
    digest = hashlib.sha256(json.dumps(head, sort_keys=True).encode())
    for name in _ARRAYS:
        digest.update(f"{name}{arrays[name].dtype}{arrays[name].shape}".encode())
        digest.update(np.ascontiguousarray(arrays[name]).data)
    return digest.hexdigest()


def _safetensors() -> Any:
    try:
        import safetensors.numpy
    except ImportError:
        raise MissingDependencyError(
            "models of languages are safetensors files. To go on: pip install 'corpusmill[scorer]'."
        ) from None
    return safetensors.numpy
