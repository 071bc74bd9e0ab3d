"""HTML files: one page a file, in any encoding."""

import random

import pytest

from corpusmill.transforms.sources.charsets import as_utf8
from tests.transforms.sources.made import COMPRESS, read_source
from tests.transforms.sources.test_archives import zipped

RUSSIAN = "<p>Это довольно длинный русский текст, по которому видно, на каком языке и в какой кодировке он написан.</p>"
PAGES = [
    ("<p>caf\u00e9 文書</p>", "utf-8", "", "utf-8"),
    ("\ufeff<p>caf\u00e9</p>", "utf-8", "", "utf-8"),
    ("<meta charset='gb2312'><p>中文网页</p>", "gb18030", "", "gb18030"),
    ('<meta http-equiv="Content-Type" content="text/html; charset=Shift_JIS"><p>日本語</p>', "cp932", "", "cp932"),
    ('<?xml version="1.0" encoding="iso-8859-2"?><html><p>żółw</p>', "iso8859-2", "", "iso8859-2"),
    ("<meta charset=iso-8859-1><p>\u201csmart\u201d</p>", "cp1252", "", "cp1252"),
    ("<meta charset=utf-8><p>日本語</p>", "cp932", "shift_jis", "cp932"),
    ("<meta charset=iso-8859-1><p>caf\u00e9 文書</p>", "utf-8", "iso-8859-1", "utf-8"),
    ("<p>日本語</p>", "iso2022_jp", "iso-2022-jp", "iso2022_jp"),
    ("<p>wide</p>", "utf-16-le", "utf-16le", "utf-16-le"),
    ("<meta charset=base64><p>caf\u00e9</p>", "utf-8", "rot13", "utf-8"),
]


def decode(data, http=""):
    text, charset = as_utf8(data, http)
    return text.decode(), charset


@pytest.mark.parametrize(("page", "written", "http", "found"), PAGES)
def test_the_encoding_is_told_as_browsers_do(page, written, http, found):
    assert decode(page.encode(written), http) == (page, found)


def test_marks_of_utf_16_and_a_page_that_names_nothing_are_told_by_their_look():
    assert decode("<p>é</p>".encode("utf-16")) == ("<p>é</p>", "utf-16-le")
    pytest.importorskip("resiliparse")
    assert decode((RUSSIAN * 5).encode("cp1251"))[0] == RUSSIAN * 5


def test_a_few_broken_bytes_do_not_make_a_page_another_encoding():
    data = ("<p>" + "文書" * 50 + "</p>").encode() + b"\xe9"
    text, charset = decode(data)
    assert (charset, text.count("\ufffd")) == ("utf-8", 1)


def test_any_bytes_are_read_as_something():
    pytest.importorskip("resiliparse")
    rng = random.Random(1)
    for _ in range(300):
        data = rng.randbytes(rng.randrange(200))
        text, charset = decode(
            data, rng.choice(["", "utf-8", "utf-7", "hex", "\0", "idna", "utf-16", "cp1252", "x" * 99])
        )
        text.encode("utf-8")
        assert charset


@pytest.mark.parametrize("suffix", COMPRESS)
def test_a_folder_of_pages_is_one_document_a_file(tmp_path, suffix):
    (tmp_path / "raw" / "deep").mkdir(parents=True)
    (tmp_path / "raw" / f"a.html{suffix}").write_bytes(COMPRESS[suffix]("<p>\u00e9</p>".encode("cp1252")))
    (tmp_path / "raw" / "deep" / f"b.HTM{suffix}").write_bytes(COMPRESS[suffix]("<p>文書</p>".encode()))
    (tmp_path / "raw" / "page").write_bytes(b"\n<!DOCTYPE html><p>c</p>")
    out, bad = read_source(tmp_path, path="raw")
    rows = sorted((r["path"], r["text"]) for r in out.to_pylist())
    wanted = [(f"a.html{suffix}", "<p>\u00e9</p>"), (f"deep/b.HTM{suffix}", "<p>文書</p>")]
    assert rows == sorted([*wanted, ("page", "\n<!DOCTYPE html><p>c</p>")])
    assert bad.count == 0


def test_pages_in_an_archive_keep_their_encodings(tmp_path):
    files = {f"{i}.html": page.encode(written) for i, (page, written, http, _) in enumerate(PAGES) if not http}
    (tmp_path / "a.zip").write_bytes(zipped(files))
    out, _ = read_source(tmp_path, path="a.zip")
    assert sorted(out["text"].to_pylist()) == sorted(page for page, _, http, _ in PAGES if not http)
    assert out["path"][0].as_py().startswith("a.zip/")


def test_a_page_longer_than_a_document_is_quarantined(tmp_path):
    (tmp_path / "a.html").write_bytes(b"<p>" + b"a" * 3000)
    out, bad = read_source(tmp_path, path="a.html", max_document_bytes=1000, max_bad_fraction=1)
    assert (out.num_rows, bad.by_reason()) == (0, {"too-long": 1})
