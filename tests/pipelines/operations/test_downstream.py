"""What was made from a dataset: checkpoints by the manifest that they name, datasets by the shards that they read."""

import hashlib
import json

import pytest

from corpusmill.pipelines.operations.downstream import DEPTH, trace

SHARD = "a" * 64
MANIFEST = {"number": 1, "files": [{"sha256": SHARD}]}


@pytest.fixture
def place(tmp_path):
    """A folder with a dataset `own`."""
    write(tmp_path / "own/snapshots/000001.json", MANIFEST)
    return tmp_path


def write(path, value):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(value if isinstance(value, str) else json.dumps(value))


def loaders_digest(manifest):
    """How a checkpoint names a manifest, whatever the order of its fields in the file."""
    return hashlib.sha256(json.dumps(manifest, sort_keys=True).encode()).hexdigest()


def found(place, folders=None, shards=(SHARD,)):
    digest = hashlib.sha256((place / "own/snapshots/000001.json").read_bytes()).hexdigest()
    return trace([str(f) for f in folders or [place]], str(place / "own"), {digest}, set(shards))


def test_checkpoints_and_snapshots_say_what_they_are_made_from(place):
    write(place / "run/checkpoints/step-1/state.json", {"digests": {"data": loaders_digest(MANIFEST)}})
    write(place / "run/checkpoints/step-2/state.json", {"digests": {"data": "b" * 64}})
    read = [{"digest": SHARD[:32]}, {"digest": "c" * 32}]
    write(place / "next/snapshots/000004.json", {"inputs": read})
    write(place / "next/snapshots/000005.json", {"inputs": read[1:]})
    assert found(place) == [
        {"kind": "snapshot", "path": f"{place}/next/snapshots/000004.json", "because": "was made from 1 of the shards"},
        {"kind": "checkpoint", "path": f"{place}/run/checkpoints/step-1", "because": "was trained on snapshot 1"},
    ]
    # named once, though it is searched twice; and only where it is searched
    assert len(found(place, [place, place / "run"])) == 2
    assert [f["kind"] for f in found(place, [place / "run"])] == ["checkpoint"]
    assert [f["kind"] for f in found(place, shards=())] == ["checkpoint"]


def test_damaged_files_and_files_of_others_are_nothing(place):
    for i, value in enumerate(("{", "[]", "1", '{"digests": 3}', '{"digests": {"data": null}}', "{}")):
        write(place / f"{i}/state.json", value)
        write(place / f"{i}/snapshots/000001.json", value)
    write(place / "x/snapshots/000001.json", {"inputs": [3, None, "x", {}]})
    write(place / "x/snapshots/notes.txt", {"inputs": [{"digest": SHARD[:32]}]})
    assert found(place) == []


def test_the_dataset_itself_hidden_folders_and_deep_ones_are_not_searched(place):
    state = {"digests": {"data": loaders_digest(MANIFEST)}}
    write(place / "own/model/state.json", state)
    write(place / ".cache/model/state.json", state)
    (place / "link").symlink_to(place / "own")
    inside = "/".join("d" * DEPTH)
    write(place / inside / "state.json", state)
    write(place / inside / "deeper/state.json", state)
    assert [f["path"] for f in found(place)] == [str(place / inside)]
    assert found(place, [place / "no such folder"]) == []
