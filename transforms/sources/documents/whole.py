"""A whole file in memory, for formats that cannot be read from front to back."""

from __future__ import annotations

from corpusmill.transforms.sources.compressed import open_stream
from corpusmill.transforms.sources.files import Part
from corpusmill.transforms.sources.limits import Budget


def whole(part: Part, budget: Budget) -> bytes:
    """The decoded bytes of a file.

    Raises:
        BadFileError: it has more than 1 GiB, or what its compression says is damaged.
    """
    chunks, size = [], 0
    budget.check_at_once(part.size, "the file")
    with open_stream(part.path, budget) as stream:
        while data := stream.read(1 << 20):
            chunks.append(data)
            size += len(data)
            budget.check_at_once(size, "the file")
    return b"".join(chunks)
