import apache_beam as beam
import pyarrow as pa
import pytest
from apache_beam.runners.portability.fn_api_runner import FnApiRunner
from apache_beam.transforms.display import DisplayData

from corpusmill.pipelines.beam.coder import RecordBatchCoder
from corpusmill.pipelines.beam.steps import Steps
from corpusmill.transforms.clean.clean import Clean
from corpusmill.transforms.dedup.exact import Exact
from corpusmill.transforms.errors import RecipeError
from corpusmill.transforms.filters.gopher_quality import GopherQuality
from tests.corpora import rows


def batch(n=60):
    docs = rows(n)
    return pa.record_batch({"id": [d["id"] for d in docs], "text": [d["text"] for d in docs], "source": ["raw"] * n})


def test_steps_work_in_a_pipeline_of_ones_own_and_count_what_they_drop():
    kept = []
    pipeline = beam.Pipeline(runner=FnApiRunner())
    steps = Steps(Clean(), GopherQuality(min_words=5))
    whole = batch()
    parts = [whole.slice(0, 20), whole.slice(20)]
    out = pipeline | beam.Create(parts) | steps
    assert out.element_type is pa.RecordBatch
    _ = out | beam.Map(lambda b: kept.append(b.num_rows))
    result = pipeline.run()
    found = {
        c.key.metric.name: c.committed
        for c in result.metrics().query()["counters"]
        if c.key.metric.namespace == "corpusmill"
    }
    assert found["clean.rows_in"] == found["clean.rows_out"] == 60
    dropped = sum(n for name, n in found.items() if name.startswith("gopher-quality.dropped."))
    assert 0 < dropped == 60 - found["gopher-quality.rows_out"]


def test_display_data_shows_the_fields_that_were_set():
    items = {i.key: i.value for i in DisplayData.create_from(Steps(Clean(), GopherQuality(min_words=5), seed=3)).items}
    assert items["seed"] == 3
    assert "min_words" in items["gopher-quality"]


def test_what_needs_other_shards_is_refused():
    with pytest.raises(RecipeError, match="exact needs rows of other shards"):
        Steps(Exact())


def test_a_slice_is_coded_without_its_parent():
    whole = batch()
    assert len(RecordBatchCoder().encode(whole.slice(0, 1))) < len(RecordBatchCoder().encode(whole)) / 4
    assert RecordBatchCoder().decode(RecordBatchCoder().encode(whole.slice(3, 2))).equals(whole.slice(3, 2))
