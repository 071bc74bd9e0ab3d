"""PDF: text in reading order; what cannot be read is quarantined by reason, and takes nothing down."""

import os
import random
import signal

import pytest

pytest.importorskip("pypdfium2")

from corpusmill.transforms.sources.pdf.children import child
from tests.transforms.sources.made import COMPRESS, read_source
from tests.transforms.sources.pdf.made import ENCRYPTED, column, pdf

PAGE = "It rained all day, and nobody in TOWN minded the\nweather of TOWN in 1816, which was well-\nknown.\n\nA heading of TOWN"


def test_text_pages_and_places(tmp_path):
    bodies = [column(PAGE.replace("TOWN", name)) for name in ("Ulm", "Bonn", "Kiel")]
    pages = [[(72, 800, "A Book on Weather"), *body, (290, 30, str(i + 7))] for i, body in enumerate(bodies)]
    (tmp_path / "a.pdf").write_bytes(pdf(pages, title=b"On Rain"))
    out, bad = read_source(tmp_path, path="*.pdf")
    row = out.to_pylist()[0]
    assert bad.count == 0
    assert row["text"].count("A heading of") == 3
    assert "A Book on Weather" not in row["text"]
    assert "minded the weather of Ulm in 1816, which was wellknown.\n\nA heading of Ulm" in row["text"]
    assert [row["text"][s:].split(",")[0] for s in row["page_starts"]] == ["It rained all day"] * 3
    assert (row["pages"], row["pages_without_text"], row["path"], row["title"]) == (3, 0, "a.pdf", "On Rain")
    kept, _ = read_source(tmp_path, path="*.pdf", format="pdf", options={"keep_headers": True})
    assert kept["text"][0].as_py().count("A Book on Weather") == 3


@pytest.mark.parametrize("suffix", COMPRESS)
def test_compressed_files_are_read_alike(tmp_path, suffix):
    (tmp_path / f"a.pdf{suffix}").write_bytes(COMPRESS[suffix](pdf([column("one page")])))
    assert read_source(tmp_path, path=f"a.pdf{suffix}")[0]["text"].to_pylist() == ["one page"]


def test_the_content_tells_a_pdf_whose_name_does_not(tmp_path):
    (tmp_path / "report").write_bytes(pdf([column("one page")]))
    assert read_source(tmp_path, path="report")[0]["text"].to_pylist() == ["one page"]


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (ENCRYPTED, "pdf-encrypted"),
        (pdf([[], []]), "pdf-no-text"),
        (b"%PDF-1.4\nnothing", "pdf-damaged"),
        (b"", "pdf-damaged"),
        (pdf([]), "pdf-damaged"),
        (pdf([column("a text of more than fifty characters\n" * 3)]), "too-long"),
    ],
)
def test_what_cannot_be_read_is_quarantined_by_reason(tmp_path, data, reason):
    (tmp_path / "bad.pdf").write_bytes(data)
    (tmp_path / "good.pdf").write_bytes(pdf([column("a good page")]))
    out, bad = read_source(tmp_path, path="*.pdf", max_document_bytes=50)
    assert out["text"].to_pylist() == ["a good page"]
    assert [(r["file"], r["reason"]) for r in bad.to_table().to_pylist()] == [("bad.pdf", reason)]


def test_a_crash_of_the_library_costs_one_file():
    with child() as reader:
        assert "text" in reader.ask(pdf([column("before")]), 100, False)
        os.kill(reader._process.pid, signal.SIGSEGV)
        answer = reader.ask(pdf([column("this one")]), 100, False)
        assert answer["reason"] == "pdf-crash"
        assert "SIGSEGV" in answer["detail"]
    with child() as reader:
        assert reader.ask(pdf([column("after")]), 100, False)["text"] == "after"


def test_a_file_that_takes_too_long_is_given_up():
    page = column("many words on a line of this page\n" * 50)
    with child() as reader:
        assert reader.ask(pdf([page] * 3000), 10**9, False, seconds=0)["reason"] == "pdf-limits"


def test_mutated_files_give_a_text_or_a_reason():
    rng = random.Random(0)
    whole = pdf([column(PAGE), column(PAGE)])
    reasons = set()
    for _ in range(150):
        data = bytearray(whole)
        for _ in range(rng.choice([1, 5, 50])):
            data[rng.randrange(len(data))] = rng.randrange(256)
        with child() as reader:
            answer = reader.ask(bytes(data[: rng.choice([len(data), rng.randrange(len(data))])]), 10**6, False, 20)
        reasons.add(answer.get("reason", "text"))
    assert reasons <= {"text", "pdf-damaged", "pdf-no-text", "pdf-encrypted"}
