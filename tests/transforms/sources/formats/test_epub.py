"""EPUB: chapters in reading order; locked, damaged and hostile books are quarantined by reason."""

import io
import random
import zipfile

import pytest

pytest.importorskip("resiliparse")
pytest.importorskip("defusedxml")

from corpusmill.transforms.errors import BadFileError
from tests.transforms.sources.made import read_source

CONTAINER = b'<container xmlns="urn:x"><rootfiles><rootfile full-path="OEBPS/p.opf"/></rootfiles></container>'
OPF = b"""<package xmlns="http://www.idpf.org/2007/opf" xmlns:dc="http://purl.org/dc/elements/1.1/">
<metadata><dc:title>On  Rain</dc:title><dc:language>en</dc:language></metadata>
<manifest><item id="b" href="b%20b.xhtml" media-type="application/xhtml+xml"/>
<item id="n" href="nav.xhtml" media-type="application/xhtml+xml" properties="nav"/>
<item id="a" href="a.xhtml" media-type="application/xhtml+xml"/></manifest>
<spine><itemref idref="n"/><itemref idref="a"/><itemref idref="b"/><itemref idref="gone"/></spine></package>"""
MEMBERS = {
    "META-INF/container.xml": CONTAINER,
    "OEBPS/p.opf": OPF,
    "OEBPS/nav.xhtml": b"<html><body><p>contents</p></body></html>",
    "OEBPS/a.xhtml": "<html><body><h1>One</h1><p>It rained. 雨</p><ul><li>a</li><li>b</li></ul></body></html>".encode(),
    "OEBPS/b b.xhtml": b"<html><body><h1>Two</h1><table><tr><td>1</td><td>2</td></tr></table></body></html>",
}


def book(**changes):
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in {**MEMBERS, **changes}.items():
            if data is not None:
                archive.writestr(name, data)
    return out.getvalue()


def test_chapters_in_the_order_of_reading(tmp_path):
    (tmp_path / "a.epub").write_bytes(book())
    out, bad = read_source(tmp_path, path="*.epub")
    (row,) = out.to_pylist()
    assert bad.count == 0
    assert row["text"] == "# One\n\nIt rained. 雨\n\n- a\n- b\n\n# Two\n\n| 1 | 2 |"
    assert [row["text"][s:][:5] for s in row["chapter_starts"]] == ["# One", "# Two"]
    assert (row["title"], row["book_language"], row["path"]) == ("On Rain", "en", "a.epub")


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "epub-damaged"),
        (b"PK\3\4 no zip", "epub-damaged"),
        (book(**{"OEBPS/p.opf": None}), "epub-damaged"),
        (book(**{"OEBPS/p.opf": b"<package"}), "epub-damaged"),
        (book(**{"OEBPS/a.xhtml": None, "OEBPS/b b.xhtml": b"<p/>"}), "epub-no-text"),
        (book(**{"META-INF/encryption.xml": b'<e><CipherReference URI="OEBPS/a.xhtml"/></e>'}), "epub-encrypted"),
        (book(**{"OEBPS/p.opf": b'<!DOCTYPE p [<!ENTITY a "aaa">]><package>&a;</package>'}), "epub-entities"),
        (
            book(**{"OEBPS/p.opf": b'<!DOCTYPE p [<!ENTITY a SYSTEM "file:///etc/passwd">]><package>&a;</package>'}),
            "epub-entities",
        ),
    ],
)
def test_what_cannot_be_read_is_quarantined_by_reason(tmp_path, data, reason):
    (tmp_path / "bad.epub").write_bytes(data)
    (tmp_path / "good.epub").write_bytes(book())
    out, bad = read_source(tmp_path, path="*.epub")
    assert out.num_rows == 1
    assert [(r["file"], r["reason"]) for r in bad.to_table().to_pylist()] == [("bad.epub", reason)]


def test_a_bomb_is_refused_before_it_is_unpacked(tmp_path):
    (tmp_path / "a.epub").write_bytes(book(**{"OEBPS/a.xhtml": b" " * (300 << 20)}))
    with pytest.raises(BadFileError, match="decompression bomb"):
        read_source(tmp_path, path="a.epub", max_expansion=1)


def test_mutated_books_give_a_text_or_a_reason(tmp_path):
    rng, whole = random.Random(0), book()
    for i in range(300):
        data = bytearray(whole)
        for _ in range(rng.choice([1, 5, 30])):
            data[rng.randrange(len(data))] = rng.randrange(256)
        (tmp_path / f"{i:03}.epub").write_bytes(bytes(data))
    out, bad = read_source(tmp_path, path="*.epub", on_bad_file="skip", max_bad_fraction=1.0)
    assert out.num_rows + bad.count == 300
