"""The first error of a run, for the process that waits for it."""

import pytest

from corpusmill.pipelines.engine.failures import remember_failure, take_failure
from corpusmill.pipelines.engine.open_job import open_job
from corpusmill.pipelines.recipe.model import load
from corpusmill.transforms.errors import BadFileError, CorpusmillError, DatasetError, EngineError, SourceError
from tests.corpora import rows, write_recipe, write_shards


@pytest.fixture
def job(tmp_path):
    write_shards(tmp_path / "raw", rows(5), 1)
    return open_job(load(write_recipe(tmp_path, [])))


def elsewhere(job, kind, message):
    """As a worker process leaves it."""
    job.store.note_failure(kind, message)


def test_the_first_error_is_taken_once(job):
    first = ValueError("a")
    remember_failure(job, first)
    remember_failure(job, SourceError("b"))
    assert take_failure(job) is first
    assert take_failure(job) is None


def test_an_error_of_another_process_has_its_kind(job):
    elsewhere(job, "SourceError", "row 3 is wrong")
    elsewhere(job, "EngineError", "later")
    found = take_failure(job)
    assert (type(found), str(found)) == (SourceError, "row 3 is wrong")
    assert take_failure(job) is None
    # one whose making takes more than a message
    elsewhere(job, "BadFileError", "x is torn")
    found = take_failure(job)
    assert (type(found), str(found), found.exit_code) == (BadFileError, "x is torn", BadFileError("a", "b").exit_code)


def test_a_kind_that_is_not_ours_is_the_root_of_the_tree(job):
    elsewhere(job, "NoSuchError", "odd")
    found = take_failure(job)
    assert (type(found), str(found)) == (CorpusmillError, "odd")


def test_what_was_remembered_here_comes_before_what_was_noted(job):
    elsewhere(job, "EngineError", "of a worker")
    mine = EngineError("of this process")
    remember_failure(job, mine)
    assert take_failure(job) is mine
    assert take_failure(job) is None


def test_an_error_of_the_disk_is_told_as_one(job):
    remember_failure(job, OSError(28, "No space left on device", job.store.path("data/x")))
    found = take_failure(job)
    assert isinstance(found, DatasetError)
    assert str(found).startswith(f"{job.store.path('data/x')}: the disk is full. Snapshots are as they were")
    # other errors stay what they are, and are no note for other processes
    error = KeyError("x")
    remember_failure(job, error)
    assert job.store.take_failure() is None
    assert take_failure(job) is error


def test_runs_of_two_datasets_do_not_share_errors(job, tmp_path):
    (tmp_path / "b").mkdir()
    write_shards(tmp_path / "b" / "raw", rows(5), 1)
    other = open_job(load(write_recipe(tmp_path / "b", [])))
    remember_failure(job, SourceError("a"))
    assert take_failure(other) is None
    assert str(take_failure(job)) == "a"
