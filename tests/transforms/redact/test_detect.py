from collections import Counter

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from corpusmill.transforms.redact.detect import TYPES, detect
from tests.transforms.redact.fixture import CLEAN, fixture


def found(text: str) -> list[tuple[str, str]]:
    data = text.encode()
    return [(f.type, data[f.start : f.stop].decode()) for f in detect(pa.array([text]))]


def test_recall_and_precision_by_type() -> None:
    """Every value of the fixture at its exact place, and nothing else."""
    documents = fixture()
    assert sum(len(d.values) for d in documents) > 800
    hits, labels, right = Counter(), Counter(), Counter()
    missed, wrong = [], []
    for d in documents:
        got, want = Counter(found(d.text)), Counter(d.values)
        for counter, values in ((hits, got), (labels, want), (right, got & want)):
            counter.update(t for t, _ in values.elements())
        missed += (want - got).elements()
        wrong += (got - want).elements()
    for kind in TYPES:
        recall, precision = right[kind] / labels[kind], right[kind] / hits[kind]
        assert recall >= 0.99, (kind, recall, [m for m in missed if m[0] == kind][:9], wrong[:9])
        assert precision >= 0.98, (kind, precision, [w for w in wrong if w[0] == kind][:9])


@pytest.mark.parametrize("text", CLEAN)
def test_look_alikes_are_left(text: str) -> None:
    assert found(text) == []


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("a@b.co,c@d.org", [("email", "a@b.co"), ("email", "c@d.org")]),
        ("https://lists.example.org/dev@example.org", [("email", "dev@example.org")]),
        ("cn=ann@example.org", [("email", "ann@example.org")]),
        ("DE89 3704 0044 0532 0130 00 IS MINE", [("iban", "DE89 3704 0044 0532 0130 00")]),
        ("(415) 555-2671", [("phone", "(415) 555-2671")]),
        ("appelle 06 12 34 56 78, merci", [("phone", "06 12 34 56 78")]),
        ("::1 and :: and fe80::1%eth0", [("ip", "fe80::1")]),
        ("::ffff:192.0.2.128", [("ip", "::ffff:192.0.2.128")]),
        ("8.8.8.8:53 192.0.2.1/24", [("ip", "8.8.8.8"), ("ip", "192.0.2.1")]),
        ("证11010519491231002x", [("national_id", "11010519491231002x")]),
        ("SSN:123-45-6789", [("national_id", "123-45-6789")]),
        (
            "card:4111111111111111,IBAN:DE89370400440532013000",
            [("card", "4111111111111111"), ("iban", "DE89370400440532013000")],
        ),
        ("tel::13800138000 host:192.0.2.7", [("phone", "13800138000"), ("ip", "192.0.2.7")]),
        ("::13800138000 fe80::1 2001:db8::1", [("phone", "13800138000"), ("ip", "fe80::1"), ("ip", "2001:db8::1")]),
        ("ssh root@192.0.2.7", [("ip", "192.0.2.7")]),
        ("mail=ann@example.org&card=4111111111111111", [("email", "ann@example.org"), ("card", "4111111111111111")]),
        ("user1 4111 1111 1111 1111", [("card", "4111 1111 1111 1111")]),
        ("Covid19 (415) 555-2671", [("phone", "(415) 555-2671")]),
        ("", []),
        ("@", []),
        ("1", []),
        (":", []),
    ],
)
def test_places(text: str, values: list) -> None:
    assert found(text) == values


def test_canonical_values_do_not_depend_on_the_format() -> None:
    texts = ["4111 1111 1111 1111", "4111-1111-1111-1111", "4111111111111111"]
    assert {f.value for f in detect(pa.array(texts))} == {"4111111111111111"}
    assert {f.value for f in detect(pa.array(["ANN@example.org", "ann@EXAMPLE.org"]))} == {"ann@example.org"}
    assert {f.value for f in detect(pa.array(["2001:db8:0:0:0:0:0:1", "2001:DB8::1"]))} == {"2001:db8::1"}


def test_rows_slices_and_nulls() -> None:
    array = pa.array(["x@y.org", None, "", "a 192.0.2.9", "b 192.0.2.8"]).slice(1)
    assert [(f.row, f.value) for f in detect(array)] == [(2, "192.0.2.9"), (3, "192.0.2.8")]
    assert detect(array.slice(0, 0)) == []
    assert [f.type for f in detect(array, ("email",))] == []


@given(st.text(st.sampled_from("0123456789 .-+()/@:abcXAB机é\n"), max_size=60))
def test_values_are_inside_and_apart(text: str) -> None:
    last = 0
    for f in detect(pa.array([text])):
        assert last <= f.start < f.stop <= len(text.encode())
        text.encode()[f.start : f.stop].decode()
        last = f.stop
