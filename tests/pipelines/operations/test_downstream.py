"""What was made from a dataset, directly or through others, and also when its snapshots are gone."""

import json
import shutil
from pathlib import Path

import pytest

from corpusmill.pipelines.dataset.snapshot import Dataset
from corpusmill.pipelines.operations import lineage
from corpusmill.pipelines.operations.downstream import DEPTH, EXPORT, trace
from corpusmill.privacy.certification import data_digest
from corpusmill.transforms.manifest import manifest_bytes
from corpusmill.transforms.tokens.tokenizer import ORIGIN
from tests.command import invoke, invoke_json

SHARDS = {1: "a" * 64, 2: "b" * 64}


def manifest(*shards, inputs=(), steps=(), **more):
    """A manifest with these shards, made from inputs with these digests."""
    sizes = {"rows": 1, "bytes": 1, "size": 1}
    files = [{"path": f"data/{s[:4]}.parquet", "sha256": s, **sizes} for s in shards]
    read = [{"source": "s", "path": "p", "digest": d, "size": 1} for d in inputs]
    output = {"path": "out", "format": "parquet", "level": 3, "shard_bytes": 1}
    recipe = {"name": "n", "seed": 1, "sources": [{"name": "s", "path": "p"}], "steps": list(steps), "output": output}
    body = {"name": "n", "content": "c", "recipe_digest": "r", "work": "0" * 40, "documents": len(shards), "bytes": 1}
    funnel = {"rows_in": 1, "rows_out": 1, "quarantined": 0, "sources": [], "steps": []}
    body |= {
        "files": files,
        "tables": {},
        "funnel": funnel,
        "schema": [],
        "recipe": recipe,
        "inputs": read,
        "parent": None,
    }
    return body | more


def write(path, value):
    path.parent.mkdir(parents=True, exist_ok=True)
    if isinstance(value, bytes):
        path.write_bytes(value)
    else:
        path.write_text(value if isinstance(value, str) else json.dumps(value))


def snapshot(folder, number, value):
    write(folder / f"snapshots/{number:06}.json", manifest_bytes(value))


@pytest.fixture
def place(tmp_path):
    """A folder with a dataset `own` of two snapshots."""
    snapshot(tmp_path / "own", 1, manifest(SHARDS[1]))
    snapshot(tmp_path / "own", 2, manifest(*SHARDS.values()))
    return tmp_path


def found(place, holding=(1, 2), shards=(SHARDS[1],), folders=None):
    reader = Dataset(place / "own")
    known = lineage.of(reader)
    entries = trace([str(f) for f in folders or [place]], reader, known, set(holding), set(shards))
    return {e["path"].removeprefix(f"{place}/"): e for e in entries}


def trained_on(*shards):
    return {"digests": {"data": data_digest(manifest(*shards))}}


def test_checkpoints_and_snapshots_say_what_they_are_made_from(place):
    write(place / "run/checkpoints/step-1/state.json", trained_on(SHARDS[1]))
    write(place / "run/checkpoints/step-2/state.json", trained_on("c" * 64))
    snapshot(place / "next", 4, manifest("d" * 64, inputs=[SHARDS[1][:32]]))
    snapshot(place / "next", 5, manifest("e" * 64, inputs=[SHARDS[2][:32]]))
    entries = found(place)
    assert {p: (e["kind"], e["because"], e["snapshots"]) for p, e in entries.items()} == {
        "next/snapshots/000004.json": ("snapshot", "was made from shards of snapshot 1", [1, 2]),
        "run/checkpoints/step-1": ("checkpoint", "was trained on snapshot 1", [1]),
    }
    assert list(found(place, folders=[place / "run", place / "run"])) == ["run/checkpoints/step-1"]
    assert list(found(place, holding=[2], shards=())) == []


