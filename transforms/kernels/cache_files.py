"""Files that save work, in the folder of compiled kernels: read only as they were written, whole and unchanged."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

from corpusmill.transforms.storage.local import write_atomic

_FORM = b"corpusmill kept 1\n"
_DIGEST = 32


def read(name: str) -> bytes | None:
    """What `write` was given for this name; None if there is no such file, or another one."""
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
    """Keep `content`; where the folder cannot be written, nothing is kept. `name` says all that the content depends on."""
    folder = _folder()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        write_atomic(str(folder / name), _FORM + hashlib.sha256(content).digest() + content, fsync=False)
    except OSError:
        return


def _folder() -> Path:
    return Path(os.environ["NUMBA_CACHE_DIR"]) / "kept"
