import re

import pyarrow as pa
import pytest

from corpusmill.transforms.errors import MissingDependencyError, RecipeError, SourceError
from corpusmill.transforms.redact.redact import Redact
from tests.transforms.redact.fixture import fixture

KEY = "0123456789abcdef0123456789abcdef"


def batch_of(texts: list, **columns: list) -> pa.RecordBatch:
    return pa.record_batch(
        {
            "id": [f"d{i}" for i in range(len(texts))],
            "text": pa.array(texts, pa.string()),
            "source": ["s"] * len(texts),
            **columns,
        }
    )


def redacted(*texts: str, **fields) -> list[str]:
    return Redact(**fields)(batch_of(list(texts))).column("text").to_pylist()


def test_tags() -> None:
    assert redacted("Ann <ann@example.org>, 4111 1111 1111 1111", "机器198.51.100.7。", "clean", "") == [
        "Ann <<EMAIL>>, <CARD>",
        "机器<IP>。",
        "clean",
        "",
    ]


def test_no_value_of_the_fixture_remains() -> None:
    documents = fixture(each=60)
    for fields in ({}, {"replace_by": "pseudonym"}):
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("CORPUSMILL_REDACT_KEY", KEY)
            texts = redacted(*(d.text for d in documents), **fields)
        left = [(v, t) for d, t in zip(documents, texts, strict=True) for _, v in d.values if v in t]
        assert not left
        for d, t in zip(documents, texts, strict=True):
            if not d.values:
                assert t == d.text


def test_pseudonyms_are_the_same_everywhere_and_hang_on_the_key(monkeypatch) -> None:
    monkeypatch.setenv("CORPUSMILL_REDACT_KEY", KEY)
    a, b, c = redacted("ann@example.org", "x ANN@EXAMPLE.ORG y", "bob@example.org", replace_by="pseudonym")
    assert re.fullmatch(r"<EMAIL_[0-9a-f]{16}>", a)
    assert b == f"x {a} y"
    assert c != a
    monkeypatch.setenv("CORPUSMILL_REDACT_KEY", KEY[::-1])
    assert redacted("ann@example.org", replace_by="pseudonym") != [a]


def test_redacting_twice_changes_nothing(monkeypatch) -> None:
    monkeypatch.setenv("CORPUSMILL_REDACT_KEY", KEY)
    for fields in ({}, {"replace_by": "pseudonym"}):
        once = redacted(*(d.text for d in fixture(each=20)), **fields)
        assert redacted(*once, **fields) == once


def test_key_from_a_file(tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("CORPUSMILL_REDACT_KEY", KEY)
    (tmp_path / "key").write_text(KEY + "\n")
    t = Redact(replace_by="pseudonym", key_file=str(tmp_path / "key"))
    batch = batch_of(["ann@example.org"])
    assert t(batch).equals(Redact(replace_by="pseudonym")(batch))
    assert t.files() == []
    assert KEY not in t.model_dump_json()


def test_the_fingerprint_hangs_on_the_key(monkeypatch) -> None:
    t = Redact(replace_by="pseudonym")
    prints = []
    for key in (KEY, KEY, KEY[::-1]):
        monkeypatch.setenv("CORPUSMILL_REDACT_KEY", key)
        prints.append(t.fingerprint())
    assert prints[0] == prints[1] != prints[2]
    monkeypatch.delenv("CORPUSMILL_REDACT_KEY")
    assert Redact().fingerprint() == Redact().fingerprint() != prints[0]


def test_without_a_key(tmp_path, monkeypatch) -> None:
    monkeypatch.delenv("CORPUSMILL_REDACT_KEY", raising=False)
    with pytest.raises(RecipeError, match="CORPUSMILL_REDACT_KEY is not set"):
        redacted("a", replace_by="pseudonym")
    monkeypatch.setenv("CORPUSMILL_REDACT_KEY", "short-secret")
    with pytest.raises(RecipeError, match="12 bytes") as error:
        redacted("a", replace_by="pseudonym")
    assert "short-secret" not in str(error.value)
    with pytest.raises(RecipeError, match="cannot be read"):
        redacted("a", replace_by="pseudonym", key_file=str(tmp_path / "absent"))


def test_other_columns_types_and_counts() -> None:
    batch = batch_of(["a@b.org 192.0.2.1", None], title=["c@d.org", "x"])
    out = Redact(columns=("text", "title"), types=("email",), count=True)(batch).to_pylist()
    assert [(r["text"], r["title"], r["redacted"]) for r in out] == [
        ("<EMAIL> 192.0.2.1", "<EMAIL>", 2),
        (None, "x", 0),
    ]
    with pytest.raises(SourceError, match="body"):
        Redact(columns=("body",))(batch)
    with pytest.raises(RecipeError, match="unknown type"):
        Redact(types=("emails",))


def test_no_rows_and_one_row() -> None:
    batch = batch_of(["a@b.org", "x"])
    t = Redact(count=True)
    assert t(batch.slice(0, 0)).schema == t(batch).schema
    assert t(batch.slice(0, 1)).num_rows == 1


def test_other_columns_and_rows_stay() -> None:
    batch = batch_of(["no secrets", "机器学习"], label=[1, 2])
    assert Redact()(batch).equals(batch)


def test_names_need_presidio() -> None:
    try:
        import presidio_analyzer  # noqa: F401
    except ImportError:
        with pytest.raises(MissingDependencyError, match="pip install presidio-analyzer"):
            redacted("Ann Smith", names=True)
    else:
        pytest.skip("Presidio is installed")
