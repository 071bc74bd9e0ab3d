import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from corpusmill.transforms.errors import BadFileError, RecipeError
from corpusmill.transforms.filters.kept_elsewhere import KeptElsewhere, add_to_list
from corpusmill.transforms.random import Keyed


def found(**ids):
    return pa.table({"id": pa.array(list(ids), pa.string()), "kept_by": pa.array(list(ids.values()), pa.string())})


def reasons(step, ids):
    verdict = step.judge(pa.record_batch({"id": pa.array(ids, pa.string())}), Keyed())
    return [None if c < 0 else verdict.reasons[c] for c in verdict.codes]


def test_the_reason_names_who_keeps_the_document(tmp_path):
    path = str(tmp_path / "kept.parquet")
    assert add_to_list(path, found(a="south", b="north", 数=None)) == 3
    step = KeptElsewhere(path=path)
    assert reasons(step, ["x", "b", "数", "a"]) == [None, "kept-by-north", "kept-elsewhere", "kept-by-south"]
    assert reasons(step, []) == []
    assert reasons(step, ["b"]) == ["kept-by-north"]


def test_a_later_list_is_added_and_changes_the_fingerprint(tmp_path):
    path = str(tmp_path / "new" / "kept.parquet")
    add_to_list(path, found(b="north"))
    first = KeptElsewhere(path=path).fingerprint()
    assert add_to_list(path, found(c="north", b="south")) == 2
    assert pq.read_table(path).to_pylist() == [{"id": "b", "kept_by": "north"}, {"id": "c", "kept_by": "north"}]
    assert KeptElsewhere(path=path).fingerprint() != first
    before = pq.read_table(path)
    assert add_to_list(path, found(b="south")) == 2
    assert pq.read_table(path).equals(before)
    assert reasons(KeptElsewhere(path=path), ["c"]) == ["kept-by-north"]


def test_an_empty_list_drops_nothing(tmp_path):
    path = str(tmp_path / "kept.parquet")
    assert add_to_list(path, found()) == 0
    assert reasons(KeptElsewhere(path=path), ["a"]) == [None]


def test_what_is_no_list_is_told(tmp_path):
    with pytest.raises(RecipeError, match="cannot be read"):
        KeptElsewhere(path=str(tmp_path / "none.parquet")).fingerprint()
    pq.write_table(pa.table({"id": ["a"]}), tmp_path / "a.parquet")
    with pytest.raises(BadFileError, match="is no list of documents"):
        reasons(KeptElsewhere(path=str(tmp_path / "a.parquet")), ["a"])
