"""The decoded bytes of frames as one stream, of which each byte's frame is known."""

from __future__ import annotations

from collections import deque

from corpusmill.transforms.sources.warc.frames import Frames


class Decoded:
    """The decoded bytes from a frame on, and where each comes from."""

    def __init__(self, frames: Frames, at: int) -> None:
        self.plain = not frames.codec
        self.exhausted = False
        self._chunks = frames.chunks(at)
        self._data, self._at = bytearray(), 0  # bytes not yet taken, and their place in the decoded stream
        self._marks: deque[tuple[int, int]] = deque()  # (place in the decoded stream, offset of the frame in the file)

    def _more(self) -> bool:
        chunk = next(self._chunks, None)
        if chunk is None:
            self.exhausted = True
            return False
        place = self._at + len(self._data)
        if not self._marks or (not self.plain and self._marks[-1][1] != chunk.offset):
            self._marks.append((place, chunk.offset))
        self._data += chunk.data
        return True

    def offset(self) -> int:
        """Where the next byte comes from: its frame's offset, or in a plain file its own. Bytes must be left."""
        while len(self._marks) > 1 and self._marks[1][0] <= self._at:
            self._marks.popleft()
        place, offset = self._marks[0]
        return offset + self._at - place if self.plain else offset

    def last(self) -> int:
        """The offset of the frame that the byte before the next one comes from; -1 if there is none, or the file is plain."""
        return next((o for place, o in reversed(self._marks) if place < self._at), -1) if not self.plain else -1

    def peek(self, n: int) -> bytes:
        """The next n bytes, or fewer at the end."""
        while len(self._data) < n and self._more():
            pass
        return bytes(self._data[:n])

    def skip(self, n: int) -> int:
        """Pass over n bytes; how many there were."""
        left = n
        while left > 0:
            if not self._data and not self._more():
                break
            step = min(left, len(self._data))
            del self._data[:step]
            self._at += step
            left -= step
        return n - left

    def take(self, n: int) -> bytes:
        """The next n bytes, or fewer at the end, and pass over them."""
        data = self.peek(n)
        self.skip(len(data))
        return data

    def until(self, ends: tuple[bytes, ...], longest: int) -> bytes | None:
        """The bytes up to and with the first of `ends`; None if the end of the stream or `longest` bytes come first."""
        found = self._find(ends, longest)
        return None if found is None else self.take(sum(found))

    def before(self, mark: bytes, longest: int) -> bytes | None:
        """The bytes before `mark`, which is then next; None if the end of the stream or `longest` bytes come first."""
        found = self._find((mark,), longest)
        return None if found is None else self.take(found[0])

    def _find(self, marks: tuple[bytes, ...], longest: int) -> tuple[int, int] | None:
        """(place in what is not yet taken, length) of the first of `marks`. Bytes at hand are looked at before more are decoded."""
        seen = 0
        while True:
            found = [(at, len(e)) for e in marks if (at := self._data.find(e, max(0, seen - 16))) >= 0]
            if found:
                return min(found)
            seen = len(self._data)
            if seen > longest or not self._more():
                return None
