"""Three canaries, in a text, in metadata and in a generated child: after a purge none is left in any byte below the dataset,
raw or decoded, and none returns."""

import gzip
import json
import lzma
import zlib
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from corpusmill.pipelines.dataset.snapshot import Dataset
from corpusmill.pipelines.operations.forget import Takedown, forget
from corpusmill.pipelines.operations.gc import collect
from corpusmill.pipelines.operations.rollback import rollback
from corpusmill.pipelines.recipe.model import load
from corpusmill.pipelines.run import run
from corpusmill.transforms.errors import CorpusmillError
from corpusmill.transforms.generate.cache import REQUESTS, RequestCache
from tests.corpora import rows, write_recipe
from tests.faults.living import folder
from tests.faults.serial import serially

CANARIES = {"text": "quetzalword", "metadata": "zanzibarnote", "child": "xylophonechild"}
IDS = {what: f"id-of-{word}" for what, word in CANARIES.items()}
USER = "user-of-canaries"
STEPS = [
    {"length": {"min_chars": 5}},
    {"exact": {}},
    {"minhash": {"threshold": 0.6}},
    {"noise": {"delete": 0.02, "copies": 2}},
]


def plant(base: Path) -> Path:
    """Documents with canaries among others, near-duplicates of them, and bad rows; the recipe."""
    docs = [
        {"id": d["id"], "text": d["text"], "author": f"u{i % 5}", "about": {"n": ["x"]}} for i, d in enumerate(rows(40))
    ]
    long = rows(1, seed=9)[0]["text"]
    for i, (what, word) in enumerate(CANARIES.items()):
        text = f"{rows(1, seed=50 + i)[0]['text']} " + (f"{word} " * 5 if what != "metadata" else "")
        docs.append(
            {"id": IDS[what], "text": text, "author": USER, "about": {"n": [word if what == "metadata" else "x"]}}
        )
    # dropped as duplicates of each other, cut by a filter, and quarantined
    docs += [{"id": f"{IDS['text']}-{i}", "text": f"{long} {CANARIES['text']}", "author": USER} for i in range(2)]
    docs.append({"id": f"{IDS['text']}-2", "text": "", "author": USER, "about": {"n": [CANARIES["metadata"]]}})
    docs.append({"id": f"{IDS['text']}-3", "text": None, "author": USER, "about": {"n": [CANARIES["metadata"]]}})
    for s in range(3):
        path = base / "raw" / f"part-{s}.jsonl.gz"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(gzip.compress("".join(json.dumps(d) + "\n" for d in docs[s::3]).encode(), mtime=0))
    return base


def recipe(base: Path, form: str) -> Path:
    sources = [{"name": "raw", "path": "raw/*", "columns": {"id": "id", "user": "author"}, "max_bad_fraction": 0.5}]
    output = {"path": "out", "shard_bytes": 1024, "format": form}
    return write_recipe(base, STEPS, sources=sources, output=output)


def left(out: Path) -> list[str]:
    """Files that hold a canary, its id or its user: as they are, as what they decode to, or in a stream inside of them."""
    words = [w.encode() for w in (*CANARIES.values(), *IDS.values(), USER)]
    found = []
    for path in sorted(p for p in out.rglob("*") if p.is_file()):
        data = path.read_bytes()
        if path.suffix == ".parquet":
            file = pq.ParquetFile(path)
            data += repr((file.read().to_pylist(), file.metadata.metadata)).encode() + repr(_statistics(file)).encode()
        elif path.suffix == ".arrow":
            table = pa.ipc.open_file(path).read_all()
            data += repr((table.to_pylist(), table.schema.metadata)).encode()
        for decode in (gzip.decompress, zlib.decompress, lzma.decompress):
            try:
                data += decode(path.read_bytes())
            except (OSError, zlib.error, lzma.LZMAError, EOFError):
                continue
        if any(w in data or w[::-1] in data or w.decode().encode("utf-16-le") in data for w in words):
            found.append(path.relative_to(out).as_posix())
        if any(w.decode() in path.as_posix() for w in words):
            found.append(f"the name of {path.name}")
    return found


def _statistics(file: pq.ParquetFile) -> list[str]:
    groups = [file.metadata.row_group(i) for i in range(file.metadata.num_row_groups)]
    return [str(g.column(c).statistics) for g in groups for c in range(g.num_columns)]


@pytest.mark.slow
@pytest.mark.parametrize("form", ["parquet", "arrow"])
@pytest.mark.parametrize("by", ["user", "ids"])
def test_three_canaries(form, by):
    with folder() as base, serially():
        made = recipe(plant(base), form)
        out = base / "out"
        run(load(made), workers=1)
        (base / "raw" / "later.jsonl").write_text(
            json.dumps({"id": "later", "text": rows(1, seed=77)[0]["text"]}) + "\n"
        )
        run(load(made), workers=1)
        rollback(str(out), 1)
        # what a failed run and a dead process left
        with pytest.raises(CorpusmillError):
            run(load(made, ["expect.min_documents=100000"]), workers=1)
        (out / "data" / ".tmp-of-the-dead").write_text(CANARIES["text"])
        with open(out / "history.jsonl", "a") as f:
            f.write(json.dumps({"outcome": "failed", "message": f"row {CANARIES['text']}"}) + "\n")
        cache = RequestCache(str(out / ".corpusmill" / REQUESTS))
        cache.put([(b"1", IDS["child"], f"{CANARIES['child']} " * 300), (b"2", "other", "of another")])
        cache.close()
        kinds = {name.partition("/")[0] for name in left(out)}
        assert {"data", "dropped", "quarantine", ".corpusmill", "history.jsonl"} <= kinds
        children = [i for f in Dataset(out).files() for i in _column(Path(f), "parent") if i in IDS.values()]
        assert set(children) == set(IDS.values())
        ids = (*IDS.values(), *(f"{IDS['text']}-{i}" for i in range(4)))
        asked = Takedown(users=(USER,)) if by == "user" else Takedown(ids=ids)
        purging = Takedown(ids=asked.ids, users=asked.users, purge=True)
        forget(str(out), asked, workers=1)
        assert left(out), "older snapshots hold them until they are purged"
        forget(str(out), purging, workers=1)
        assert left(out) == []
        dataset = Dataset(out)
        assert [dataset.verify(n) for n in dataset.numbers] == [[]] * len(dataset.numbers)
        # the files still hold them, and bring them again under new names, in old snapshots' recipes and in new ones
        (base / "raw" / "part-0.jsonl.gz").rename(base / "raw" / "part-9.jsonl.gz")
        again = [{"id": IDS[w], "text": f"other words, the same id: {CANARIES[w]}", "author": USER} for w in IDS]
        (base / "raw" / "again.jsonl").write_text("".join(json.dumps(d) + "\n" for d in again))
        assert run(load(made), workers=1).committed
        rollback(str(out), dataset.numbers[0])
        run(load(made), workers=1)
        write_recipe(
            base, [{"exact": {}}], **{k: v for k, v in load(made).model_dump(mode="json").items() if k == "seed"}
        )
        made = recipe(base, form)
        run(load(made, ["seed=7"]), workers=1)
        assert left(out) == []
        collect(str(out), keep=1)
        assert left(out) == []
        assert Dataset(out).verify() == []


def _column(path: Path, name: str) -> list[str]:
    table = pq.read_table(path) if path.suffix == ".parquet" else pa.ipc.open_file(path).read_all()
    return table.column(name).to_pylist()
