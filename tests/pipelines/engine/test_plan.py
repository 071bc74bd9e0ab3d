from corpusmill.pipelines.dataset.results import Store
from corpusmill.pipelines.engine import tasks
from corpusmill.pipelines.engine.plan import make
from corpusmill.pipelines.recipe.model import load
from corpusmill.pipelines.run import run
from corpusmill.transforms.sources import identity, listing
from tests.corpora import rows, write_recipe, write_shards

STEPS = [{"gopher-quality": {"min_words": 5}}, {"exact": {}}]


def test_a_plan_runs_nothing_and_knows_documents_and_bytes(tmp_path):
    paths = write_shards(tmp_path / "raw", rows(50), 2)
    plan = make(load(write_recipe(tmp_path, STEPS)), workers=2)
    assert plan.documents == 50
    assert plan.bytes == sum(p.stat().st_size for p in paths)
    assert plan.changes == ["there is no snapshot yet"]
    assert not plan.nothing_new
    assert [(s.tasks, s.reused) for s in plan.stages] == [(2, 0), (None, 0), (None, 0)]
    assert plan.memory > make(load(write_recipe(tmp_path, STEPS)), workers=1).memory
    assert not (tmp_path / "out" / "snapshots").exists()
    assert "job" not in plan.to_dict()


def test_a_plan_says_what_changed(tmp_path):
    write_shards(tmp_path / "raw", rows(50), 2)
    recipe = write_recipe(tmp_path, STEPS)
    run(load(recipe))
    assert make(load(recipe), 1).nothing_new
    assert make(load(recipe), 1).changes == []
    assert make(load(recipe, ["seed=5"]), 1).changes == ["seed: 1 -> 5"]
    assert make(load(write_recipe(tmp_path, STEPS[:1])), 1).changes == ["step exact is gone"]
    assert make(load(write_recipe(tmp_path, [*STEPS, "clean"])), 1).changes == ["step clean is new"]
    assert make(load(write_recipe(tmp_path, STEPS[::-1])), 1).changes == ["the steps' order changed"]
    write_shards(tmp_path / "raw", rows(5, seed=3), 1, first=7)
    assert make(load(write_recipe(tmp_path, STEPS)), 1).changes == ["1 new or changed files"]
    (tmp_path / "raw" / "part-000.parquet").unlink()
    assert make(load(write_recipe(tmp_path, STEPS)), 1).changes == [
        "1 new or changed files",
        "1 files are gone or changed",
    ]


def test_files_that_did_not_change_are_not_read_again(tmp_path, monkeypatch):
    monkeypatch.setattr(listing, "SETTLED", -1e9)  # as if the files were old
    write_shards(tmp_path / "raw", rows(50), 2)
    recipe = write_recipe(tmp_path, STEPS)
    run(load(recipe))
    (fresh,) = write_shards(tmp_path / "raw", rows(5, seed=3), 1, first=7)
    read = []
    monkeypatch.setattr(listing, "content_digest", lambda path, size: read.append(path) or "0" * 32)
    make(load(recipe), 1)
    assert read == [str(fresh)]


def test_a_run_reads_the_content_of_a_file_that_is_as_it_was_listed_once(tmp_path, monkeypatch):
    monkeypatch.setattr(listing, "SETTLED", -1e9)  # as if the files were old
    write_shards(tmp_path / "raw", rows(50), 2)
    compared = []
    monkeypatch.setattr(identity, "_compare", lambda part, grows: compared.append(part))
    run(load(write_recipe(tmp_path, STEPS)))
    assert compared == []
    (tmp_path / "out" / ".corpusmill" / "listing.json").unlink()
    monkeypatch.setattr(Store, "listing", lambda store: {})
    monkeypatch.setattr(tasks, "_lists", {})
    run(load(write_recipe(tmp_path, [{"length": {"min_chars": 1}}])))
    assert {part.name for part in compared} == {"part-000.parquet", "part-001.parquet"}
