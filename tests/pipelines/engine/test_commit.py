"""The last step of a run: what is published, in what order, once, and what of it heals."""

import json
import shutil
import threading
from collections import Counter

import pyarrow.parquet as pq
import pytest

from corpusmill.pipelines.dataset.snapshot import Dataset
from corpusmill.pipelines.dataset.system_errors import explained
from corpusmill.pipelines.engine import commit as module
from corpusmill.pipelines.engine.commit import commit, finish, publish_manifest
from corpusmill.pipelines.engine.open_job import open_job
from corpusmill.pipelines.recipe.model import load
from corpusmill.pipelines.run import run
from corpusmill.transforms.errors import ConservationError, DatasetError, EngineError, ExpectationError, LockedError
from corpusmill.transforms.manifest import manifest_name, snapshot_numbers
from tests.corpora import rows, write_recipe, write_shards
from tests.faults.serial import Serial

LONG = "one two three " * 100


def job_of(folder, docs=20, shards=2, steps=("exact",), **changes):
    """A job whose units are all done."""
    if docs is not None:
        write_shards(folder / "raw", rows(docs), shards)
    job = open_job(load(write_recipe(folder, list(steps), **changes)))
    Serial(1, []).run(job)
    return job


def ids(dataset):
    return [i for f in Dataset(dataset).files() for i in pq.read_table(f, columns=["id"])["id"].to_pylist()]


def events(dataset):
    return [int(e["outputs"][0]["facets"]["version"]["datasetVersion"]) for e in Dataset(dataset).events()]


@pytest.mark.parametrize(("docs", "shards"), [(0, 1), (0, 3), (1, 1), (1, 4)])
def test_no_document_and_one(tmp_path, docs, shards):
    job = job_of(tmp_path, docs, shards)
    manifest = commit(job)
    assert (manifest["number"], manifest["parent"], manifest["documents"]) == (1, None, docs)
    assert len(manifest["files"]) == docs  # an empty shard is not published
    assert [c["name"] for c in manifest["schema"]][:3] == ["id", "text", "source"]
    assert Dataset(job.dataset).verify() == []
    assert ids(job.dataset) == [r["id"] for r in rows(docs)]


def test_a_unit_that_is_not_done_commits_nothing(tmp_path):
    write_shards(tmp_path / "raw", rows(20), 2)
    job = open_job(load(write_recipe(tmp_path, ["exact"])))
    with pytest.raises(EngineError, match="stage 0 is not complete"):
        commit(job)
    Serial(1, []).run(job)
    # of a job that is done, one file is taken away
    shutil.rmtree(tmp_path / "out" / ".corpusmill" / "work")
    again = open_job(job.recipe)
    with pytest.raises(EngineError, match="is not complete"):
        commit(again)
    assert snapshot_numbers(job.dataset) == []
    assert not (tmp_path / "out" / "data").exists()


def test_equal_files_are_published_each_under_its_own_name(tmp_path):
    """The same file twice in a source; and another file that a step makes equal to it."""
    for name, text in {"a": LONG, "b": LONG, "c": LONG.replace(" ", "  ")}.items():
        (tmp_path / f"{name}.jsonl").write_text(json.dumps({"id": "x", "text": text}) + "\n")
    sources = [{"name": "raw", "path": "*.jsonl", "columns": {"id": "id"}}]
    changes = {"sources": sources, "output": {"path": "out", "shard_bytes": 1024}}
    job = job_of(tmp_path, None, steps=[{"clean": {"whitespace": True}}], **changes)
    manifest = commit(job)
    assert len({f["path"] for f in manifest["files"]}) == 3
    assert Counter(ids(job.dataset)) == {"x": 3}
    assert Dataset(job.dataset).verify() == []
    # the names follow from the content: a second life gives the same
    again = commit(
        job_of(
            tmp_path,
            None,
            steps=[{"clean": {"whitespace": True}}],
            **changes | {"output": {"path": "again", "shard_bytes": 1024}},
        )
    )
    assert [f["path"] for f in again["files"]] == [f["path"] for f in manifest["files"]]


