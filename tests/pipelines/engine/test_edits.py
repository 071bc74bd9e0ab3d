"""Edits are counted for every step that changes texts, the same for any sharding."""

import pyarrow as pa
import pytest

from corpusmill.pipelines.engine import edits
from tests.command import invoke, invoke_json
from tests.corpora import write_recipe, write_shards

LONG = "The same paragraph stands in many documents and is longer than a line of a few words is. "


def docs():
    made = [
        {"id": f"m{i}", "text": f"Write to ann{i}@example.org today.\n\n{LONG}\n\nNumber {i} ends here."}
        for i in range(9)
    ]
    return [*made, *({"id": f"p{i}", "text": f"Plain text {i}, which no step changes."} for i in range(4))]


@pytest.mark.parametrize("shards", [1, 3])
def test_maps_filters_groups_and_noise_count_their_edits(tmp_path, monkeypatch, shards):
    monkeypatch.chdir(tmp_path)
    write_shards(tmp_path / "raw", [d | {"year": None} for d in docs()], shards)
    steps = ["redact", {"paragraphs": {"min_chars": 20}}, "exact", {"noise": {"delete": 0.2}}]
    recipe = write_recipe(tmp_path, steps)
    done = invoke("run", recipe, "--workers", 1)
    assert done.exit_code == 0, done.output
    steps = {s["name"]: s for s in invoke_json("show", "out")["funnel"]["steps"]}
    assert steps["redact"]["details"]["edited"] == 9
    assert steps["redact"]["details"]["bytes_cut"] == sum(len(f"ann{i}@example.org") - len("<EMAIL>") for i in range(9))
    assert steps["paragraphs"]["details"]["edited"] == 8  # all but the first keep it
    assert "details" not in steps["exact"]
    assert steps["noise"]["details"]["edits"] > 0
    assert "9 edited, -" in done.output
    assert "edits in copies" in done.output


def test_documents_that_are_dropped_or_not_changed_do_not_count():
    details = {}
    before = pa.array(["a", None, "long text"])
    edits.add(details, before, before)
    assert details == {"edited": 0, "bytes_cut": 0, "bytes_added": 0}
    edits.add(details, before, pa.array(["a!", None, "text"]))
    assert details == {"edited": 2, "bytes_cut": 5, "bytes_added": 1}
    edits.add(details, pa.array([b"ab"]), pa.array(["ab"]))
    assert details["edited"] == 2


def test_a_sum_with_a_part_missing_is_not_shown():
    known = {"edited": 1, "bytes_cut": 1, "bytes_added": 0}
    counted, older = {"rows_in": 3, "details": known}, {"rows_in": 3, "details": {}}
    assert edits.agreed(known, [counted, older], "map") == {}
    assert edits.agreed(known, [counted, older | {"rows_in": 0}], "group") == known  # no row, nothing to count
    assert edits.agreed(known | {"edited": 0}, [counted], "group") == {}
