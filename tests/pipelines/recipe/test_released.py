"""What a snapshot owes to private text, and what its card says of it. Models behind steps: test_synthetic.py."""

import json

import pytest

from corpusmill.pipelines.dataset.snapshot import Dataset
from corpusmill.pipelines.recipe.certify import certify
from corpusmill.pipelines.recipe.expect import Expect
from corpusmill.pipelines.recipe.model import load
from corpusmill.pipelines.recipe.released import released, section
from corpusmill.pipelines.run import run
from tests.command import invoke
from tests.corpora import rows, write_recipe, write_shards

SOURCE = {"name": "raw", "path": "raw/*.parquet", "columns": {"id": "id"}}


@pytest.fixture
def first(tmp_path):
    """A dataset of a private source."""
    write_shards(tmp_path / "first" / "raw", rows(20), 1)
    recipe = load(write_recipe(tmp_path / "first", [], sources=[SOURCE | {"private": True, "name": "mail"}]))
    run(recipe, workers=1)
    return recipe


def behind(folder, path, **more):
    (folder / "next").mkdir(exist_ok=True)
    return load(
        write_recipe(folder / "next", [], sources=[{"name": "s", "path": path, "columns": {"id": "id"}, **more}])
    )


def test_private_sources_are_named_and_inherited(first, tmp_path):
    assert released(first) == {"sources": ["mail"]}
    assert Dataset(first.dataset).manifest()["privacy"] == {"sources": ["mail"]}
    for path in ("../first/out/data/*.parquet", "../first/out"):
        assert released(behind(tmp_path, path)) == {"sources": ["mail"]}
    # a copy without the dataset around it tells nothing, and public text owes nothing
    assert released(behind(tmp_path, "../first/raw/*.parquet")) == {}
    own = released(behind(tmp_path, "../first/out/data/*.parquet", private=True))
    assert own == {"sources": ["s"]}


def test_the_card_says_not_to_publish(first):
    card = (first.base_dir / "out" / "README.md").read_text()
    assert "**Not for publication.** It holds private text as it is, of mail; no guarantee covers that text." in card


def test_guarantees_of_models_are_inherited_once(first, tmp_path):
    path = tmp_path / "first" / "out" / "snapshots" / "000001.json"
    guarantee = {
        "population": "callers", "unit": "user", "adjacency": "add-or-remove", "epsilon": 2.0, "delta": 1e-6, "total": 3.0,
        "ledger": "0" * 32, "runs": ["r1"], "certified": True,
    }  # fmt: skip
    manifest = json.loads(path.read_text())
    manifest["privacy"] = {
        "sources": ["mail"],
        "guarantees": [guarantee],
        "unguarded": ["the model x saw private text"],
    }
    path.write_text(json.dumps(manifest))
    found = released(behind(tmp_path, ["../first/out/data/*.parquet", "../first/out/data/*-*.parquet"]))
    assert found == manifest["privacy"]
    said = section(found)
    assert said.startswith("## Privacy\n\n**Not for publication.** It holds private text as it is, of mail;")
    assert "**Not for publication.** The model x saw private text." in said
    assert "Text in it was written by a model that was trained privately, or was chosen by private votes." in said
    assert "callers" in said


def test_nothing_owed_is_nothing_said():
    assert section({}) == ""


def test_exact_figures_of_private_text_are_marked_wherever_they_are_shown(first):
    for verb in (["show"], ["log"], ["diff", 1, 1]):
        said = invoke(verb[0], first.dataset, *verb[1:]).output
        assert "Not for publication: these figures are exact, and the text is private (private source mail)." in said
    recipe = first.model_copy(update={"expect": Expect(min_documents=50)})
    assert any("`expect` decides by its exact figures" in note for note in certify(recipe).assumptions)
