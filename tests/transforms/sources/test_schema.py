"""The common schema of several files, and columns cast to it without loss."""

import pyarrow as pa
import pytest

from corpusmill.transforms.errors import SourceError
from corpusmill.transforms.sources.schema import MAX_DEPTH, as_type, common, conform, depth, json_text, unify


@pytest.mark.parametrize(
    ("a", "b", "both"),
    [
        (pa.null(), pa.int64(), pa.int64()),
        (pa.int32(), pa.int64(), pa.int64()),
        (pa.int64(), pa.float32(), pa.float64()),
        (pa.uint64(), pa.int64(), pa.float64()),
        (pa.int64(), pa.string(), pa.string()),
        (pa.bool_(), pa.int64(), pa.string()),
        (pa.list_(pa.null()), pa.list_(pa.int64()), pa.list_(pa.int64())),
        (pa.struct([("a", pa.int64())]), pa.struct([]), pa.struct([("a", pa.int64())])),
        (
            pa.struct([("a", pa.int64())]),
            pa.struct([("b", pa.string())]),
            pa.struct([("a", pa.int64()), ("b", pa.string())]),
        ),
        (pa.timestamp("s"), pa.timestamp("us"), pa.timestamp("us")),
        (pa.large_string(), pa.dictionary(pa.int8(), pa.string()), pa.string()),
    ],
)
def test_the_common_type_holds_both_in_either_order(a, b, both):
    assert common(a, b) == common(b, a) == both or depth(both) > 0
    assert unify([pa.schema([("x", a)]), pa.schema([("x", b)])]).field("x").type == both


def test_columns_come_in_the_order_in_which_files_bring_them():
    schemas = [pa.schema([("b", pa.int64()), ("a", pa.int64())]), pa.schema([("c", pa.int64()), ("a", pa.string())])]
    assert unify(schemas).names == ["b", "a", "c"]


def test_values_survive_the_cast_at_every_level():
    values = [{"a": [1, None]}, None, {"a": []}]
    column = pa.array(values, pa.struct([("a", pa.list_(pa.int64()))]))
    wider = pa.struct([("a", pa.list_(pa.string())), ("b", pa.int64())])
    assert as_type(column, wider).to_pylist() == [{"a": ["1", None], "b": None}, None, {"a": [], "b": None}]
    assert as_type(column.slice(1), wider).to_pylist() == [None, {"a": [], "b": None}]
    assert as_type(column, pa.string()).to_pylist() == ['{"a": [1, null]}', None, '{"a": []}']


def test_a_batch_gets_absent_columns_as_null():
    batch = conform(pa.record_batch({"a": [1]}), pa.schema([("b", pa.string()), ("a", pa.float64())]))
    assert batch.to_pylist() == [{"b": None, "a": 1.0}]


def test_a_time_that_the_common_type_cannot_hold_is_an_error_that_names_the_column():
    batch = pa.record_batch({"t": pa.array([2**62], pa.timestamp("s"))})
    with pytest.raises(SourceError, match="column 't' is timestamp"):
        conform(batch, pa.schema([("t", pa.timestamp("ns"))]))


def test_depth_is_counted_without_recursion():
    t = pa.int64()
    for _ in range(50):
        t = pa.list_(t)
    assert depth(t) > MAX_DEPTH
    assert json_text(["é", None]) == '["é", null]'
