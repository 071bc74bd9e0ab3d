"""Records of the store: JSON with a checksum that shows damage.

The checksum is the first field and covers the bytes after it. So the file stays JSON, and the check needs no parser.
"""

from __future__ import annotations

import json
from typing import Any

import xxhash

_HEAD = b'{"checksum": "'
_BEGIN = len(_HEAD) + 32 + 3
"""Where the covered bytes begin: after the 32 digits and `", `."""


def seal(record: dict[str, Any]) -> bytes:
    """The bytes of a record. The record must have no field `checksum`.

    >>> unseal(seal({"a": 1}))
    {'a': 1}
    """
    body = json.dumps(record, sort_keys=True).encode()[1:]
    if not record:
        raise ValueError("an empty record cannot be sealed")
    return _HEAD + xxhash.xxh3_128_hexdigest(body).encode() + b'", ' + body


def unseal(data: bytes) -> dict[str, Any]:
    """The record in a file's bytes.

    Raises:
        ValueError: it is damaged, or was written before records had checksums.
    """
    digest = xxhash.xxh3_128_hexdigest(data[_BEGIN:]).encode()
    if data[:_BEGIN] != _HEAD + digest + b'", ':
        raise ValueError("its checksum differs")
    record: dict[str, Any] = json.loads(b"{" + data[_BEGIN:])
    return record


def older(data: bytes) -> bool:
    """Whether a file's bytes are an old record without a checksum, and not a damaged record."""
    head = data[: len(_HEAD)]
    differing = int.from_bytes(head, "big") ^ int.from_bytes(_HEAD, "big")
    if differing.bit_count() <= 8:  # damage to a few bits
        return False
    try:
        return isinstance(json.loads(data), dict)
    except ValueError:
        return False