def test_what_is_not_expected_or_does_not_add_up_is_not_published(tmp_path, monkeypatch):
    job = job_of(tmp_path, expect={"min_documents": 1000})
    with pytest.raises(ExpectationError):
        commit(job)
    job = job_of(tmp_path)

    def broken(job):
        raise ConservationError("rows do not add up")

    monkeypatch.setattr(module, "build", broken)
    with pytest.raises(ConservationError):
        commit(job)
    assert snapshot_numbers(job.dataset) == []
    assert not (tmp_path / "out" / "data").exists()


def test_a_number_is_taken_once(tmp_path):
    job = job_of(tmp_path)
    first = commit(job)
    number = manifest_name(1)
    before = (tmp_path / "out" / number).read_bytes()
    other = {k: v for k, v in first.items() if k not in ("number", "digest", "created", "checksum")} | {"name": "other"}
    with pytest.raises(LockedError, match=r"committed snapshot 1 meanwhile. Run the same command again"):
        publish_manifest(job.dataset, 1, other)
    assert (tmp_path / "out" / number).read_bytes() == before
    assert events(job.dataset) == [1]


def test_of_many_at_once_each_number_has_one_winner(tmp_path):
    """Without the lock, as where jobs commit themselves."""
    jobs = [job_of(tmp_path, output={"path": "out", "level": level}) for level in range(1, 7)]
    start, made, lost = threading.Barrier(len(jobs)), [], []

    def one(job):
        start.wait()
        try:
            made.append(commit(job))
        except LockedError as error:
            lost.append(error)

    threads = [threading.Thread(target=one, args=(job,)) for job in jobs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    dataset = Dataset(tmp_path / "out")
    assert len(made) + len(lost) == len(jobs)
    assert dataset.numbers == list(range(1, len(made) + 1))
    for number in dataset.numbers:
        before = dataset.manifest(number - 1)["digest"] if number > 1 else None
        assert (dataset.manifest(number)["parent"] or {}).get("digest") == before
    works = [dataset.manifest(n)["work"] for n in dataset.numbers]
    assert len(set(works)) == len(works)
    finish(job_dataset := str(tmp_path / "out"))
    assert [p for n in dataset.numbers for p in Dataset(job_dataset).verify(n)] == []


def test_what_follows_from_a_manifest_is_made_again(tmp_path):
    job = job_of(tmp_path)
    commit(job)
    out = tmp_path / "out"
    whole = {n: (out / n).read_bytes() for n in ("README.md", "SHA256SUMS")}
    (out / "README.md").write_text("torn")
    (out / "SHA256SUMS").unlink()
    (out / "events.jsonl").unlink()
    for _ in range(2):
        manifest = finish(job.dataset)
        assert manifest["created"] is not None
        assert {n: (out / n).read_bytes() for n in whole} == whole
        assert events(job.dataset) == [1]


def test_the_event_of_a_commit_that_died_behind_its_manifest_comes_with_the_next(tmp_path):
    commit(job_of(tmp_path))
    (tmp_path / "out" / "events.jsonl").unlink()
    commit(job_of(tmp_path, output={"path": "out", "level": 9}))
    assert events(tmp_path / "out") == [1, 2]


def test_an_event_that_cannot_be_written_leaves_the_snapshot_and_the_same_command_heals(tmp_path):
    job = job_of(tmp_path)
    (tmp_path / "out" / "events.jsonl").mkdir(parents=True)
    with (
        pytest.raises(DatasetError, match=r"events\.jsonl: a folder stands where a file must be"),
        explained(job.dataset),
    ):
        commit(job)
    assert snapshot_numbers(job.dataset) == [1]
    (tmp_path / "out" / "events.jsonl").rmdir()
    assert not run(job.recipe, workers=1).committed
    assert events(job.dataset) == [1]
    assert Dataset(job.dataset).verify() == []


def test_a_snapshot_of_no_document_on_top_of_one_with_some(tmp_path):
    job = job_of(tmp_path)
    first = commit(job)
    for file in (tmp_path / "raw").iterdir():
        file.unlink()
    second = commit(job_of(tmp_path, 0, 1))
    assert (second["number"], second["documents"], second["files"]) == (2, 0, [])
    assert second["parent"] == {"number": 1, "digest": first["digest"]}
    assert [Dataset(job.dataset).verify(n) for n in (1, 2)] == [[], []]
