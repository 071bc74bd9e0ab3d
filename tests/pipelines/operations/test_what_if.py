import pyarrow.parquet as pq
import pytest

from corpusmill.pipelines.operations.what_if import what_if
from corpusmill.pipelines.recipe.model import load
from corpusmill.pipelines.run import run
from corpusmill.transforms.errors import DatasetError
from tests.corpora import rows, write_recipe, write_shards


def test_other_thresholds_keep_what_a_rerun_with_them_keeps(tmp_path):
    write_shards(tmp_path / "raw", rows(300), 3)
    steps = [{"gopher-quality": {"min_words": 20, "min_stop_words": 1, "keep_scores": True}}, {"exact": {}}]
    run(load(write_recipe(tmp_path, steps)))
    table = what_if(tmp_path / "out")
    now = [r for r in table if r["current"]]
    assert {r["rule"] for r in now} >= {"min_words", "max_hash_ratio"}
    counts = {r["documents"] for r in now}
    assert len(counts) == 1
    words = [r for r in table if r["rule"] == "min_words"]
    assert [r["documents"] for r in words] == sorted((r["documents"] for r in words), reverse=True)
    other = next(r for r in words if r["limit"] > 20 and 0 < r["documents"] < counts.copy().pop())
    again = run(load(write_recipe(tmp_path, steps), [f"steps.gopher-quality.min_words={other['limit']}"]))
    step = again.funnel["steps"][0]
    assert (step["rows_out"], step["bytes_out"]) == (other["documents"], other["bytes"])


def test_steps_without_scores_are_named(tmp_path):
    write_shards(tmp_path / "raw", rows(20), 1)
    run(load(write_recipe(tmp_path, [{"gopher-quality": {}}])))
    assert what_if(tmp_path / "out") == []
    with pytest.raises(DatasetError, match="keep_scores"):
        what_if(tmp_path / "out", "gopher-quality")


def test_scores_are_columns_of_the_kept(tmp_path):
    write_shards(tmp_path / "raw", rows(60), 2)
    result = run(
        load(write_recipe(tmp_path, [{"gopher-quality": {"min_words": 1, "min_stop_words": 0, "keep_scores": True}}]))
    )
    table = pq.read_table(tmp_path / "out" / result.manifest["files"][0]["path"])
    assert "gopher-quality.words" in table.column_names
