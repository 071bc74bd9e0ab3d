"""Messages between parties: a frame of a fixed head, a small JSON header and one array of numbers. No pickle, no text.

    magic "CMS1"  |  header bytes, uint16  |  body bytes, uint64  |  header (JSON)  |  body (little-endian, C order)

The header names session, sender, receiver, kind, part, dtype, shape and the SHA-256 of all that and the body. `KINDS` says
of each kind who may send it to whom and what its array is; all else is refused before the body is read, so a stranger
cannot fill memory.
A message's name is (sender, kind, part): a second one of that name must be equal to the first, or it is refused.
"""

from __future__ import annotations

import hashlib
import json
import struct
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from corpusmill.transforms.errors import ProtocolError

MAGIC = b"CMS1"
HEAD = struct.Struct("<4sHQ")
MAX_HEADER = 1024
MAX_PART = 1 << 40


class Rule(NamedTuple):
    """What a message of a kind is: dtype, the row's shape (the first axis is free), who may send it to whom."""

    dtype: str
    row: tuple[int | None, ...]
    route: str  # "owner>owner", "owner>aggregator", "aggregator>owner"
    most: int = 1 << 62
    """Greatest number of rows."""


UP, DOWN, ACROSS = "owner>aggregator", "aggregator>owner", "owner>owner"
KINDS: dict[str, Rule] = {
    # private set intersection and deduplication
    "size": Rule("uint64", (), "owner>*", 4),
    "points": Rule("uint8", (32,), ACROSS, 1 << 16),
    "tags": Rule("uint8", (16,), UP, 1 << 16),
    "rows": Rule("uint32", (), UP),
    "slot-key": Rule("uint8", (), ACROSS, 32),
    "compared": Rule("uint32", (), DOWN),
    "slots": Rule("uint32", (None,), UP),
    "drop": Rule("uint32", (), DOWN),
    "keepers": Rule("uint16", (), DOWN),
    # secure aggregation
    "public": Rule("uint8", (), "owner>*", 32),
    "shares": Rule("uint8", (66,), ACROSS, 2),
    "held": Rule("uint16", (), UP, 100),
    "roster": Rule("uint16", (), DOWN, 100),
    "masked": Rule("uint64", (), UP),
    "alive": Rule("uint16", (), DOWN, 100),
    "unmask": Rule("uint8", (66,), UP, 200),
    "sum": Rule("uint64", (), DOWN),
    # federated fine-tuning: digests of what must be equal, seeds of noise that is not needed
    "agreed": Rule("uint8", (32,), "*>*", 64),
    "excess": Rule("uint8", (32,), UP, 100),
    # averages: how private each owner's run was, packed
    "guarantee": Rule("uint8", (43,), "*>*", 100),
    # homomorphic encryption: serialised contexts and ciphertexts
    "context": Rule("uint8", (), "*>*"),
    "cipher": Rule("uint8", (), "*>*"),
    "plain-sum": Rule("uint64", (), "*>*"),
    # a party stops, or is there again: not kept, see node.py
    "stop": Rule("uint8", (), "*>*", 1),
    "here": Rule("uint8", (), "*>*", 1),
}


class Message(NamedTuple):
    """One array on its way."""

    session: str
    sender: str
    to: str
    kind: str
    part: int
    array: np.ndarray

    @property
    def name(self) -> tuple[str, str, int]:
        """What tells it from other messages to the same party."""
        return self.sender, self.kind, self.part


def digest(message: Message) -> str:
    """SHA-256 over everything in the message."""
    m = message
    what = json.dumps([m.session, m.sender, m.to, m.kind, m.part, str(m.array.dtype), list(m.array.shape)])
    return hashlib.sha256(what.encode() + b"\0" + np.ascontiguousarray(m.array).tobytes()).hexdigest()


def encode(message: Message) -> bytes:
    """The frame of a message. Raises ProtocolError if it is not what its kind demands."""
    array = np.ascontiguousarray(message.array)
    array = array.astype(array.dtype.newbyteorder("<"), copy=False)
    header = {
        "session": message.session,
        "sender": message.sender,
        "to": message.to,
        "kind": message.kind,
        "part": message.part,
        "dtype": str(array.dtype),
        "shape": list(array.shape),
        "digest": digest(message),
    }
    _checked(header, array.nbytes)
    head = json.dumps(header, separators=(",", ":")).encode()
    return HEAD.pack(MAGIC, len(head), array.nbytes) + head + array.tobytes()


def decode(read: Callable[[int], bytes], max_bytes: int, accept: Callable[[dict[str, Any]], None]) -> Message:
    """The next message from `read(n)`, which gives exactly n bytes or raises.

    accept: called with the header before the body is read; it raises to refuse the message.
    Raises ProtocolError for anything that is no whole message of a known kind.
    """
    magic, head_bytes, body_bytes = HEAD.unpack(read(HEAD.size))
    if magic != MAGIC or head_bytes > MAX_HEADER:
        raise ProtocolError("a frame was refused: it is not a message of version 1 of this protocol.")
    if body_bytes > max_bytes:
        raise ProtocolError(f"a message of {body_bytes:,} bytes was refused: at most {max_bytes:,} are taken.")
    try:
        header = json.loads(read(head_bytes))
    except (ValueError, RecursionError):
        raise ProtocolError("a message was refused: its header is not JSON.") from None
    _checked(header, body_bytes)
    accept(header)
    body = read(body_bytes)
    array = np.frombuffer(body, np.dtype(header["dtype"]).newbyteorder("<")).reshape(header["shape"])
    message = Message(header["session"], header["sender"], header["to"], header["kind"], header["part"], array)
    if digest(message) != header["digest"]:
        raise ProtocolError(f"a message `{message.kind}` whose content was altered on the way was refused.")
    return message


def _checked(header: Any, body_bytes: int) -> None:
    fields = ("session", "sender", "to", "kind", "part", "dtype", "shape", "digest")
    if not isinstance(header, dict) or set(header) != set(fields):
        raise ProtocolError("a message with other header fields was refused.")
    words = [header[k] for k in ("session", "sender", "to", "kind", "dtype", "digest")]
    shape, part = header["shape"], header["part"]
    if not all(isinstance(w, str) and len(w) <= 64 for w in words) or type(part) is not int:
        raise ProtocolError("a message with malformed header fields was refused.")
    if not isinstance(shape, list) or not all(type(n) is int and 0 <= n < 1 << 40 for n in shape):
        raise ProtocolError("a message with a malformed shape was refused.")
    kind = header["kind"]
    rule = KINDS.get(kind)
    if rule is None or not 0 <= part < MAX_PART:
        raise ProtocolError(f"a message of the unknown kind `{kind}` was refused.")
    fits = len(shape) == 1 + len(rule.row) and all(r in (None, n) for r, n in zip(rule.row, shape[1:], strict=True))
    if header["dtype"] != rule.dtype or not fits or shape[0] > rule.most:
        raise ProtocolError(f"a message `{kind}` of {header['dtype']} {shape} was refused: it must be {rule.dtype}.")
    count = 1
    for n in shape:
        count *= n
    if count * np.dtype(rule.dtype).itemsize != body_bytes:
        raise ProtocolError(f"a message `{kind}` was refused: its body does not have the length that its shape needs.")


def allowed(kind: str, sender_role: str, receiver_role: str) -> bool:
    """Whether a party of one role may send this kind to one of the other."""
    source, target = KINDS[kind].route.split(">")
    return source in ("*", sender_role) and target in ("*", receiver_role)
