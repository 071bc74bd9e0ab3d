"""The report in a real browser: no script, no request, no overflow, no serious finding of axe-core."""

import pytest

from corpusmill.pipelines.dataset.snapshot import Dataset
from corpusmill.pipelines.report.html import BYTES, page
from tests.browser import NARROW, WIDE, browser, needs_chromium
from tests.pipelines.report.hostile import EVIL, NOTE, hostile, packed


@pytest.fixture(scope="module")
def reports(tmp_path_factory):
    """The two reports, by name."""
    folder = tmp_path_factory.mktemp("reports")
    found = {}
    for name, made in (("hostile", hostile(folder / "hostile")), ("packed", packed(folder / "packed"))):
        reader = Dataset(made)
        found[name] = folder / f"{name}.html"
        found[name].write_text(
            page(reader, reader.manifest(), [str(made.parent / "other")] if name == "packed" else [])
        )
    return found


def test_edits_groups_and_left_out_files_are_in_it(reports):
    text = reports["hostile"].read_text()
    assert "left out: 1 " in text  # a row of the funnel
    assert "slides.pptx" in text
    assert "Documents by licence" in text
    assert "Documents by domain" in text
    assert "site1.example" in text
    assert "&lt;EMAIL&gt;" in text
    assert "@example.org" not in text  # not in texts from the sources either
    assert "MIT&lt;b&gt;" in text
    edits = text[text.index('id="edits"') :]
    assert "6 edited" in edits
    assert f"<del>{NOTE[:10]}" in edits or "<del>" in edits
    assert 'id="costly"' in text
    assert len(text.encode()) < BYTES


def test_rows_are_decoded_and_curves_drawn(reports):
    text = reports["packed"].read_text()
    assert "Rows of tokens, decoded" in text
    assert "The words of document" in text
    assert text.count('class="curve"') == 2  # of the folder beside the dataset, and of --model
    assert "validation loss 2.827 at step 250" in text


def test_a_tokenizer_that_is_not_the_one_is_named(tmp_path):
    made = packed(tmp_path)
    tokenizer = made.parent / "tokenizer.json"
    tokenizer.write_text(tokenizer.read_text() + " ")
    reader = Dataset(made)
    assert "is not the tokenizer that packed these rows" in page(reader, reader.manifest())
    tokenizer.unlink()
    assert "Rows of tokens, decoded" in page(reader, reader.manifest())


@needs_chromium
@pytest.mark.parametrize("name", ["hostile", "packed"])
def test_nothing_runs_leaves_or_overflows(reports, name):
    address = f"file://{reports[name]}"
    with browser() as tab:
        for size in (WIDE, NARROW):
            for dark in (False, True):
                tab.open(address, size, dark)
                tab.js("document.querySelectorAll('details').forEach(d => d.open = true)")
                assert tab.overflow() <= 0
                assert tab.axe() == []
                look = f"report-{name}-{'narrow' if size == NARROW else 'wide'}{'-dark' if dark else ''}"
                tab.js("document.querySelectorAll('details').forEach((d, i) => d.open = i % 3 == 0)")
                tab.shot(look)
        assert tab.js("document.title") == "test, snapshot " + ("2" if name == "hostile" else "1")
        assert tab.js("document.scripts.length") == 0
        assert {r.split(":")[0] for r in tab.requests} <= {"file"}
        assert EVIL in tab.js("document.body.textContent") or name == "packed"


@needs_chromium
def test_a_rule_leads_to_its_documents_by_one_click_and_by_keyboard(reports):
    with browser() as tab:
        tab.open(f"file://{reports['hostile']}")
        tab.click("#costly a")
        assert tab.js("location.hash").startswith("#rule-")
        assert tab.js("document.querySelector(location.hash).checkVisibility()")
        tab.open(f"file://{reports['hostile']}")
        tab.key("Tab")
        assert tab.js("document.activeElement.className") == "skip"
        tab.key("Enter")
        assert tab.js("location.hash") == "#recipe"
