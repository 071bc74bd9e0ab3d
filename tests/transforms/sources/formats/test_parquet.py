"""Parquet files whose footer says other numbers of rows than their pages hold."""

import re

import pyarrow as pa
import pytest

from corpusmill.transforms.errors import BadFileError
from tests.transforms.sources.made import read_source, write

FIVE_HUNDRED, FEWER = b"\xe8\x07", b"\x80\x07"
"""500 and 448 as Thrift's zigzag integers."""


def test_no_row_is_lost_when_a_number_of_the_footer_changes(tmp_path):
    path = tmp_path / "a.parquet"
    table = pa.table({"text": [f"text {i}" for i in range(500)], "lists": [[i] * (i % 3) for i in range(500)]})
    write(path, table, write_page_checksum=True)
    good = path.read_bytes()
    footer = len(good) - 8 - int.from_bytes(good[-8:-4], "little")
    places = [m.start() for m in re.finditer(re.escape(FIVE_HUNDRED), good) if m.start() >= footer]
    assert len(places) >= 3  # of a column, of the row group and of the file
    refused = 0
    for place in places:
        path.write_bytes(good[:place] + FEWER + good[place + 2 :])
        try:
            assert read_source(tmp_path, path=path.name)[0].num_rows == 500, place
        except BadFileError:
            refused += 1
            _, bad = read_source(tmp_path, path=path.name, on_bad_file="skip", max_bad_fraction=1)
            assert bad.by_reason() == {"bad-file": 1}
    assert refused >= 2


@pytest.mark.parametrize("rows", [0, 1, 3])
def test_nulls_lists_and_structs_have_the_rows_that_the_footer_says(tmp_path, rows):
    row = {"text": "a", "n": None, "l": [1, 2, 3], "s": {"x": None, "y": [{"z": 1}]}}
    table = pa.Table.from_pylist([row] * rows, pa.Table.from_pylist([row]).schema)
    write(tmp_path / "a.parquet", table)
    assert read_source(tmp_path, path="a.parquet")[0].num_rows == rows
