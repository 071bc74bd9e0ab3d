from collections import Counter

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from corpusmill.transforms.redact.detect import TYPES, detect
from corpusmill.transforms.redact.redact import Redact
from tests.transforms.redact.fixture import CLEAN, fixture
from tests.transforms.redact.labelled import labelled, score


def found(text: str) -> list[tuple[str, str]]:
    data = text.encode()
    return [(m.type, data[m.start : m.stop].decode()) for m in detect(pa.array([text]))]


@pytest.mark.parametrize("part", ["tuning", "held_out"])
def test_recall_and_precision_by_type_on_real_kinds_of_text(part: str) -> None:
    documents = labelled(part)
    assert sum(len(d.values) for d in documents) >= 1_500
    figures, missed, wrong = score(documents)
    for kind, (recall, precision, count) in figures.items():
        assert count >= 200
        assert recall >= 0.99, (kind, recall, [m for m in missed if m[0] == kind][:9])
        assert precision >= 0.99, (kind, precision, [w for w in wrong if w[0] == kind][:9])


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


@pytest.mark.parametrize(
    ("text", "values"),
    [
        (
            "ana@company.md, juan@empresa.com.py, info@studio.zip",
            ["ana@company.md", "juan@empresa.com.py", "info@studio.zip"],
        ),
        (
            "_office@example.org jörg.m@example.org иван@почта.рф",
            ["_office@example.org", "jörg.m@example.org", "иван@почта.рф"],
        ),
        ("почтаann@example.org请", ["ann@example.org"]),
        ("write to ann@example.org.Then wait", ["ann@example.org"]),
        ('<a ip="192.0.2.7" version="1.2.3.4">', ["192.0.2.7"]),
        ("192.0.2.1-192.0.2.9, 198.51.100.1–198.51.100.7", ["192.0.2.1", "192.0.2.9", "198.51.100.1", "198.51.100.7"]),
        ("ip.src==192.0.2.7 and lib==1.2.3.4", ["192.0.2.7"]),
        ("connect from unknown[2001:db8::1]", ["2001:db8::1"]),
        ("030 123456, 030 123457", ["030 123456", "030 123457"]),
        ("415-555-2671 24 hours", ["415-555-2671"]),
        ("01\u00a042\u00a068\u00a053\u00a000", ["01\u00a042\u00a068\u00a053\u00a000"]),
        ("4111\u00a01111\u00a01111\u00a01111", ["4111\u00a01111\u00a01111\u00a01111"]),
        ("lottery 05 12 23 34 45, tel 05 12 23 34 45", ["05 12 23 34 45"]),
        ("xs[1::2] df.iloc[0::100] a[10::] 12::30 16::9", []),
        ("Posted 01-12-2020, log 04-05-2006 07:08:09; born 07 08 1990; 01.02.03.04.05; +10.25 12.50 13", []),
        ("clauses 4.2.1.3 and 4.2.1.4, § 3.1.2.4, Chrome/120.1.2.3, tool-1.2.3.4.tar.gz", []),
        (
            "415-555-2671 415-555-2672 415-555-2673 415-555-2674 415-555-2675",
            ["415-555-2671", "415-555-2672", "415-555-2673", "415-555-2674", "415-555-2675"],
        ),
        ("order 415-555-2671\nno 415-555-2672 a415-555-2673 415-555-2674.5 415-555-2672x91", ["415-555-2672"] * 2),
        ("(+371) 26123456, +(371) 26123457, +96262198381", ["(+371) 26123456", "+(371) 26123457", "+96262198381"]),
        ("هاتف: ٠١٠٠ ١٢٣ ٤٥٦٧، +٨٨٠-١٨٦٠-١٧٧٠١٩", ["٠١٠٠ ١٢٣ ٤٥٦٧", "+٨٨٠-١٨٦٠-١٧٧٠١٩"]),
        (
            "カード４１１１　４１１１ ４１１１１１１１１１１１１１１１, ann@example.org",
            ["４１１１１１１１１１１１１１１１", "ann@example.org"],
        ),
        ("Phone: 372 12 2640; SSN 372-12-2640", ["372 12 2640", "372-12-2640"]),
        ("525a:fd7e:3849:8629:9d2:9068:ffea:fe6f 10:20:30:40:50:60:70:80", ["525a:fd7e:3849:8629:9d2:9068:ffea:fe6f"]),
        ("les@shamrai.укр, www -> 198.51.100.7, Mozilla/5.0 (X11; rv:1.9.7.20)", ["les@shamrai.укр", "198.51.100.7"]),
        ("logo@2x.png script@v2.py git@github.com:a/b.git W@x.T q@k.transpose(0)", []),
    ],
)
def test_kinds_that_are_easily_confused(text: str, values: list[str]) -> None:
    assert [value for _, value in found(text)] == values


def test_many_values_in_one_document_are_all_found() -> None:
    text = "".join(f"user{i}@example{i}.org 10.{i % 250}.1.7\n" for i in range(20_000))
    assert len(found(text)) == 40_000


def test_values_in_digits_of_other_scripts_have_the_values_of_ascii_digits() -> None:
    rows = ["plain 192.0.2.7", "ฟ โทร ๐๒ ๑๒๓ ๔๕๖๗ x", "", "فون: +٩٦٦ ٥٠ ١٢٣ ٤٥٦٧ A@B.org"]
    texts = pa.array(["left out", *rows]).slice(1)
    found_ = [(f.row, f.type, f.value) for f in detect(texts)]
    assert found_ == [
        (0, "ip", "192.0.2.7"),
        (1, "phone", "021234567"),
        (3, "phone", "+966501234567"),
        (3, "email", "a@b.org"),
    ]
    assert Redact()(rows)[3] == "فون: <PHONE> <EMAIL>"


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
