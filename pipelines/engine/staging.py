"""Chooses the format of staged shards: uncompressed if memory and disk have room, else lz4.

Compression costs a tenth of a deduplication's CPU time and halves the bytes. It gains nothing while staged files fit
into the page cache. On a full disk, a slow disk or an object store, bytes cost more than CPU time. The choice changes
no result.
"""

from __future__ import annotations

import os
import shutil

from corpusmill.transforms import storage
from corpusmill.transforms.shards import Format

UNPACKED = 4
"""Approximate bytes of text per byte of source files: Parquet with zstd."""
SHARE = 4
"""Uncompressed staged shards may take 1/ROOM of memory and of free disk space."""


def form(dataset: str, source_bytes: int, groups: int) -> Format:
    """The format of a job's staged shards. source_bytes: size of the source files. groups: number of Group steps; each
    has a staged copy of the text."""
    if not storage.is_local(dataset):
        return "stage-lz4"
    need = source_bytes * UNPACKED * groups
    return "stage" if need * SHARE <= min(_memory(), _free(dataset)) else "stage-lz4"


def _memory() -> int:
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def _free(path: str) -> int:
    """Bytes that are free where `path` lies or will lie."""
    while not os.path.exists(path):
        path = os.path.dirname(path) or "."
    return shutil.disk_usage(path).free
