"""How many bytes a file may decode to, so that a small hostile file cannot take the memory or the disk."""

from __future__ import annotations

from corpusmill.transforms.errors import BadFileError

FLOOR = 256 << 20
"""Any file may decode to this many bytes: small files of repeated text compress a thousand times and are harmless."""

AT_ONCE = 1 << 30
"""One page or record batch that cannot be read in pieces may decode to this many bytes."""


class Budget:
    """Counts the decoded bytes of one file against max(256 MiB, max_expansion * size), and against the budget of the archive
    that it lies in.

    >>> Budget("bomb.gz", size=300, max_expansion=1000).spend(1 << 30)
    Traceback (most recent call last):
    ...
    corpusmill.transforms.errors.BadFileError: bomb.gz: decodes to more than 256 MiB from 300 bytes...
    """

    def __init__(self, path: str, size: int, max_expansion: float, outer: Budget | None = None) -> None:
        self.path, self.size, self.outer = path, size, outer
        self.limit = max(FLOOR, int(size * max_expansion))
        self.spent = 0

    def check(self, decoded: int) -> None:
        """Raise if `decoded` bytes in all would be too many."""
        if decoded > self.limit:
            raise BadFileError(
                self.path,
                f"decodes to more than {self.limit >> 20} MiB from {self.size} bytes, as a decompression bomb does",
                "raise `max_expansion` of its source if the file is what it should be, or set `on_bad_file: skip`",
            )

    def check_at_once(self, decoded: int, what: str) -> None:
        """Raise if `decoded` bytes that must be held in memory together are too many."""
        self.check(decoded)
        if decoded > AT_ONCE:
            raise BadFileError(
                self.path,
                f"{what} decodes to {decoded >> 20} MiB at once, more than {AT_ONCE >> 20} MiB",
                "write the file with smaller row groups, pages or record batches, or set `on_bad_file: skip`",
            )

    def spend(self, decoded: int) -> None:
        """Count `decoded` more bytes."""
        self.spent += decoded
        self.check(self.spent)
        if self.outer is not None:
            self.outer.spend(decoded)
