import os

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from corpusmill.privacy.secure import dedup
from corpusmill.privacy.secure.settings import Dedup
from corpusmill.transforms.dedup.exact import Exact
from corpusmill.transforms.dedup.minhash import Minhash
from corpusmill.transforms.errors import ProtocolError, SourceError
from tests.privacy.secure.parties import OWNERS, Killed, Parties, Threads
from tests.transforms.dedup import harness

pytest.importorskip("rbcl", reason="set intersection needs rbcl")

LONG = os.environ.get("FAULTS") == "long"
SMALL = {"bands": 4, "rows": 4, "confirm": False}


def texts(n=30, seed=0):
    rng = np.random.default_rng(seed)
    words = [f"w{i}" for i in range(400)]
    base = [" ".join(rng.choice(words, 40)) for _ in range(n)]
    base[3] = "数据去重对语言模型很重要,因为重复的文本会被记住。" * 3
    base[4], base[5] = "", "  "
    base[6] = "!!!"
    return base


def split(n=30):
    """Three owners' documents: own ones, copies and near copies of each other's."""
    base = texts(n)
    near = [t.replace("w1 ", "w2 ", 1) + " end" for t in base]
    given = {
        "north": base[:15],
        "south": base[10:20] + near[:5],
        "east": base[:2] + near[18:] + base[25:] + base[25:27],
    }
    return {o: pa.table({"id": [f"{o}{i:03d}" for i in range(len(t))], "text": t}) for o, t in given.items()}


def pooled(tables, group):
    """What the plain step drops from all documents together, earlier owners kept: id -> who keeps the survivor."""
    shards = []
    for rank, o in enumerate(o for o in OWNERS if o in tables):
        t = tables[o].append_column("priority", pa.array(np.full(len(tables[o]), -rank)))
        t = t.append_column("source", pa.array(["s"] * len(t)))
        shards.append(t.combine_chunks().to_batches())
    return {i: survivor.rstrip("0123456789") for i, (_, _, survivor) in harness.run(group, shards).dropped.items()}


kept_by: dict = {}


def parts(tables, settings):
    def owner(node):
        told = dedup.as_owner(node, dedup.prepare(tables[node.name].to_batches(), settings), settings)
        kept_by.update(zip(told["id"].to_pylist(), told["kept_by"].to_pylist(), strict=True))
        return told["id"].to_pylist()

    return dict.fromkeys(OWNERS, owner) | {"hub": lambda node: dedup.as_aggregator(node, settings)}


def together(tmp_path, tables, **fields):
    parties = Threads(tmp_path, {"job": "d", "kind": "dedup", "dedup": fields}, timeout=60)
    found = parties.run(parts(tables, parties.job.dedup))
    assert {k: str(v) for k, v in found.items() if isinstance(v, BaseException)} == {}
    assert found["hub"] == {o: len(found[o]) for o in OWNERS}
    return {i: kept_by[i] for o in OWNERS for i in found[o]}, parties


@pytest.mark.parametrize("normalize", ["space", "words"])
def test_exact_duplicates_are_those_of_the_pooled_documents(tmp_path, normalize):
    tables = split()
    found, _ = together(tmp_path, tables, method="exact", normalize=normalize)
    assert found == pooled(tables, Exact(normalize=normalize, keep="priority"))
    assert len(found) > 5


def test_similar_documents_are_those_of_the_pooled_documents(tmp_path):
    tables = split()
    found, parties = together(tmp_path, tables, **SMALL)
    assert found == pooled(tables, Minhash(bands=4, rows=4, verify=False, keep="priority"))
    assert len(found) > 10
    # what crossed the wire: kinds that are of the protocol, as large as they must be
    for o in OWNERS:
        sent = parties.setup.transcript(o)
        assert {r["kind"] for r in sent} == {"size", "points", "tags", "rows"}
        assert set(sent[0]) == {"at", "to", "kind", "part", "count", "bytes", "digest"}


def test_candidates_are_confirmed_by_their_sketches(tmp_path):
    tables = split()
    settings = {"bands": 16, "rows": 4, "threshold": 0.99}
    found, _ = together(tmp_path, tables, **settings)
    s = Dedup(**settings)
    prepared = [dedup.prepare(tables[o].to_batches(), s) for o in OWNERS]
    _, numbers = np.unique(np.concatenate([p.elements for p in prepared]), axis=0, return_inverse=True)
    rows = np.split(numbers, np.cumsum([len(p.elements) for p in prepared])[:-1])
    plain = dedup.Decider(s, [p.counts.astype(np.int64) for p in prepared], rows).decide(
        lambda o, documents: dedup.keyed_slots(prepared[o].slots[documents], bytes(32))
    )
    assert set(found) == {
        i for p, (drop, _) in zip(prepared, plain, strict=True) for i in p.ids.take(pa.array(drop)).to_pylist()
    }
    loose = pooled(tables, Minhash(bands=16, rows=4, verify=False, keep="priority"))
    assert set(found) < set(loose)


