"""Owners whose digests differ refuse each other by name; the aggregator adds nothing then."""

import contextlib

import numpy as np
import pytest

from corpusmill.privacy.secure.agreement import agree, compare, length_of, rows
from corpusmill.transforms.errors import ProtocolError
from tests.privacy.secure.parties import OWNERS, Threads, until

pytest.importorskip("cryptography", reason="parties need certificates")

SAME = {"base": bytes(32), "tokenizer": b"t" * 32}
JOB = {"job": "f", "kind": "finetune", "finetune": {"steps": 1, "units": 9, "rows": 3, "sigma": 0}}


def owner(digests, length=7):
    return lambda node: agree(node, length, digests)


def test_equal_owners_agree_and_the_aggregator_knows_the_length(tmp_path):
    found = Threads(tmp_path, dict(JOB)).run(dict.fromkeys(OWNERS, owner(SAME)) | {"hub": length_of})
    assert found == dict.fromkeys(OWNERS) | {"hub": 7}


def test_what_differs_is_named_and_a_length_too(tmp_path):
    other = SAME | {"tokenizer": b"u" * 32}
    parts = {"north": owner(SAME), "south": owner(other), "east": owner(SAME, 8), "hub": length_of}
    found = Threads(tmp_path, dict(JOB)).run(parts)
    assert all(isinstance(e, ProtocolError) for e in found.values())
    assert "south trains something else than north: tokenizer differ" in str(found["north"])
    assert "than south: tokenizer differ" in str(found["south"])
    assert "than east: the number of parameters differ" in str(found["east"])
    assert "something else than north. Nothing was added" in str(found["hub"])


def test_who_finds_a_difference_is_there_for_those_who_send_to_it_still(tmp_path):
    threads = Threads(tmp_path, dict(JOB), timeout=5)

    def slow(node):
        send = node.send

        def late(to, *message):
            if to == "east":
                with contextlib.suppress(TimeoutError):
                    until(lambda: "east" not in threads.there, 1)
            send(to, *message)

        node.send = late
        agree(node, 7, SAME)

    found = threads.run({"north": owner(SAME), "south": slow, "east": owner(SAME, 8), "hub": length_of})
    assert "than south: the number of parameters differ" in str(found["south"])
    assert "Nothing was added" in str(found["hub"])


def test_more_or_fewer_digests_are_refused(tmp_path):
    class North:
        job, name = Threads(tmp_path, dict(JOB)).job, "north"

    compare(North(), SAME, "south", rows(SAME))
    for theirs in (rows(SAME)[:1], np.zeros((0, 32), np.uint8)):
        with pytest.raises(ProtocolError, match="south trains something else"):
            compare(North(), SAME, "south", theirs)
