"""Word documents: headings, lists, tables and notes in order; locked, damaged and hostile ones are quarantined by reason."""

import io
import random
import zipfile

import pytest

pytest.importorskip("defusedxml")

from corpusmill.transforms.errors import BadFileError
from tests.transforms.sources.made import read_source

NS = 'xmlns:w="http://schemas.openxmlformats.org/wordprocessingml/2006/main"'


def p(text, properties=""):
    return f"<w:p><w:pPr>{properties}</w:pPr><w:r><w:t>{text}</w:t></w:r></w:p>"


def listed(text, number, level=0):
    return p(text, f'<w:numPr><w:ilvl w:val="{level}"/><w:numId w:val="{number}"/></w:numPr>')


BODY = (
    p("Rain", '<w:pStyle w:val="T"/>')
    + p("Of clouds", '<w:pStyle w:val="H2"/>')
    + "<w:p><w:r><w:t>It </w:t></w:r><w:del><w:r><w:delText>snowed</w:delText></w:r></w:del>"
    "<w:ins><w:r><w:t>rained</w:t></w:r></w:ins>"
    '<w:r><w:footnoteReference w:id="2"/></w:r><w:hyperlink><w:r><w:t> all day 雨</w:t></w:r></w:hyperlink></w:p>'
    + listed("one", 1)
    + listed("two", 1)
    + listed("deeper", 1, 1)
    + listed("dot", 2)
    + "<w:tbl>"
    + "".join("<w:tr>" + "".join(f"<w:tc>{p(c)}</w:tc>" for c in row) + "</w:tr>" for row in (("a", "b|c"), ("1", "")))
    + "</w:tbl>"
    + p("The end")
)
STYLES = (
    f'<w:styles {NS}><w:style w:styleId="T"><w:name w:val="Title"/></w:style>'
    '<w:style w:styleId="H2"><w:name w:val="heading 2"/></w:style></w:styles>'
)
NUMBERING = (
    f'<w:numbering {NS}><w:abstractNum w:abstractNumId="0"><w:lvl w:ilvl="0"><w:numFmt w:val="decimal"/></w:lvl>'
    '<w:lvl w:ilvl="1"><w:numFmt w:val="bullet"/></w:lvl></w:abstractNum>'
    '<w:num w:numId="1"><w:abstractNumId w:val="0"/></w:num></w:numbering>'
)
NOTES = f'<w:footnotes {NS}><w:footnote w:id="2">{p("A note.")}</w:footnote></w:footnotes>'
CORE = '<c xmlns:dc="http://purl.org/dc/elements/1.1/"><dc:title>On Rain</dc:title></c>'
MEMBERS = {
    "word/document.xml": f"<w:document {NS}><w:body>{BODY}</w:body></w:document>",
    "word/styles.xml": STYLES,
    "word/numbering.xml": NUMBERING,
    "word/footnotes.xml": NOTES,
    "docProps/core.xml": CORE,
}


def document(**changes):
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in {**MEMBERS, **changes}.items():
            if data is not None:
                archive.writestr(name, data)
    return out.getvalue()


def test_headings_lists_tables_and_notes_in_order(tmp_path):
    (tmp_path / "a.docx").write_bytes(document())
    out, bad = read_source(tmp_path, path="*.docx")
    (row,) = out.to_pylist()
    assert bad.count == 0
    assert row["text"] == (
        "# Rain\n\n## Of clouds\n\nIt rained[^1] all day 雨\n\n1. one\n2. two\n  - deeper\n- dot\n\n"
        "| a | b\\|c |\n| --- | --- |\n| 1 |  |\n\nThe end\n\n[^1]: A note."
    )
    assert (row["title"], row["path"]) == ("On Rain", "a.docx")


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "docx-damaged"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + b"\0" * 600, "docx-encrypted"),
        (document(**{"word/document.xml": None}), "docx-damaged"),
        (document(**{"word/document.xml": "<w:document"}), "docx-damaged"),
        (document(**{"word/document.xml": f"<w:document {NS}><w:body/></w:document>"}), "docx-no-text"),
        (document(**{"word/document.xml": '<!DOCTYPE d [<!ENTITY a "b">]><d>&a;</d>'}), "docx-entities"),
        (
            document(**{"word/styles.xml": '<!DOCTYPE d [<!ENTITY a SYSTEM "file:///etc/passwd">]><d>&a;</d>'}),
            "docx-entities",
        ),
    ],
)
def test_what_cannot_be_read_is_quarantined_by_reason(tmp_path, data, reason):
    (tmp_path / "bad.docx").write_bytes(data)
    (tmp_path / "good.docx").write_bytes(document())
    out, bad = read_source(tmp_path, path="*.docx")
    assert out.num_rows == 1
    assert [(r["file"], r["reason"]) for r in bad.to_table().to_pylist()] == [("bad.docx", reason)]


def test_deep_nesting_and_bombs_take_nothing_down(tmp_path):
    deep = f"<w:document {NS}><w:body>{p('text')}{'<w:sdt>' * 3000}{'</w:sdt>' * 3000}</w:body></w:document>"
    (tmp_path / "deep.docx").write_bytes(document(**{"word/document.xml": deep}))
    out, bad = read_source(tmp_path, path="deep.docx", max_bad_fraction=1.0)
    assert out.num_rows + bad.count == 1
    (tmp_path / "bomb.docx").write_bytes(document(**{"word/styles.xml": " " * (300 << 20)}))
    with pytest.raises(BadFileError, match="decompression bomb"):
        read_source(tmp_path, path="bomb.docx", max_expansion=1)


def test_mutated_documents_give_a_text_or_a_reason(tmp_path):
    rng, whole = random.Random(0), document()
    for i in range(300):
        data = bytearray(whole)
        for _ in range(rng.choice([1, 5, 30])):
            data[rng.randrange(len(data))] = rng.randrange(256)
        (tmp_path / f"{i:03}.docx").write_bytes(bytes(data))
    out, bad = read_source(tmp_path, path="*.docx", on_bad_file="skip", max_bad_fraction=1.0)
    assert out.num_rows + bad.count == 300
