import pytest

from corpusmill.transforms.redact import checksums as check


@pytest.mark.parametrize(
    ("test", "good", "bad"),
    [
        (check.card, b"4111 1111 1111 1111", b"4111 1111 1111 1112"),
        (check.card, b"378282246310005", b"978282246310005"),
        (check.card, b"6011000990139424", b"0000000000000000"),
        (check.iban, b"GB29 NWBK 6016 1331 9268 19", b"GB29 NWBK 6016 1331 9268 18"),
        (check.iban, b"NO9386011117947", b"XX9386011117947"),
        (check.ipv4, b"203.0.113.5", b"203.0.113.256"),
        (check.ipv4, b"10.0.0.1", b"127.0.0.1"),
        (check.ipv4, b"10.2.0.1", b"10.2.0.0"),
        (check.ipv6, b"2001:db8::1", b"2001:db8::1::2"),
        (check.us_ssn, b"219-09-9999", b"000-12-3456"),
        (check.uk_nino, b"AB123456C", b"BG123456C"),
        (check.cn_resident, b"11010519491231002X", b"110105194912310021"),
        (check.cn_resident, b"440524188001010014", b"440524188013010014"),
        (check.kr_resident, b"800101-1234560", b"800101-1234561"),
        (check.br_cpf, b"111.444.777-35", b"111.444.777-36"),
        (check.es_dni, b"12345678Z", b"12345678A"),
        (check.es_dni, b"X1234567L", b"X1234567M"),
        (check.fr_nir, b"255081416802538", b"255081416802539"),
        (check.in_aadhaar, b"2341 2341 2346", b"2341 2341 2347"),
    ],
)
def test_published_examples(test, good: bytes, bad: bytes) -> None:
    assert test(good) is not None
    assert test(bad) is None


def test_one_changed_digit_breaks_the_sum() -> None:
    for good in (b"4111111111111111", b"5555555555554444"):
        for i in range(16):
            for d in b"0123456789":
                changed = bytearray(good)
                changed[i] = d
                assert check.luhn(changed.decode()) == (bytes(changed) == good)
    for i in range(12):
        changed = bytearray(b"234123412346")
        changed[i] = 48 + (changed[i] - 47) % 10
        assert check.in_aadhaar(bytes(changed)) is None
