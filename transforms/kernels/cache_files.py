"""Files in the folder of compiled kernels, with a digest: a damaged file reads as missing."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

from corpusmill.transforms.storage.local import write_atomic

_FORM = b"corpusmill kept 1\n"
_DIGEST = 32


def read(name: str) -> bytes | None:
    """The content that `write` kept under this name; None if the file is missing or damaged."""
    try:
        content = (_folder() / name).read_bytes()
    except OSError:
        return None
    begin = len(_FORM) + _DIGEST
    rest = content[begin:]
    if content[:begin] != _FORM + hashlib.sha256(rest).digest():
        return None
    return rest


def write(name: str, content: bytes) -> None:
    """Keep `content`. `name` must hold all that it depends on. Does nothing where the folder cannot be written."""
    folder = _folder()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        write_atomic(str(folder / name), _FORM + hashlib.sha256(content).digest() + content, fsync=False)
    except OSError:
        return


def _folder() -> Path:
    return Path(os.environ["NUMBA_CACHE_DIR"]) / "kept"
