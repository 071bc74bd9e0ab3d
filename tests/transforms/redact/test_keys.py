from corpusmill.transforms.redact.keys import pseudonym

KEY = b"0123456789abcdef0123456789abcdef"


def test_golden() -> None:
    assert pseudonym(KEY, "email", "ann@example.org") == "5b4756b7f15796c0"


def test_types_do_not_share_pseudonyms() -> None:
    assert pseudonym(KEY, "phone", "12345678") != pseudonym(KEY, "card", "12345678")


def test_no_collisions_among_many() -> None:
    assert len({pseudonym(KEY, "email", f"user{i}@example.org") for i in range(20_000)}) == 20_000
