import pyarrow as pa
from not_loud import NotLoud

TEXTS = ["A quiet text.", "BUY THIS NOW", "", "静かな文書"]


def test_texts_in_capitals_are_dropped():
    assert NotLoud()(TEXTS) == ["A quiet text.", "", "静かな文書"]
    assert NotLoud(max_share=1.0)(TEXTS) == TEXTS


def test_other_columns_stay_and_a_table_may_be_empty():
    table = pa.table({"text": TEXTS, "year": [1, 2, 3, 4]})
    assert NotLoud()(table)["year"].to_pylist() == [1, 3, 4]
    assert NotLoud()(table.slice(0, 0)).num_rows == 0
