"""Tables of a tokenizer's vocabulary: which tokens begin a word, and which end a sentence.

Read from a `tokenizer.json` of HF `tokenizers` without that package: byte-level BPE (GPT-2), WordPiece (BERT) and
SentencePiece-like vocabularies (a leading U+2581).
"""

from __future__ import annotations

import functools
import json
import os
from typing import Any

import numpy as np

from corpusmill.transforms.errors import BadFileError

_ENDS = (b".", b"!", b"?", "。".encode(), "！".encode(), "？".encode(), "।".encode(), b"\n")
_CLOSERS = b"\"')]"


def token_tables(path: str) -> tuple[np.ndarray, np.ndarray]:
    """Returns two tables, bool [vocabulary]: the token begins a word; the token ends a sentence."""
    try:
        stat = os.stat(path)
    except OSError as error:
        raise BadFileError(path, f"cannot be read ({error.strerror})", "give the path of a tokenizer.json") from None
    return _tables(path, stat.st_size, stat.st_mtime_ns)


@functools.lru_cache(maxsize=4)
def _tables(path: str, size: int, mtime: int) -> tuple[np.ndarray, np.ndarray]:
    try:
        with open(path, encoding="utf-8") as file:
            spec = json.load(file)
        model = spec["model"]
        vocabulary = model["vocab"]
        pairs = vocabulary.items() if isinstance(vocabulary, dict) else ((v[0], i) for i, v in enumerate(vocabulary))
        tokens = {int(i): str(t) for t, i in pairs}
        special = {int(t["id"]) for t in spec.get("added_tokens", []) if t.get("special", True)}
    except (ValueError, KeyError, TypeError, IndexError):
        raise BadFileError(path, "not a tokenizer.json of HF tokenizers", "write one with `Tokenizer.save`") from None
    begins = np.ones(max([*tokens, *special], default=-1) + 1, np.bool_)
    ends = np.zeros(len(begins), np.bool_)
    decode = _decoder(spec)
    for i, token in tokens.items():
        if i not in special:
            begins[i], raw = decode(token)
            ends[i] = raw.rstrip(_CLOSERS).endswith(_ENDS)
    return begins, ends


def _decoder(spec: dict[str, Any]) -> Any:
    """Token -> (begins a word, its bytes), by the kind of vocabulary."""
    text = json.dumps([spec.get("pre_tokenizer"), spec.get("decoder")])
    if spec["model"].get("type") == "WordPiece":
        prefix = spec["model"].get("continuing_subword_prefix", "##")
        return lambda token: (not token.startswith(prefix), token.removeprefix(prefix).encode())
    if '"ByteLevel"' in text:
        table = _byte_level()

        def byte_level(token: str) -> tuple[bool, bytes]:
            raw = bytes(table.get(c, 63) for c in token)
            return _begins(raw), raw

        return byte_level

    def metaspace(token: str) -> tuple[bool, bytes]:
        raw = token.replace("▁", " ").encode()
        return _begins(raw), raw

    return metaspace


def _begins(raw: bytes) -> bool:
    """Whether a token begins a word: its first byte is no ASCII letter or digit and not inside a character.

    A character of three or four bytes (Chinese, Japanese) is a word of its own.
    """
    first = raw[:1] or b" "
    if first[0] < 0x80:
        return not first.isalnum()
    return first[0] >= 0xE0


def _byte_level() -> dict[str, int]:
    """GPT-2's printable stand-ins of the 256 bytes."""
    plain = [*range(33, 127), *range(161, 173), *range(174, 256)]
    table = {chr(b): b for b in plain}
    for n, b in enumerate(b for b in range(256) if b not in plain):
        table[chr(256 + n)] = b
    return table
