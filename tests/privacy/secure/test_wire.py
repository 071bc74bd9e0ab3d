import contextlib
import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from corpusmill.privacy.secure.wire import HEAD, KINDS, MAGIC, Message, allowed, decode, digest, encode
from corpusmill.transforms.errors import ProtocolError

SIZE = Message("s" * 32, "north", "hub", "size", 0, np.array([7], np.uint64))


def read(data, most=1 << 20, accept=lambda header: None):
    at = 0

    def some(n):
        nonlocal at
        if at + n > len(data):
            raise EOFError
        at += n
        return data[at - n : at]

    return decode(some, most, accept)


def altered(**fields):
    data = encode(SIZE)
    _, head, body = HEAD.unpack(data[: HEAD.size])
    header = json.loads(data[HEAD.size : HEAD.size + head]) | fields
    new = json.dumps({k: v for k, v in header.items() if v is not None}).encode()
    return HEAD.pack(MAGIC, len(new), body) + new + data[HEAD.size + head :]


def test_a_message_comes_back_as_it_was():
    for array in (np.array([1, 2], np.uint64), np.array([], np.uint64)):
        message = SIZE._replace(array=array)
        found = read(encode(message))
        assert found[:5] == message[:5]
        assert found.array.tolist() == array.tolist()
        assert digest(found) == digest(message)


@pytest.mark.parametrize(
    ("fields", "why"),
    [
        ({"kind": "text"}, "unknown kind"),
        ({"kind": ["size"]}, "malformed"),
        ({"part": -1}, "unknown kind"),
        ({"part": True}, "malformed"),
        ({"dtype": "object"}, "must be uint64"),
        ({"dtype": "float64"}, "must be uint64"),
        ({"shape": [2]}, "length that its shape needs"),
        ({"shape": [1, 1]}, "must be uint64"),
        ({"shape": [5]}, "must be uint64"),
        ({"shape": "1"}, "malformed shape"),
        ({"digest": "0" * 64}, "altered"),
        ({"part": 1}, "altered"),
        ({"sender": "south"}, "altered"),
        ({"session": "t" * 32}, "altered"),
        ({"more": 1}, "other header fields"),
        ({"to": None}, "other header fields"),
    ],
)
def test_what_is_no_message_is_refused(fields, why):
    with pytest.raises(ProtocolError, match=why):
        read(altered(**fields))


def test_other_frames_and_sizes_are_refused_before_the_body_is_read():
    with pytest.raises(ProtocolError, match="not a message of version 1"):
        read(b"\x80\x04" + bytes(40))  # a pickle, or anything
    with pytest.raises(ProtocolError, match="not a message of version 1"):
        read(HEAD.pack(MAGIC, 60_000, 8) + bytes(70_000))
    with pytest.raises(ProtocolError, match="at most 100"):
        read(HEAD.pack(MAGIC, 10, 101), 100)
    with pytest.raises(ProtocolError, match="not JSON"):
        read(HEAD.pack(MAGIC, 4, 0) + b"\xff{}[")
    with pytest.raises(EOFError):
        read(encode(SIZE)[:-1])

    def refuse(header):
        raise ProtocolError("not you")

    with pytest.raises(ProtocolError, match="not you"):
        read(encode(SIZE)[:-8], accept=refuse)


@given(st.binary(max_size=200), st.integers(0, 250))
@settings(max_examples=200)
def test_no_bytes_do_anything_but_raise(junk, at):
    data = encode(SIZE)
    at = min(at, len(data))
    changed = data[:at] + junk + data[at + len(junk) :]
    with contextlib.suppress(ProtocolError, EOFError):
        assert digest(read(changed)) == digest(SIZE)


def test_a_message_that_its_kind_forbids_is_not_sent():
    with pytest.raises(ProtocolError, match="must be"):
        encode(SIZE._replace(array=np.array([1.5])))
    with pytest.raises(ProtocolError, match="unknown kind"):
        encode(SIZE._replace(kind="object"))


def test_roles():
    assert allowed("masked", "owner", "aggregator")
    assert not allowed("masked", "owner", "owner")
    assert not allowed("drop", "owner", "owner")
    assert allowed("size", "owner", "owner")
    assert all(rule.dtype.startswith("uint") for rule in KINDS.values())
