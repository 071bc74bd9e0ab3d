import json

import pytest

from corpusmill.pipelines.dataset.sealed import older, seal, unseal

RECORD = {"files": {"shard": {"path": "x", "size": 3}}, "rows": 7, "text": "grün"}


def test_a_record_comes_back_and_is_plain_json_with_a_checksum():
    assert unseal(seal(RECORD)) == RECORD
    plain = json.loads(seal(RECORD))
    assert len(plain.pop("checksum")) == 32
    assert plain == RECORD


def test_every_flipped_bit_is_found():
    data = seal(RECORD)
    silent = []
    for place in range(8 * len(data)):
        flipped = bytearray(data)
        flipped[place // 8] ^= 1 << place % 8
        try:
            unseal(bytes(flipped))
            silent.append(place)
        except ValueError:
            continue
    assert silent == []


@pytest.mark.parametrize("data", [b"", b"{}", b'{"rows": 7}', seal(RECORD)[:-1], seal(RECORD)[:40]])
def test_what_is_torn_or_of_an_older_version_is_refused(data):
    with pytest.raises(ValueError, match="checksum differs"):
        unseal(data)


def test_an_empty_record_is_not_written():
    with pytest.raises(ValueError, match="cannot be sealed"):
        seal({})


def test_a_record_of_an_older_version_is_told_from_a_damaged_one():
    data = seal(RECORD)
    assert older(json.dumps(RECORD, sort_keys=True).encode())
    for damaged in (data[:-1], b"", bytes([data[0], data[1], data[2] ^ 1, *data[3:]]), b"[1]", b"\xff" * 40):
        assert not older(damaged)
