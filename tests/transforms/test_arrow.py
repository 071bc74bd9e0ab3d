import datetime

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from corpusmill.transforms.arrow import logical_digest, replace_rows, set_column, string_array, string_buffers
from corpusmill.transforms.errors import SourceError
from corpusmill.transforms.hashing import hash64


def test_buffers_of_slices_empty_and_null_arrays():
    whole = pa.array(["ab", "", None, "中文"])
    offsets, data = string_buffers(whole.slice(1))
    assert bytes(data[offsets[2] : offsets[3]]).decode() == "中文"
    assert offsets[0] == offsets[1] == offsets[2]
    for empty in (pa.array([], pa.string()), pa.array(["", ""]), pa.array([None], pa.string()), whole.slice(4)):
        offsets, data = string_buffers(empty)
        assert len(offsets) == len(empty) + 1
        assert data.dtype.name == "uint8"
    assert string_buffers(pa.array(["x"], pa.large_string()))[0].tolist() == [0, 1]
    offsets, data = string_buffers(whole)
    assert string_array(offsets, data).to_pylist() == ["ab", "", "", "中文"]


def test_an_offsets_buffer_may_be_longer_than_its_offsets():
    buffers = [None, pa.py_buffer(np.array([0, 1, 3], np.int32).tobytes() + b"x"), pa.py_buffer(b"abc")]
    offsets, data = string_buffers(pa.Array.from_buffers(pa.string(), 2, buffers))
    assert (offsets.tolist(), bytes(data)) == ([0, 1, 3], b"abc")


@pytest.mark.parametrize("offset", [0, 2])
@pytest.mark.parametrize(
    "values", [["a view within twelve", "", "zz"], ["short", "a longer one than twelve bytes", None]]
)
def test_buffers_of_text_in_other_types_are_those_of_strings(values, offset):
    plain = pa.array(["x", "before"] + values, pa.string())
    want = hash64(plain.slice(offset))
    for kind in (pa.large_string(), pa.string_view(), pa.binary(), pa.large_binary(), pa.binary_view()):
        assert (hash64(plain.cast(kind).slice(offset)) == want).all(), kind
    for coded in (plain.dictionary_encode(), plain.cast(pa.large_string()).dictionary_encode()):
        assert (hash64(coded.slice(offset)) == want).all()


def test_buffers_of_what_is_no_text_are_refused():
    assert string_buffers(pa.nulls(2))[0].tolist() == [0, 0, 0]
    for array in (pa.array([1, 2]), pa.array([["a"]]), pa.array([1, 1]).dictionary_encode(), pa.array([True])):
        with pytest.raises(SourceError, match="where text is needed"):
            string_buffers(array)


def test_set_column_replaces_in_place_or_appends():
    batch = pa.record_batch({"a": [1], "b": [2]})
    assert set_column(batch, "a", [3]).to_pydict() == {"a": [3], "b": [2]}
    assert set_column(batch, "c", [3]).schema.names == ["a", "b", "c"]


def test_logical_digest_ignores_layout_and_sees_values():
    day = datetime.date(2026, 1, 1)
    table = pa.table(
        {
            "s": ["a", None, "ccc"],
            "n": [1, 2, None],
            "l": [[1], None, [2, 3]],
            "d": [day, day, None],
            "b": [True, None, False],
        }
    )
    same = pa.concat_tables([table.slice(0, 1), table.slice(1)])
    sliced = pa.concat_tables([table, table]).slice(3)
    assert logical_digest(table) == logical_digest(same) == logical_digest(sliced)
    assert logical_digest(table) != logical_digest(table.take(pa.array([1, 0, 2])))
    assert logical_digest(pa.table({"s": ["a", "b"]})) != logical_digest(pa.table({"s": ["ab", ""]}))
    assert logical_digest(pa.table({"s": ["a", None]})) != logical_digest(pa.table({"s": ["a", ""]}))
    assert logical_digest(table.slice(0, 0)) != logical_digest(table.slice(0, 0).drop_columns(["s"]))


@given(
    st.lists(st.tuples(st.text(max_size=5), st.one_of(st.none(), st.text(max_size=5))), max_size=12), st.integers(0, 3)
)
def test_replaced_rows_are_those_of_arrows_own_kernel(rows, offset):
    """None here: the row stays."""
    texts = pa.array(["before"] * offset + [t for t, _ in rows], pa.string()).slice(offset)
    mask = np.array([new is not None for _, new in rows], np.bool_)
    values = [new for _, new in rows if new is not None]
    got = replace_rows(texts, mask, values)
    got.validate(full=True)
    assert got.to_pylist() == [old if new is None else new for old, new in rows]


def test_nulls_stay_where_rows_are_replaced():
    texts = pa.array(["a", None, "c"])
    assert replace_rows(texts, np.array([True, False, False]), ["x"]).to_pylist() == ["x", None, "c"]
    assert replace_rows(texts, np.array([True, False, False]), [None]).to_pylist() == [None, None, "c"]
