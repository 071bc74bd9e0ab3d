"""A tokenizer says what it was trained on."""

import json

import pytest

from corpusmill.pipelines.dataset.snapshot import Dataset
from corpusmill.pipelines.operations.train_tokenizer import train
from corpusmill.pipelines.recipe.model import load
from corpusmill.pipelines.run import run
from corpusmill.transforms.errors import RecipeError
from tests.corpora import rows, write_recipe, write_shards

pytest.importorskip("tokenizers", reason="HF tokenizers is not installed (extra `train`)")


def test_the_origin_is_noted_beside_it(tmp_path):
    write_shards(tmp_path / "raw", rows(60), 2)
    recipe = write_recipe(tmp_path, ["clean"])
    run(load(recipe), workers=1)
    of_recipe = train(str(recipe), 300, str(tmp_path / "a.json"))
    of_dataset = train(str(tmp_path / "out"), 300, str(tmp_path / "b.json"))
    note = json.loads((tmp_path / "a.json.origin.json").read_text())
    assert (note["sha256"], note["recipe_output"]) == (of_recipe["sha256"], str(tmp_path / "out"))
    note = json.loads((tmp_path / "b.json.origin.json").read_text())
    assert (note["sha256"], note["manifest"]) == (of_dataset["sha256"], Dataset(tmp_path / "out").manifest()["digest"])


def test_another_tokenizer_is_not_overwritten(tmp_path):
    write_shards(tmp_path / "raw", rows(60), 2)
    recipe = write_recipe(tmp_path, ["clean"])
    train(str(recipe), 300, str(tmp_path / "a.json"))
    before = (tmp_path / "a.json").read_bytes()
    with pytest.raises(RecipeError, match="exists and is another tokenizer"):
        train(str(recipe), 290, str(tmp_path / "a.json"))
    assert (tmp_path / "a.json").read_bytes() == before
    assert {p.name for p in tmp_path.glob("a.json*")} == {"a.json", "a.json.origin.json"}
