"""The suppression list: what is on it is found, what is not is not; it cannot be shortened or bent."""

import json

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from corpusmill.pipelines.dataset import suppression
from corpusmill.transforms.errors import DatasetError
from corpusmill.transforms.sources.bad import BadRows
from corpusmill.transforms.sources.spec import SourceSpec


@given(st.lists(st.text(max_size=8), max_size=20), st.lists(st.text(max_size=8), min_size=1, max_size=20))
def test_the_mask_is_membership(tmp_path_factory, listed, asked):
    folder = str(tmp_path_factory.mktemp("list"))
    found = suppression.append(folder, {"id": listed})
    values = pa.array([*asked, None], pa.string())
    assert found.mask("id", values).tolist() == [v in listed for v in asked] + [False]
    assert not found.mask("user", values).any()


def test_the_list_grows_and_is_not_doubled(tmp_path):
    folder = str(tmp_path)
    one = suppression.append(folder, {"id": ["a", "b"], "user": ["u"]})
    assert suppression.append(folder, {"id": ["b"]}).digest == one.digest
    two = suppression.append(folder, {"id": ["b", "c"], "source": ["s"]})
    assert (one.number, two.number) == (1, 2)
    assert two.salt == one.salt
    assert [two.count(k) for k in suppression.KINDS] == [3, 1, 1, 0, 0]
    assert suppression.load(folder, 1).digest == one.digest
    raw = b"".join(p.read_bytes() for p in (tmp_path / "suppressed").iterdir())
    assert b'"a"' not in raw


def test_two_datasets_have_two_salts(tmp_path):
    a, b = (suppression.append(str(tmp_path / n), {"id": ["x"]}) for n in "ab")
    assert a.seal("id", "x") != b.seal("id", "x")
    assert a.seal("id", "x") != a.seal("user", "x")


@pytest.mark.parametrize("harm", ["flip", "cut", "remove"])
def test_a_damaged_list_stops_everything(tmp_path, harm):
    suppression.append(str(tmp_path), {"id": ["a", "b"]})
    suppression.append(str(tmp_path), {"id": ["c"]})
    path = tmp_path / "suppressed" / "000001.json"
    data = json.loads(path.read_text())
    if harm == "flip":
        data["entries"] = data["entries"][:1]
        path.write_text(json.dumps(data))
    elif harm == "cut":
        path.write_bytes(path.read_bytes()[:-20])
    else:
        path.unlink()
    suppression._load.cache_clear()
    with pytest.raises(DatasetError, match="would come back"):
        suppression.load(str(tmp_path))


def test_a_list_that_is_gone_stops_the_next_run(tmp_path):
    import shutil

    from corpusmill.pipelines.operations.forget import Takedown, forget
    from corpusmill.pipelines.recipe.model import load
    from corpusmill.pipelines.run import run
    from tests.corpora import rows, write_recipe, write_shards

    write_shards(tmp_path / "raw", rows(10), 1)
    recipe = load(write_recipe(tmp_path, []))
    run(recipe, workers=1)
    forget(str(tmp_path / "out"), Takedown(ids=("0-00002",)), workers=1)
    shutil.rmtree(tmp_path / "out" / "suppressed")
    with pytest.raises(DatasetError, match="restore the folder"):
        run(recipe, workers=1)


def test_the_gate_counts_and_hides(tmp_path):
    spec = SourceSpec(name="s", path="x", columns={"id": "id", "user": "who"})
    listed = suppression.append(str(tmp_path), {"id": ["b"], "user": ["eve"]})
    index = str(tmp_path / "a.ids.batches")
    gate = suppression.Gate(listed, spec, index)
    bad = BadRows("s")
    for raw in ('{"id": "b", "text": nu', '{"id": "x", "who": "eve"}', '{"id": "fine"}', "no json at all"):
        bad.saw(1)
        bad.add("f", 1, "not-json", "detail", raw)
    batch = pa.record_batch({"id": ["a", "b", "c"], "text": ["one", "four", "five"], "user": [None, "x", "eve"]})
    with gate.writer:
        (out,) = gate.pass_on([batch])
        table = gate.quarantined(bad)
    assert out.column("id").to_pylist() == ["a"]
    assert (gate.dropped, gate.bytes) == (2, 8)
    assert gate.mask.tolist() == [False, True, True, True, True, False, False]
    assert table.column("raw").to_pylist() == ["", "", '{"id": "fine"}', "no json at all"]
    assert suppression.index_mask(listed, index, "s").tolist() == gate.mask.tolist()
    # a list that is longer concerns more rows, and what is hidden already stays so
    longer = suppression.append(str(tmp_path), {"id": ["fine"]})
    assert suppression.index_mask(longer, index, "s").tolist() == [False, True, True, True, True, True, False]
    assert suppression.index_mask(suppression.append(str(tmp_path), {"source": ["s"]}), index, "s").all()


def test_content_follows_the_rows_and_not_the_salt():
    none, one = np.zeros(9, np.bool_), np.arange(9) == 3
    assert suppression.content_of("base", none) == "base"
    assert suppression.content_of("base", one) == suppression.content_of("base", one.copy()) != "base"
    assert suppression.content_of("base", one) != suppression.content_of("base", one[:8])
