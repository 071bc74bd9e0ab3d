"""Records of a web archive, from any range of the file, with what cannot be read told by its place.

A record is good if its headers and its length are sound and the compressed frames that hold it end as they should. What is not
good ends at the next record that is; so a cut or damaged file loses what lies in the gap, and no record behind it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace

from corpusmill.transforms.sources.warc.frames import CHAIN, Frames, TornError
from corpusmill.transforms.sources.warc.stream import Decoded

VERSION = re.compile(rb"WARC/[01]\.\d{1,3}[ \t]*\r?\n")
_START = b"WARC/"
_LENGTH = re.compile(rb"\ncontent-length:[ \t]*(\d{1,18})[ \t]*\r?\n", re.IGNORECASE)
_TYPE = re.compile(rb"\nwarc-type:[ \t]*([A-Za-z-]{1,40})[ \t]*\r?\n", re.IGNORECASE)
_ENDS = (b"\r\n\r\n", b"\n\n")
_MAX_HEADER = 1 << 20
_HEAD = 64 << 10
_BLOCK = 1 << 20


@dataclass(frozen=True)
class Record:
    """A record. offset: in the file, where its frame begins (plain files: the record itself); kind: its WARC-Type in lower case;
    header: with the empty line at its end; body: the block, or its first 64 KiB where it is longer than was asked for (`cut`)."""

    offset: int
    kind: str
    header: bytes
    body: bytes
    cut: bool = False


@dataclass(frozen=True)
class Gap:
    """Bytes from `offset` to `end` of the file that are no record. ended: because the file ends within a record."""

    offset: int
    end: int
    what: str
    ended: bool


class Records:
    """The records of a web archive. longest: bytes of a block that are held; longer ones are cut."""

    def __init__(self, frames: Frames, longest: int) -> None:
        self._file, self._frames, self._longest = frames.file, frames, longest
        self._size = frames.size

    def next(self, at: int, strict: bool) -> int | None:
        """Where the next record begins that starts a frame, from `at` on. strict: what follows it is good, too."""
        if self._frames.codec:
            reach = CHAIN if strict else 0
            return self._frames.find(at, lambda place: self._frames.begins(place, _START, reach))
        return self._next_plain(at)

    def _next_plain(self, at: int) -> int | None:
        at = max(0, at - 1)
        while at < self._size:
            self._file.seek(at)
            block = self._file.read(min(_BLOCK + 64, self._size - at))
            for found in re.finditer(rb"\nWARC/[01]\.", block):
                if self._follows(at + found.start() + 1) is not None:
                    return at + found.start() + 1
            at += _BLOCK
        return None

    def _follows(self, at: int) -> int | None:
        """In a plain file: where the record behind the one at `at` begins, or the file ends; None if none is there."""
        self._file.seek(at)
        head = self._file.read(min(_HEAD, self._size - at))
        ends = [found + len(e) for e in _ENDS if (found := head.find(e)) >= 0]
        length = _LENGTH.search(head, 0, min(ends)) if ends and VERSION.match(head) else None
        if length is None:
            return None
        end = at + min(ends) + int(length[1])
        self._file.seek(min(end, self._size))
        tail = self._file.read(max(0, min(64, self._size - end)))
        begun = tail.lstrip(b"\r\n")
        if end <= self._size and (not begun or VERSION.match(begun) or VERSION.match(begun + b"1.0\n")):
            return end + len(tail) - len(begun)
        return None

    def borders(self) -> list[int]:
        """In a plain file: where each record begins; empty if the file is not sound throughout."""
        at: int | None = 0
        found = []
        while at is not None and at < self._size:
            found.append(at)
            at = self._follows(at)
        return found if at is not None else []

    def read(self, begin: int, end: int | None, kinds: frozenset[str]) -> Iterator[Record | Gap]:
        """The records and gaps that begin in a range.

        Args:
            begin: where a record begins.
            end: the same, or None for the end of the file.
            kinds: types of records whose blocks are wanted; those of others are empty.
        """
        at = begin
        while at < self._size and (end is None or at < end):
            fault: _Fault | None = None
            for each in _run(Decoded(self._frames, at), end, self._longest, kinds):
                if isinstance(each, _Fault):
                    fault = each
                else:
                    yield each
            if fault is None:
                return
            behind = self.next(fault.offset + 1, strict=False)
            # a length that is wrong looks like a file that ends early, but records follow
            yield Gap(
                fault.offset, self._size if behind is None else behind, fault.what, fault.ended and behind is None
            )
            if behind is None:
                return
            at = behind


class _BrokenError(Exception):
    """(what is wrong, whether it is that the file ends)."""


@dataclass(frozen=True)
class _Fault:
    """Where the bytes begin that cannot be read, why, and whether it is that the file ends."""

    offset: int
    what: str
    ended: bool


def _run(stream: Decoded, end: int | None, longest: int, kinds: frozenset[str]) -> Iterator[Record | _Fault]:
    """Records up to the first fault. Each is held until what follows it is known to be good."""
    held: Record | None = None
    home = -1  # the frame in which `held` ends
    while True:
        begun: int | None = None
        try:
            while (byte := stream.peek(1)) in (b"\r", b"\n"):
                stream.skip(1)
            if byte:
                begun = stream.offset()
            if begun is None or (end is not None and begun >= end):
                if held is not None:
                    yield held
                return
            header, kind, length = _header(stream)
            if held is not None:
                yield held
            held = None
            held, home = _block(stream, Record(begun, kind, header, b""), length, longest, kinds), stream.last()
        except TornError as torn:
            # that a file ends between a record and the checksum of its frame takes nothing from the record
            if held is not None and (torn.ended or torn.offset != home):
                yield held
                held = None
            start = begun if begun is not None else torn.offset
            yield _Fault(held.offset if held is not None else start, torn.what, torn.ended)
            return
        except _BrokenError as broken:
            what, ended = broken.args
            start = begun or 0
            apart = not stream.plain and start != home
            if held is not None and (ended or apart):
                yield held
                held = None
            yield _Fault(held.offset if held is not None else start, what, ended)
            return


def _header(stream: Decoded) -> tuple[bytes, str, int]:
    """The header of the record that begins here, its type, and the length of its block."""
    head = stream.peek(len(_START))
    if head != _START:
        raise _BrokenError("no record begins here", _START.startswith(head))
    header = stream.until(_ENDS, _MAX_HEADER)
    if header is None:
        ended = stream.exhausted
        raise _BrokenError("the file ends within the header of a record" if ended else "a header has no end", ended)
    length, kind = _LENGTH.search(header), _TYPE.search(header)
    if length is None or kind is None or not VERSION.match(header):
        raise _BrokenError("a header without version, Content-Length or WARC-Type", False)
    return header, kind[1].decode().lower(), int(length[1])


def _block(stream: Decoded, record: Record, length: int, longest: int, kinds: frozenset[str]) -> Record:
    held = min(length, longest if length <= longest else _HEAD) if record.kind in kinds else 0
    body = stream.take(held)
    if len(body) + stream.skip(length - len(body)) < length:
        raise _BrokenError("the file ends within a record", True)
    return replace(record, body=body, cut=held < length and record.kind in kinds)
