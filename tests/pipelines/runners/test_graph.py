from corpusmill.pipelines.dataset.results import Store
from corpusmill.pipelines.engine.failures import remember_failure, take_failure
from corpusmill.pipelines.engine.open_job import open_job
from corpusmill.pipelines.recipe.model import load
from corpusmill.pipelines.runners.graph import RunStages
from corpusmill.transforms.errors import BadFileError, CorpusmillError, RecipeError
from tests.corpora import rows, write_recipe, write_shards


def job_of(tmp_path, steps):
    write_shards(tmp_path / "raw", rows(30), 2)
    return open_job(load(write_recipe(tmp_path, steps)))


def test_the_graph_is_one_line_without_branches(tmp_path):
    import apache_beam as beam

    job = job_of(tmp_path, [{"exact": {}}, {"minhash": {}}])
    pipeline = beam.Pipeline(runner="apache_beam.runners.portability.fn_api_runner.FnApiRunner")
    _ = pipeline | beam.Create([0]) | "stages" >> RunStages(job)
    readers: dict[str, int] = {}
    proto = pipeline.to_runner_api()
    every = [t for t in proto.components.transforms.values() if t.unique_name.startswith("stages/")]
    leaves = [t for t in every if not t.subtransforms]
    for transform in leaves:
        assert len(transform.outputs) <= 1
        for name in transform.inputs.values():
            readers[name] = readers.get(name, 0) + 1
    assert max(readers.values()) == 1
    names = [t.unique_name for t in proto.components.transforms.values()]
    assert sum(name.endswith("| spread") for name in names) == len(job.stages)


def test_the_first_failure_is_told_as_it_was_raised(tmp_path):
    job = job_of(tmp_path, [])
    error = BadFileError("a.parquet", "is truncated")
    remember_failure(job, error)
    remember_failure(job, RecipeError("later"))
    assert take_failure(job) is error
    assert take_failure(job) is None


def test_a_failure_of_another_process_keeps_its_kind_and_message(tmp_path):
    job = job_of(tmp_path, [])
    Store(job.dataset).note_failure("BadFileError", "a.parquet: is truncated")
    found = take_failure(job)
    assert isinstance(found, BadFileError)
    assert isinstance(found, CorpusmillError)
    assert str(found) == "a.parquet: is truncated"
