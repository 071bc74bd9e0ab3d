import json

import pytest

from corpusmill.pipelines.dataset import events
from corpusmill.pipelines.dataset.snapshot import Dataset
from corpusmill.pipelines.recipe.model import load
from corpusmill.pipelines.run import run
from tests.corpora import rows, write_recipe, write_shards
from tests.faults.serial import serially


@pytest.fixture
def out(tmp_path):
    write_shards(tmp_path / "raw", rows(9), 1)
    with serially():
        run(load(write_recipe(tmp_path, ["exact"])), workers=1)
    return tmp_path / "out"


def test_an_event_says_what_its_manifest_says(out):
    (event,) = events.read(str(out))
    manifest = Dataset(out).manifest()
    facets = event["outputs"][0]["facets"]
    assert facets["version"] == {"datasetVersion": "1"}
    assert facets["outputStatistics"]["rowCount"] == manifest["documents"]
    assert event["eventTime"] == manifest["created"]
    assert events.problems(str(out)) == []
    assert events.event_of(manifest)["run"]["runId"] == event["run"]["runId"]


def test_every_flipped_bit_of_events_and_history_is_found(out):
    for name in (events.FILE, "history.jsonl"):
        path = out / name
        data = path.read_bytes().rstrip(b"\n")
        silent = []
        for place in range(0, 8 * len(data), 3):
            flipped = bytearray(data)
            flipped[place // 8] ^= 1 << place % 8
            path.write_bytes(bytes(flipped) + b"\n")
            if not [p for p in Dataset(out).verify() if p.startswith(name)]:
                silent.append(place)
        path.write_bytes(data + b"\n")
        assert silent == []
    assert Dataset(out).verify() == []


def test_a_damaged_line_is_left_out_and_named(out):
    path = out / events.FILE
    path.write_bytes(path.read_bytes() + b'{"eventType": "COMP\n[1]\n')
    assert len(events.read(str(out))) == 1
    problems = Dataset(out).verify()
    assert [p.split(":")[0] for p in problems] == ["events.jsonl, line 2", "events.jsonl, line 3"]


def test_events_of_older_versions_have_no_checksum_and_are_sound(out):
    path = out / events.FILE
    event = json.loads(path.read_bytes())
    del event["run"]["facets"]
    path.write_text(json.dumps(event) + "\n")
    assert Dataset(out).verify() == []
