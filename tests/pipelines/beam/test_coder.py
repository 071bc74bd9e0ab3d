"""Record batches on their way between workers: whole, alone, and never as keys."""

import datetime
import decimal

import apache_beam as beam
import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from corpusmill.pipelines.beam.coder import RecordBatchCoder, register

CODER = RecordBatchCoder()

BATCHES = {
    "no rows": pa.record_batch({"a": pa.array([], pa.string())}),
    "no columns": pa.RecordBatch.from_arrays([], names=[]),
    "only nulls": pa.record_batch({"a": pa.nulls(3), "b": pa.nulls(3, pa.string())}),
    "scripts": pa.record_batch({"text": ["数据 清洗", "👩‍👩‍👧", "", None, "e\u0301\0\ufffd"]}),
    "large strings and views": pa.record_batch(
        {"a": pa.array(["x" * 20, "y"], pa.large_string()), "b": pa.array(["x" * 20, "y"], pa.string_view())}
    ),
    "dictionary": pa.record_batch({"lang": pa.array(["en", "zh", "en", None]).dictionary_encode()}),
    "nested": pa.record_batch(
        {
            "a": [[{"x": 1, "y": ["é"]}], [], None],
            "b": pa.array([[("k", 1)], [], None], pa.map_(pa.string(), pa.int8())),
        }
    ),
    "the rest": pa.record_batch(
        {
            "t": [datetime.datetime(2024, 1, 1, tzinfo=datetime.UTC)],
            "d": [decimal.Decimal("1.50")],
            "f": [float("inf")],
            "b": [b"\0\xff"],
            "h": pa.array([np.float16(1.5)], pa.float16()),
            "l": pa.FixedSizeListArray.from_arrays(pa.array([1.0, 2.0]), 2),
        }
    ),
}


@pytest.mark.parametrize("batch", BATCHES.values(), ids=BATCHES.keys())
def test_a_batch_comes_back_with_its_schema(batch):
    there = CODER.decode(CODER.encode(batch))
    assert there.schema.equals(batch.schema, check_metadata=True)
    assert there.equals(batch)
    there.validate(full=True)


def test_metadata_and_nullability_come_along():
    field = pa.field("a", pa.int8(), nullable=False, metadata={"of": "field"})
    batch = pa.RecordBatch.from_arrays([pa.array([1], pa.int8())], schema=pa.schema([field], {"of": "schema"}))
    assert CODER.decode(CODER.encode(batch)).schema.equals(batch.schema, check_metadata=True)


def test_columns_of_one_name_stay_two():
    batch = pa.RecordBatch.from_arrays([pa.array([1]), pa.array([2])], names=["a", "a"])
    assert CODER.decode(CODER.encode(batch)).equals(batch)


@settings(max_examples=50, deadline=None)
@given(st.lists(st.none() | st.text(max_size=9), max_size=20), st.data())
def test_a_slice_is_what_its_rows_are_and_no_larger(texts, data):
    begin = data.draw(st.integers(0, len(texts)))
    length = data.draw(st.integers(0, len(texts) - begin))
    batch = pa.record_batch({"text": pa.array(texts, pa.string()), "flag": pa.array([t is None for t in texts])})
    there = CODER.decode(CODER.encode(batch.slice(begin, length)))
    assert there["text"].to_pylist() == texts[begin : begin + length]
    assert there["flag"].to_pylist() == [t is None for t in texts[begin : begin + length]]


def test_a_slice_does_not_take_the_whole_batch_along():
    batch = pa.record_batch({"text": ["x" * 1000] * 1000})
    assert len(CODER.encode(batch.slice(500, 1))) < 3000


def test_what_is_no_whole_batch_is_an_error_and_not_fewer_rows():
    whole = CODER.encode(pa.record_batch({"a": list(range(1000))}))
    for broken in (b"", b"\0" * 8, whole[: len(whole) // 2], whole[:16]):
        with pytest.raises((pa.ArrowInvalid, EOFError, StopIteration, OSError)):
            CODER.decode(broken)
    for wrong in (None, {"a": [1]}, pa.table({"a": [1]}).to_pydict()):
        with pytest.raises(AttributeError):
            CODER.encode(wrong)


def test_beam_takes_it_for_batches_and_refuses_batches_as_keys():
    register()
    register()  # any number of times
    assert isinstance(beam.coders.registry.get_coder(pa.RecordBatch), RecordBatchCoder)
    assert not CODER.is_deterministic()
    assert CODER.to_type_hint() is pa.RecordBatch
    with pytest.raises(ValueError, match="deterministic"):
        CODER.as_deterministic_coder("a step", "a batch cannot be a deterministic key")
