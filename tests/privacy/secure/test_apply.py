"""A joint deduplication becomes part of each owner's own corpus: by the list, in this run and in later ones."""

import json
import threading

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from click.testing import CliRunner

from corpusmill.pipelines.cli import cli
from corpusmill.pipelines.dataset.snapshot import Dataset
from corpusmill.transforms.shards import read_shard
from tests.privacy.secure.parties import Parties

pytest.importorskip("rbcl", reason="set intersection needs rbcl")

TEXTS = {
    "north": ["one two three four five six seven", "数据去重对语言模型很重要", "only in the north of the land"],
    "south": ["One two three, four five six seven!", "only in the south of the land", "数据去重对语言模型很重要"],
}


def recipe(folder, owner, steps):
    path = folder / owner / "corpus.yaml"
    path.parent.mkdir(exist_ok=True)
    made = {
        "name": owner,
        "sources": [{"name": "s", "path": "raw/*.parquet", "columns": {"id": "id"}}],
        "steps": steps,
        "output": {"path": "out"},
    }
    path.write_text(yaml.safe_dump(made, allow_unicode=True))
    return path


def documents(folder):
    dataset = Dataset(str(folder / "out"))
    return sorted(i for f in dataset.files() for b in read_shard(f, ["id"]) for i in b.column("id").to_pylist())


def command(*argv):
    done = CliRunner().invoke(cli, [str(a) for a in argv])
    return done.exit_code, done.output


def test_documents_that_another_owner_keeps_leave_the_corpus_and_stay_out(tmp_path):
    keep = {"kept-elsewhere": {"path": "kept.parquet"}}
    for owner, texts in TEXTS.items():
        path = recipe(tmp_path, owner, [{"clean": {}}])
        (path.parent / "raw").mkdir()
        ids = [f"{owner}{i}" for i in range(len(texts))]
        pq.write_table(pa.table({"id": ids, "text": texts}), path.parent / "raw" / "a.parquet")
        assert command("run", path)[0] == 0
    owners = tuple(TEXTS)
    parties = Parties(
        tmp_path / "p",
        {"job": "d", "kind": "dedup", "dedup": {"bands": 4, "rows": 4, "confirm": False}},
        owners,
        timeout=120,
        own={o: {"data": str(tmp_path / o / "out")} for o in owners},
    )
    job = parties.folder / "job.yaml"
    code, told = command("secure", "dedup", job, "--config", parties.folder / "south.yaml", "--apply", path)
    assert code == 78
    assert "has no step that drops what others keep" in told
    for owner in owners:
        path = recipe(tmp_path, owner, [{"clean": {}}, keep])
    found = {}

    def take_part(name):
        more = ["--apply", str(tmp_path / name / "corpus.yaml")] if name in owners else []
        argv = ["secure", "dedup", str(job), "--config", str(parties.folder / f"{name}.yaml"), "--json", *more]
        from corpusmill.pipelines.commands.secure import _take_part

        found[name] = _take_part(argv[2], argv[4], None, "dedup", more[1] if more else None)

    threads = [threading.Thread(target=take_part, args=(n,)) for n in parties.names]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert found["north"]["applied"]["dropped"] == {"kept-elsewhere": {}}
    assert found["south"]["applied"]["dropped"] == {"kept-elsewhere": {"kept-by-north": 2}}
    assert documents(tmp_path / "north") == ["north0", "north1", "north2"]
    assert documents(tmp_path / "south") == ["south1"]
    # done again, it is found done
    code, told = command("secure", "dedup", job, "--config", parties.folder / "south.yaml", "--apply", path, "--json")
    assert code == 0
    assert json.loads(told)["applied"]["committed"] is False
    # a later refresh brings new documents and not those
    south = tmp_path / "south"
    pq.write_table(pa.table({"id": ["new"], "text": ["a new one of the south"]}), south / "raw" / "b.parquet")
    assert command("run", south / "corpus.yaml")[0] == 0
    assert documents(south) == ["new", "south1"]
    step = Dataset(str(south / "out")).manifest()["funnel"]["steps"][-1]
    assert step["dropped"] == {"kept-by-north": 2}
    code, told = command("why", south / "out", "south0")
    assert "kept-by-north" in told