def test_what_is_made_from_them_is_followed_at_any_distance(place):
    snapshot(place / "next", 1, manifest("d" * 64, inputs=[SHARDS[1][:32]]))
    write(place / "runs/a/checkpoints/step-1/state.json", trained_on("d" * 64))
    write(place / "runs/b/checkpoints/step-1/state.json", {"train": {"tune": {"base": "runs/a"}}})
    write(place / "runs/c/checkpoints/step-1/state.json", {"train": {"objective": {"teacher": "../pass"}}})
    write(place / "runs/pass/teacher.json", {"data": data_digest(manifest("d" * 64))})
    write(place / "hf/provenance.json", {"trained_on": {"digest": data_digest(manifest("d" * 64))}})
    write(place / "exported/corpusmill-export.json", {"data": data_digest(manifest("d" * 64))})
    step = {"name": "distill", "transform": "distill@1", "fields": {"model": "runs/b", "kind": "sampled"}}
    snapshot(place / "distilled", 1, manifest("f" * 64, steps=[step]))
    write(place / "runs/d/checkpoints/step-9/state.json", trained_on("f" * 64))
    write(place / "runs/e/checkpoints/step-9/state.json", {"train": {"tune": {"base": "hf:hf"}}})
    write(place / "runs/none/checkpoints/step-9/state.json", {"train": {"tune": {"base": "runs/other"}}})
    assert list(found(place)) == [
        "distilled/snapshots/000001.json",
        "exported",
        "hf",
        "next/snapshots/000001.json",
        *(f"runs/{r}/checkpoints/step-{n}" for r, n in (("a", 1), ("b", 1), ("c", 1), ("d", 9), ("e", 9))),
        "runs/pass",
    ]


def test_a_run_that_names_the_dataset_by_its_path(place):
    """As a private run does, whose digest of the data is sealed, and one on documents."""
    for name, data in {
        "newest": {"train": "own"},
        "second": {"train": "own", "snapshot": 2},
        "files": {"train": str(place / "own/data/*.parquet")},
        "other": {"train": "other"},
        "unaffected": {"train": "own", "snapshot": 1},
    }.items():
        write(place / f"{name}/state.json", {"digests": {"data": f"sealed {name}"}, "train": {"data": data}})
    # where the digest tells which snapshot it was, the path says nothing more
    write(place / "known/state.json", trained_on(SHARDS[1]) | {"train": {"data": {"train": "own"}}})
    assert list(found(place, holding=[2], shards=[SHARDS[2]])) == ["files", "newest", "second"]


def test_tokenizers_and_their_copies(place):
    import hashlib

    digest = hashlib.sha256(b"{}").hexdigest()
    note = {"sha256": digest, "manifest": Dataset(place / "own").manifest(1)["digest"]}
    write(place / f"tok.json{ORIGIN}", note)
    write(place / "tok.json", "{}")
    write(place / "copy/tokenizer.json", "{}")
    write(place / "other/tokenizer.json", "{ }")
    assert {p: e["because"] for p, e in found(place).items()} == {
        "copy/tokenizer.json": f"is a copy of {place}/tok.json",
        "tok.json": "was trained on snapshot 1",
    }
    write(place / f"tok.json{ORIGIN}", {"sha256": digest, "recipe_output": str(place / "own")})
    assert "tok.json" in found(place)


def test_the_link_outlives_rewritten_and_removed_snapshots(place):
    write(place / "run/state.json", trained_on(SHARDS[1]))
    snapshot(place / "next", 1, manifest("d" * 64, inputs=[SHARDS[1][:32]]))
    lineage.record(Dataset(place / "own"))
    snapshot(place / "own", 1, manifest("c" * 64, purged={"was": ["9" * 64], "lists": 1}))  # as a takedown rewrites it
    snapshot(place / "own", 2, manifest("c" * 64, SHARDS[2]))
    assert list(found(place, holding=[1], shards=["c" * 64])) == ["next/snapshots/000001.json", "run"]
    lineage.record(Dataset(place / "own"))
    (place / "own/snapshots/000001.json").unlink()  # as `gc` does
    entries = found(place, holding=[], shards=[])
    assert list(entries) == ["next/snapshots/000001.json", "run"]
    assert "gone and may have held them" in entries["run"]["because"]
    # what was found once is named though it lies elsewhere now
    reader = Dataset(place / "own")
    known = lineage.of(reader)
    known.derived |= {e["path"]: e for e in entries.values()}
    lineage.record(reader, known)
    shutil.move(place / "run", place / ".elsewhere")
    assert list(found(place, holding=[], shards=[])) == ["next/snapshots/000001.json", "run"]


def test_snapshots_of_others_that_are_gone_are_followed(place):
    snapshot(place / "next", 1, manifest("d" * 64, inputs=[SHARDS[1][:32]]))
    lineage.record(Dataset(place / "next"))
    snapshot(place / "next", 2, manifest("e" * 64))
    (place / "next/snapshots/000001.json").unlink()
    write(place / "run/state.json", trained_on("d" * 64))
    assert list(found(place)) == ["next/snapshots/000001.json", "run"]


