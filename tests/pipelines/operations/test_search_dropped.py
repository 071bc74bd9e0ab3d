"""Texts of dropped documents are found in the sources, wherever they stand."""

import json

import pytest

from corpusmill.pipelines.dataset.snapshot import Dataset
from corpusmill.pipelines.operations import search_dropped
from corpusmill.pipelines.operations.search_dropped import search
from corpusmill.pipelines.recipe.model import load
from corpusmill.pipelines.run import run
from corpusmill.transforms.errors import DatasetError
from tests.command import invoke, invoke_json
from tests.corpora import write_recipe

PROSE = "the words that have and of the prose with which they are read number {}"


@pytest.fixture(scope="module")
def out(tmp_path_factory):
    """Two sources with ids in common: of each text in `one` there is a short one in `two`."""
    folder = tmp_path_factory.mktemp("search")
    for name, texts in {
        "one": [PROSE.format(i) for i in range(300)],
        "two": [f"短い {i} a.b" for i in range(300)],
    }.items():
        lines = [json.dumps({"id": f"d{i}", "text": text}) for i, text in enumerate([*texts, texts[0]])]
        (folder / f"{name}.jsonl").write_text("\n".join(lines))
    sources = [{"name": n, "path": f"{n}.jsonl", "columns": {"id": "id"}} for n in ("one", "two")]
    steps = [{"length": {"min_words": 4, "min_chars": 20}}, "exact"]
    run(load(write_recipe(folder, steps, sources=sources)), workers=1)
    return folder / "out"


def found(out, *asked, **options):
    reader = Dataset(out)
    return list(search(reader, reader.manifest(), *asked, **options))


def test_every_match_that_was_dropped_is_found_and_kept_ones_are_not(out, monkeypatch):
    monkeypatch.setattr(search_dropped, "FIRST", 2)  # looked up in many rounds
    rows = found(out, "[0-9]")
    assert len(rows) == 302
    assert {r["source"] for r, _ in rows} == {"one", "two"}
    assert [r["id"] for r, _ in rows if r["source"] == "one"] == ["d300"]
    ((row, text),) = found(out, "短い 17 ", "text")
    assert (row["source"], row["id"], row["step"], text.file, text.row) == ("two", "d17", "length", "two.jsonl", 17)
    assert found(out, "a.b", "text", reason="exact") == found(out, "短い", "text", step="exact") == []
    assert len(found(out, "A.B", "any case")) == 301
    assert found(out, "短い", "text", without=("two",)) == []
    assert found(out, "短い", "text", stopped=lambda: True) == []


def test_a_wrong_expression_is_told(out):
    with pytest.raises(DatasetError, match=r"'\(' is no regular expression"):
        found(out, "(")


def test_the_verb(out):
    assert [r["id"] for r in invoke_json("dropped", out, "--grep", "短い 2[01] ")] == ["d20", "d21"]
    shown = invoke("dropped", out, "--grep", "number", "--step", "exact").output
    assert "d300 from one" in shown
    assert invoke("dropped", out, "--grep", "nowhere").output == "No dropped document matches.\n"
    assert "its steps are" in invoke("dropped", out, "--grep", "x", "--step", "none").output
