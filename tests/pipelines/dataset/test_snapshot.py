import json
import shutil
from pathlib import Path

import pytest

from corpusmill.pipelines.dataset.snapshot import Dataset
from corpusmill.pipelines.dataset.verify import funnel_problems
from corpusmill.pipelines.recipe.model import load
from corpusmill.pipelines.run import run
from corpusmill.transforms.errors import DatasetError
from corpusmill.transforms.manifest import snapshot_numbers
from tests.corpora import rows, write_recipe, write_shards


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("snapshot")
    write_shards(folder / "raw", rows(60), 2)
    run(load(write_recipe(folder, [{"exact": {}}])))
    return folder


def test_a_folder_that_is_no_dataset_is_named(tmp_path):
    with pytest.raises(DatasetError, match="has no snapshot"):
        Dataset(tmp_path)
    with pytest.raises(DatasetError, match="does not exist"):
        Dataset(tmp_path / "gone")


def test_unknown_and_damaged_snapshots_are_named(folder, tmp_path):
    dataset = Dataset(folder / "out")
    with pytest.raises(DatasetError, match=r"no snapshot 7\. It has: 1"):
        dataset.manifest(7)
    (tmp_path / "snapshots").mkdir()
    (tmp_path / "snapshots" / "000001.json").write_text("{")
    with pytest.raises(DatasetError, match=r"000001\.json is damaged"):
        Dataset(tmp_path).manifest()
    assert snapshot_numbers(str(tmp_path)) == [1]


def test_a_manifest_holds_no_time_and_no_path_of_the_machine(folder):
    text = (folder / "out" / "snapshots" / "000001.json").read_text()
    assert str(folder) not in text
    assert "20" + "26-" not in text
    assert json.loads(text)["inputs"][0]["path"].startswith("raw/")


def test_the_list_of_snapshots_has_times_from_the_events(folder):
    (only,) = Dataset(folder / "out").snapshots()
    assert only["number"] == 1
    assert only["created"].endswith("Z")
    assert only["parent"] is None


def test_verify_names_what_is_missing_or_does_not_add_up(folder, tmp_path):
    shutil.copytree(folder / "out", tmp_path / "out", ignore=shutil.ignore_patterns(".corpusmill"))
    dataset = Dataset(tmp_path / "out")
    file = Path(dataset.files()[0])
    file.write_bytes(file.read_bytes() + b"x")
    assert any("SHA-256" in p for p in dataset.verify())
    file.unlink()
    assert any("No such file" in p for p in dataset.verify())


def test_sums_that_do_not_add_up_are_found():
    step = {"name": "a", "rows_in": 10, "rows_out": 8, "derived": 0, "dropped": {"x": 2}}
    funnel = {"rows_in": 11, "quarantined": 1, "rows_out": 8, "steps": [step]}
    assert funnel_problems(funnel) == []
    assert funnel_problems({**funnel, "quarantined": 0}) == ["step a: took 10 rows, but 11 came"]
    assert funnel_problems({**funnel, "rows_out": 7}) == ["the last step gave 8 rows, 7 were published"]
    assert "do not add up" in funnel_problems({**funnel, "steps": [{**step, "dropped": {}}]})[0]


def test_a_file_is_no_dataset(tmp_path):
    (tmp_path / "x").write_text("")
    with pytest.raises(DatasetError, match="x is a file; a dataset is a folder"):
        Dataset(tmp_path / "x")