def test_damaged_files_and_files_of_others_are_nothing(place):
    values = ("{", "[]", "1", '{"digests": 3}', '{"digests": {"data": null}}', "{}", '{"trained_on": 3}', "[" * 5000)
    for i, value in enumerate(values):
        for name in ("state.json", "provenance.json", "teacher.json", EXPORT, f"x{ORIGIN}", "snapshots/000001.json"):
            write(place / f"{i}/{name}", value)
    write(place / "x/snapshots/000001.json", {"inputs": [3, None, "x", {}], "files": [3, {}], "recipe": {"steps": 3}})
    write(place / "x/snapshots/notes.txt", {"inputs": [{"digest": SHARDS[1][:32]}]})
    assert found(place) == {}


def test_the_dataset_itself_hidden_folders_and_deep_ones_are_not_searched(place):
    state = trained_on(SHARDS[1])
    write(place / "own/model/state.json", state)
    write(place / ".cache/model/state.json", state)
    (place / "link").symlink_to(place / "own")
    inside = "/".join("d" * DEPTH)
    write(place / inside / "state.json", state)
    write(place / inside / "deeper/state.json", state)
    assert list(found(place)) == [inside]
    assert found(place, folders=[place / "no such folder"]) == {}


WORDS = "alpha beta gamma delta river stone window garden letter number table paper engine winter summer market".split()
TRAIN = """
output: {out}
data: {{train: {data}, tokenizer: tok.json}}
model: {{kind: decoder, layers: 1, width: 32, heads: 2}}
objective: {{name: causal}}
steps: 2
batch: {{rows: 4, micro_rows: 4}}
"""


def recipe(folder: Path, name: str, *steps: object, path: str = "raw/*.jsonl", user: str = ", user: author") -> Path:
    text = f"name: {name}\nsources: [{{name: s, path: {path!r}, columns: {{id: id{user}}}}}]\n"
    file = folder / f"{name}.yaml"
    file.write_text(f"{text}steps: {json.dumps(steps)}\noutput: {{path: {name}, format: arrow}}\n")
    return file


def done(*args, codes=(0,)):
    result = invoke(*args)
    assert result.exit_code in codes, result.output
    return result


def test_with_real_models_tokenizers_and_exports(tmp_path, monkeypatch):
    """A packed dataset, models of it and of a dataset downstream, a distilled dataset, exports; two takedowns and gc between."""
    pytest.importorskip("torch")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "raw").mkdir()
    rows = [
        {"id": f"d{i}", "author": f"u{i % 5}", "text": " ".join(WORDS[(i * k) % len(WORDS)] for k in range(3, 40))}
        for i in range(80)
    ]
    (tmp_path / "raw/a.jsonl").write_text("".join(json.dumps(r) + "\n" for r in rows))
    done("run", recipe(tmp_path, "a", "clean"), "--workers", 1)
    done("tokenizer", "a", "--vocab-size", 400, "--out", "tok.json")
    pack = {"pack": {"tokenizer": "tok.json", "length": 32}}
    done("run", recipe(tmp_path, "b", pack, path="a/data/*.arrow", user=""), "--workers", 1)
    for out, data in (("model-b", "b"),):
        (tmp_path / f"{out}.yaml").write_text(TRAIN.format(out=out, data=data))
        done("train", f"{out}.yaml")
    done("export-model", "model-b", "hf")
    done("export", "b", "bin", "--to", "nanogpt")
    distil = {"distill": {"model": "model-b", "tokenizer": "tok.json", "length": 32}}
    done("run", recipe(tmp_path, "q", distil), "--workers", 1)

    everything = ["b/snapshots/000001.json", "bin", "hf", "model-b/checkpoints/", "q/snapshots/000001.json", "tok.json"]

    def named(report):
        paths = [d["path"].removeprefix(f"{tmp_path}/") for d in report["downstream"]]
        return [p if "checkpoints" not in p else p[: p.index("checkpoints/") + 12] for p in paths]

    first = json.loads(done("forget", "a", "--user", "u1", "--purge", "--workers", 1, "--json").stdout)
    assert named(first) == everything
    second = json.loads(done("forget", "a", "--user", "u2", "--purge", "--workers", 1, "--json").stdout)
    assert named(second) == everything
    (tmp_path / "raw/b.jsonl").write_text(json.dumps({"id": "new", "author": "u9", "text": "a new text"}) + "\n")
    done("run", tmp_path / "a.yaml", "--workers", 1)
    done("gc", "a", "--keep", 1)
    third = invoke_json("forget", "a", "--user", "u3", "--workers", 1)
    assert named(third) == everything
