"""How shards are staged between passes: as they are where memory and disk have room, else with lz4.

Compressing costs a tenth of a deduplication's CPU time and leaves less than half of the bytes. Staged files that fit into the
page cache are never waited for, so there it is time for nothing; on a full disk, a slow one or a bucket the bytes are what
counts. The choice is no part of any result.
"""

from __future__ import annotations

import os
import shutil

from corpusmill.transforms import storage
from corpusmill.transforms.shards import Format

UNPACKED = 4
"""Bytes of text for a byte of a source's files, roughly: Parquet with zstd."""
SHARE = 4
"""A part of memory and of free disk, one in so many, is what unpacked staged shards may take."""


def form(dataset: str, source_bytes: int, groups: int) -> Format:
    """The form of a job's staged shards. source_bytes: size of the sources' files; groups: steps that shards wait for, each
    with a staged copy of the text."""
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
