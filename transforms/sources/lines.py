"""A byte stream as blocks of whole lines, for a range of a file, with lines of any length in bounded memory."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from corpusmill.transforms.sources.compressed import Stream

BLOCK = 8 << 20


@dataclass(frozen=True)
class Block:
    """Whole lines. first: number of lines before it in the range; oversize: it is the beginning of one line too long to
    be held, whose rest was skipped."""

    data: bytes
    first: int
    oversize: bool = False


def blocks(stream: Stream, length: int | None, skip_first: bool, max_line: int, size: int = BLOCK) -> Iterator[Block]:
    """Blocks of the lines that begin in the next `length` bytes of the stream (None: all).

    skip_first: the stream stands one byte before the range, and what precedes the first line end is another range's line.
    """
    carry, at, first = b"", 0, 0  # `at`: offset of `carry` from the start of the range
    if skip_first:
        at = -1
        while True:
            data = stream.read(size)
            if not data:
                return
            cut = data.find(b"\n") + 1
            at += cut or len(data)
            if cut:
                carry = data[cut:]
                break
            if length is not None and at >= length:
                return
        if length is not None and at >= length:
            return
    fresh = bool(carry)
    while True:
        data = b"" if fresh else stream.read(size)
        ended = not data and not fresh
        fresh = False
        carry = carry + data if carry else data
        stop = 0
        if length is not None and at + len(carry) >= length:
            # the last line of the range is the one that holds its last byte
            stop = carry.find(b"\n", max(0, length - 1 - at)) + 1
        if ended:
            if carry:
                yield Block(carry, first)
            return
        cut = stop or (carry.rfind(b"\n") + 1 if length is None or at + len(carry) < length else 0)
        if length is not None and not stop and at + len(carry) >= length:
            # the last line goes on: give out what is before it
            cut = carry.rfind(b"\n", 0, max(0, length - at)) + 1 if length > at else 0
        if cut:
            yield Block(carry[:cut], first)
            first += carry.count(b"\n", 0, cut)
            at += cut
            carry = carry[cut:]
            if stop:
                return
        elif len(carry) > max_line:
            yield Block(carry[:4096], first, oversize=True)
            first += 1
            while True:
                at += len(carry)
                carry = stream.read(size)
                if not carry:
                    return
                cut = carry.find(b"\n") + 1
                if cut:
                    at += cut
                    carry = carry[cut:]
                    break
            if length is not None and at >= length:
                return
            fresh = bool(carry)
