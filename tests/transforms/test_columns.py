"""Columns that steps adopt by name: their values as they are, or one error that names field, column and document."""

import pyarrow as pa
import pytest

from corpusmill.transforms.columns import labels, numbers, texts, token_lists, whole_numbers
from corpusmill.transforms.errors import RecipeError

BATCH = pa.record_batch(
    {
        "id": ["a", "b", "c"],
        "text": ["x", "y", None],
        "whole": pa.array([1, None, 3], pa.int32()),
        "floats": [1.0, None, -3.0],
        "fractions": [1.0, 1.5, None],
        "huge": pa.array([1, 2, 2**64 - 1], pa.uint64()),
        "flag": [True, False, None],
        "day": pa.array([0, 1, None], pa.date32()),
        "bytes": [b"\xff", b"", None],
        "lists": [[1, 2], [], None],
        "fixed": pa.array([[1, 2], [3, 4], None], pa.list_(pa.int32(), 2)),
        "holes": [[1], [2, None], []],
        "coded": pa.array(["p", "q", None]).dictionary_encode(),
        "nothing": pa.nulls(3),
    }
)


@pytest.mark.parametrize(
    ("read", "column", "values"),
    [
        (labels, "text", ["x", "y", None]),
        (labels, "coded", ["p", "q", None]),
        (labels, "whole", ["1", None, "3"]),
        (labels, "floats", ["1", None, "-3"]),
        (labels, "huge", ["1", "2", "18446744073709551615"]),
        (labels, "flag", ["true", "false", None]),
        (labels, "day", ["1970-01-01", "1970-01-02", None]),
        (labels, "nothing", [None] * 3),
        (whole_numbers, "whole", [1, None, 3]),
        (whole_numbers, "floats", [1, None, -3]),
        (whole_numbers, "nothing", [None] * 3),
        (numbers, "fractions", [1.0, 1.5, None]),
        (numbers, "whole", [1.0, None, 3.0]),
        (texts, "coded", ["p", "q", None]),
        (token_lists, "lists", [[1, 2], [], []]),
        (token_lists, "fixed", [[1, 2], [3, 4], []]),
    ],
)
def test_values_are_read_as_they_are(read, column, values):
    assert read(BATCH, column, "step.field").to_pylist() == values
    assert read(BATCH.slice(1), column, "step.field").to_pylist() == values[1:]
    assert read(BATCH.slice(0, 0), column, "step.field").to_pylist() == []


@pytest.mark.parametrize(
    ("read", "column", "said"),
    [
        (labels, "absent", "documents have no column `absent`; they have id, text"),
        (labels, "fractions", "the column `fractions` holds 1.5 in document b; give whole numbers"),
        (labels, "bytes", "the column `bytes` holds binary"),
        (labels, "lists", "the column `lists` holds list<item: int64>"),
        (whole_numbers, "fractions", "holds 1.5 in document b"),
        (whole_numbers, "huge", "holds 18446744073709551615 in document c"),
        (whole_numbers, "text", "holds string; give whole numbers"),
        (whole_numbers, "flag", "holds bool; give whole numbers"),
        (numbers, "text", "holds string; name a column of numbers"),
        (texts, "whole", "holds int32; name a column of text"),
        (token_lists, "floats", "holds double; token ids are lists of whole numbers"),
        (token_lists, "holes", "a token id of document b is null"),
    ],
)
def test_anything_else_is_one_error_that_names_field_and_column(read, column, said):
    with pytest.raises(RecipeError) as error:
        read(BATCH, column, "step.field")
    assert str(error.value).startswith("step.field: ")
    assert said in str(error.value)
