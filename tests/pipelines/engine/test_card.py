import yaml

from corpusmill.pipelines.dataset.snapshot import Dataset
from corpusmill.pipelines.engine.card import readme
from corpusmill.pipelines.recipe.model import load
from corpusmill.pipelines.run import run
from tests.corpora import rows, write_recipe, write_shards


def test_the_cards_head_lists_exactly_the_shards(tmp_path):
    write_shards(tmp_path / "raw", rows(120), 2)
    run(load(write_recipe(tmp_path, [{"length": {"min_chars": 5}}])))
    dataset = Dataset(tmp_path / "out")
    text = (tmp_path / "out" / "README.md").read_text()
    assert text == readme(dataset.manifest())
    head = yaml.safe_load(text.split("---")[1])
    (files,) = head["configs"][0]["data_files"]
    assert files["path"] == [f["path"] for f in dataset.manifest()["files"]]
    assert f"Snapshot 1: {dataset.manifest()['documents']} documents" in text
    assert "| length | 120 |" in text