def test_real_documents_of_three_processes(tmp_path, data):
    table = pa.concat_tables(
        [pq.read_table(p, columns=["id", "text"]) for p in sorted((data / "neardup/docs").glob("*.parquet"))]
    )
    table = table.take(pa.array(np.random.default_rng(5).permutation(len(table))[:360]))
    tables, files = {}, {}
    for i, o in enumerate(OWNERS):
        tables[o] = table.take(pa.array(np.arange(i, len(table), 3)))
        files[o] = [tmp_path / f"{o}.parquet"]
        pq.write_table(tables[o], files[o][0])
    parties = Parties(tmp_path / "p", {"job": "d", "kind": "dedup", "dedup": {"bands": 8, "rows": 6, "confirm": False}})
    try:
        reports = parties.all(files)
        found = {i for o in OWNERS for i in pq.read_table(reports[o]["result"])["id"].to_pylist()}
        assert found == set(pooled(tables, Minhash(bands=8, rows=6, verify=False, keep="priority")))
        assert found
        # keys are gone, what was sent stays known, and the job is not run again
        for o in (*OWNERS, "hub"):
            state = parties.folder / f"state-{o}" / "d"
            assert not (state / "once").exists()
            assert not (state / "inbox").exists()
            assert parties.transcript(o)
        parties.start("north", files["north"])
        assert parties.end("north")[1] == reports["north"]
    finally:
        parties.kill()


CONFIRMED = {"bands": 16, "rows": 4, "threshold": 0.99}
PHASES = [("south", k) for k in ("size", "points", "tags", "rows", "slots")]
PHASES += [("north", "slot-key"), ("hub", "compared"), ("hub", "keepers"), ("hub", "drop")]


@pytest.mark.parametrize(("name", "kind"), PHASES)
def test_a_party_that_starts_again_in_any_phase_changes_nothing(tmp_path, name, kind):
    tables = split(20)
    parties = Threads(tmp_path, {"job": "d", "kind": "dedup", "dedup": CONFIRMED}, timeout=60)
    found = parties.restarting(parts(tables, parties.job.dedup), name, kind)
    assert {k: str(v) for k, v in found.items() if isinstance(v, BaseException)} == {}
    assert found["hub"] == {o: len(found[o]) for o in OWNERS}
    assert sum(found["hub"].values()) > 0
    if not whole:
        whole.append(together(tmp_path / "again", tables, **CONFIRMED)[0])
    assert {i for o in OWNERS for i in found[o]} == set(whole[0])


whole: list = []
KINDS = [("south", "size"), ("south", "points"), ("south", "tags"), ("south", "rows"), ("hub", "drop")]


@pytest.mark.parametrize(("name", "kind"), KINDS if LONG else KINDS[1:2])
def test_a_party_killed_in_any_phase_starts_again_and_the_result_is_the_same(tmp_path, name, kind):
    two = OWNERS[:2]
    tables = split()
    files = {o: [tmp_path / f"{o}.parquet"] for o in two}
    for o in two:
        pq.write_table(tables[o], files[o][0])
    parties = Parties(tmp_path / "p", {"job": "d", "kind": "dedup", "dedup": SMALL}, two, timeout=200)
    try:
        found = parties.all_with_a_kill(name, kind, files)
        dropped = {i for o in two for i in pq.read_table(found[o][1]["result"])["id"].to_pylist()}
        plain = pooled({o: tables[o] for o in two}, Minhash(bands=4, rows=4, verify=False, keep="priority"))
        assert dropped == set(plain)
    finally:
        parties.kill()


def test_a_party_that_does_not_come_back_stops_all_with_its_name_and_writes_nothing(tmp_path):
    tables = split()
    parties = Threads(tmp_path, {"job": "d", "kind": "dedup", "dedup": SMALL}, timeout=4)
    found = parties.run(parts(tables, parties.job.dedup), {"south": ("points", 1)})
    assert isinstance(found.pop("south"), Killed)
    assert all(isinstance(e, ProtocolError) for e in found.values())
    assert any("south" in str(e) for e in found.values())


def test_no_documents_and_one_document(tmp_path):
    none = pa.table({"id": pa.array([], pa.string()), "text": pa.array([], pa.string())})
    one = pa.table({"id": ["a"], "text": ["a b c d e f g"]})
    other = pa.table({"id": ["b"], "text": ["A b c, d e f g!"]})
    assert together(tmp_path, {"north": none, "south": one, "east": other}, **SMALL)[0] == {"b": "south"}


def test_two_documents_of_one_id_are_refused():
    with pytest.raises(SourceError, match="same id"):
        dedup.prepare(pa.table({"id": ["a", "a"], "text": ["x", "y"]}).to_batches(), Dedup())
