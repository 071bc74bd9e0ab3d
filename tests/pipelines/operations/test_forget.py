"""Takedown: out of every file, children too; duplicates come back; and it does not come again."""

import json
import os
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from corpusmill.pipelines.dataset import suppression
from corpusmill.pipelines.dataset.snapshot import Dataset
from corpusmill.pipelines.operations.forget import Takedown, forget, read_domains, read_ids
from corpusmill.pipelines.operations.purge import purge
from corpusmill.pipelines.operations.takedown_report import render
from corpusmill.pipelines.recipe.model import load
from corpusmill.pipelines.run import run
from corpusmill.privacy.certification import data_digest
from corpusmill.transforms.errors import DatasetError, ExpectationError, RecipeError
from corpusmill.transforms.generate.cache import REQUESTS, RequestCache
from corpusmill.transforms.manifest import manifest_bytes
from corpusmill.transforms.shards import read_shard
from tests.corpora import rows, write_recipe, write_shards

CANARY = "zanzibarquux"
STEPS = [{"length": {"min_chars": 5}}, {"exact": {}}, {"minhash": {}}, {"noise": {"delete": 0.1, "copies": 1}}]
SOURCES = [
    {
        "name": "raw",
        "path": "raw/*.jsonl",
        "columns": {"id": "id", "user": "author"},
        "max_bad_fraction": 0.5,
    }
]


def canary_row(i, text):
    return {
        "id": f"canary-{i}-id",
        "text": f"{text} {CANARY}text{i}",
        "author": f"{CANARY}user",
        "note": f"{CANARY}note{i}",
    }


def corpus(folder: Path, n: int = 60, shards: int = 3) -> Path:
    """JSON lines with three canaries of one user: in the text, in a column, and (in children) derived; one bad row of his."""
    docs = [{"id": d["id"], "text": d["text"], "author": f"u{i % 7}", "note": "n"} for i, d in enumerate(rows(n))]
    docs += [canary_row(i, rows(1, seed=70 + i)[0]["text"]) for i in range(3)]
    docs.append({"id": "canary-bad-id", "text": None, "author": f"{CANARY}user", "note": f"{CANARY}quarantined"})
    (folder / "raw").mkdir(parents=True, exist_ok=True)
    for s in range(shards):
        lines = [json.dumps(d) for d in docs[s::shards]]
        (folder / "raw" / f"part-{s}.jsonl").write_text("\n".join(lines) + "\n")
    return write_recipe(folder, STEPS, sources=SOURCES, output={"path": "out", "shard_bytes": 2048})


def holding(folder: Path, words: list[str]) -> list[str]:
    """Files below a folder that hold one of the words, in raw bytes or decoded."""
    found = []
    for path in sorted(p for p in folder.rglob("*") if p.is_file()):
        blob = path.read_bytes()
        if path.suffix == ".parquet":
            blob += repr(pq.read_table(path).to_pylist()).encode()
        elif path.suffix in (".arrow", ".batches"):
            blob += repr([batch.to_pylist() for batch in read_shard(str(path))]).encode()
        if any(w.encode() in blob for w in words):
            found.append(str(path.relative_to(folder)))
    return found


def column(folder: Path, name: str, number: int | None = None) -> list:
    return [
        v for f in Dataset(folder / "out").files(number) for b in read_shard(f, [name]) for v in b[name].to_pylist()
    ]


def test_three_canaries_leave_every_file_and_do_not_return(tmp_path):
    recipe = corpus(tmp_path)
    run(load(recipe), workers=1)
    docs = rows(20, seed=3)
    lines = [json.dumps({"id": d["id"], "text": d["text"], "author": "u", "note": "n"}) for d in docs]
    (tmp_path / "raw" / "later.jsonl").write_text("\n".join(lines) + "\n")
    run(load(recipe), workers=1)
    out = tmp_path / "out"
    words = [CANARY, *(f"canary-{i}-id" for i in range(3)), "canary-bad-id"]
    assert any(name.startswith("data/") for name in holding(out, words))
    assert any(name.startswith("quarantine/") for name in holding(out, words))
    assert sum(f"canary-{i}-id" in column(tmp_path, "parent") for i in range(3)) == 3
    cache = RequestCache(str(out / ".corpusmill" / REQUESTS))
    cache.put([(b"1", "canary-0-id", f"{CANARY} told by a model"), (b"2", "other", "of another")])
    cache.close()
    asked = Takedown(users=(f"{CANARY}user",), purge=True, signed_off_by="A. Person")
    report = forget(str(out), asked, workers=1)
    assert holding(out, words) == []
    assert (report["documents"], report["derived_documents"], report["model_answers"]) == (3, 3, 1)
    assert report["committed_snapshot"] == 3
    assert report["purged_snapshots"] == [1, 2]
    assert "A. Person" in render(report)
    dataset = Dataset(out)
    assert dataset.numbers == [1, 2, 3]
    assert [dataset.verify(n) for n in dataset.numbers] == [[], [], []]
    assert dataset.why("canary-0-id")["outcome"] == "suppressed"
    # nor do they at the next refresh, in old files or in new ones
    (tmp_path / "raw" / "again.jsonl").write_text(json.dumps(canary_row(9, "some more text of the same author")) + "\n")
    result = run(load(recipe), workers=1)
    assert result.committed
    assert holding(out, [*words, "canary-9-id"]) == []
    assert result.funnel["steps"][0]["dropped"] == {"suppressed": 4}
    assert not run(load(recipe), workers=1).committed


def test_a_takedown_costs_what_it_concerns(tmp_path):
    recipe = corpus(tmp_path)
    run(load(recipe), workers=1)
    before = {p.name: p.stat().st_mtime_ns for p in (tmp_path / "out" / ".corpusmill" / "work").rglob("*.shard.arrow")}
    (tmp_path / "ids").write_text("canary-1-id\n")
    forget(str(tmp_path / "out"), Takedown(ids=read_ids(tmp_path / "ids")), workers=1)
    after = {p.name: p.stat().st_mtime_ns for p in (tmp_path / "out" / ".corpusmill" / "work").rglob("*.shard.arrow")}
    assert all(after[name] == at for name, at in before.items())
    old, new = ({f["path"] for f in Dataset(tmp_path / "out").manifest(n)["files"]} for n in (1, 2))
    assert len(old & new) == len(old) - 1 > 0


def test_a_cluster_keeps_another_and_equals_a_rebuild_without_the_document(tmp_path):
    docs = rows(120)
    steps = [{"exact": {}}, {"minhash": {}}]
    write_shards(tmp_path / "a" / "raw", docs, 3)
    first = run(load(write_recipe(tmp_path / "a", steps)), workers=1)
    ledger = pa.concat_tables(
        [pq.read_table(tmp_path / "a" / "out" / f["path"]) for f in first.manifest["tables"]["dropped"]]
    )
    survivor = next(s for s in ledger.column("survivor").to_pylist() if s is not None)
    report = forget(str(tmp_path / "a" / "out"), Takedown(ids=(survivor,)), workers=1)
    assert report["duplicates_of_them"] >= 1
    assert report["returned_documents"] >= 1
    kept = set(column(tmp_path / "a", "id"))
    assert survivor not in kept
    write_shards(tmp_path / "b" / "raw", [d for d in docs if d["id"] != survivor], 3)
    run(load(write_recipe(tmp_path / "b", steps)), workers=1)
    assert kept == set(column(tmp_path / "b", "id"))
    # without purge, the older snapshot keeps it
    assert survivor in column(tmp_path / "a", "id", 1)
    assert Dataset(tmp_path / "a" / "out").verify(1) == []


def test_a_derived_document_alone(tmp_path):
    recipe = corpus(tmp_path)
    run(load(recipe), workers=1)
    child, parent = next((i, p) for i, p in zip(column(tmp_path, "id"), column(tmp_path, "parent"), strict=True) if p)
    forget(str(tmp_path / "out"), Takedown(ids=(child,), purge=True), workers=1)
    assert child not in column(tmp_path, "id")
    assert parent in column(tmp_path, "id")
    assert holding(tmp_path / "out", [child]) == []


def test_a_source(tmp_path):
    write_shards(tmp_path / "raw", rows(30), 2)
    write_shards(tmp_path / "more", rows(30, seed=4), 2)
    sources = [{"name": n, "path": f"{n}/*.parquet", "columns": {"id": "id"}} for n in ("raw", "more")]
    run(load(write_recipe(tmp_path, [{"exact": {}}], sources=sources)), workers=1)
    report = forget(str(tmp_path / "out"), Takedown(sources=("more",), purge=True), workers=1)
    assert set(column(tmp_path, "source")) == set(column(tmp_path, "source", 1)) == {"raw"}
    assert report["rows_by_source"].keys() == {"more"}
    assert Dataset(tmp_path / "out").verify(1) == []


def test_packed_rows_that_hold_a_piece(tmp_path):
    tokenizers = pytest.importorskip("tokenizers")
    made = tokenizers.Tokenizer(tokenizers.models.WordLevel({"[UNK]": 0, "<|endoftext|>": 1}, unk_token="[UNK]"))
    made.pre_tokenizer = tokenizers.pre_tokenizers.Whitespace()
    made.save(str(tmp_path / "tokenizer.json"))
    write_shards(tmp_path / "raw", rows(40), 2)
    steps = [{"length": {"min_chars": 5}}, {"pack": {"tokenizer": "tokenizer.json", "length": 64}}]
    run(load(write_recipe(tmp_path, steps)), workers=1)
    pieces = [p["id"] for row in column(tmp_path, "documents") for p in row]
    said = render(forget(str(tmp_path / "out"), Takedown(ids=(pieces[0],), purge=True), workers=1))
    after = Dataset(tmp_path / "out").manifest(2)["documents"]
    assert "Asked for: 1 id. " in said
    assert "Older snapshots were rewritten: 1." in said
    assert f" rows before, {after} after" in said
    for number in (1, 2):
        now = [p["id"] for row in column(tmp_path, "documents", number) for p in row]
        assert pieces[0] not in now
        assert now
        assert Dataset(tmp_path / "out").verify(number) == []
    assert holding(tmp_path / "out", [pieces[0]]) == []


def test_checkpoints_and_datasets_made_from_it_are_named(tmp_path):
    write_shards(tmp_path / "raw", rows(30), 2)
    run(load(write_recipe(tmp_path, [])), workers=1)
    digest = data_digest(Dataset(tmp_path / "out").manifest())
    folder = tmp_path / "runs" / "a" / "checkpoints" / "step-00000001"
    folder.mkdir(parents=True)
    (folder / "state.json").write_text(json.dumps({"digests": {"data": digest}}))
    second = tmp_path / "second"
    second.mkdir()
    sources = [{"name": "first", "path": "../out/data/*.parquet", "columns": {"id": "id"}}]
    run(load(write_recipe(second, [], sources=sources)), workers=1)
    report = forget(str(tmp_path / "out"), Takedown(ids=(rows(30)[0]["id"],)), workers=1)
    assert [d["kind"] for d in report["downstream"]] == ["checkpoint", "snapshot"]
    assert "step-00000001" in report["downstream"][0]["path"]


def test_a_crash_between_the_phases_is_finished_by_the_same_command(tmp_path, monkeypatch):
    recipe = corpus(tmp_path)
    run(load(recipe), workers=1)
    asked = Takedown(users=(f"{CANARY}user",), purge=True)
    from corpusmill.pipelines.operations import forget as module

    for name in ("run", "purge"):
        with monkeypatch.context() as patched:
            patched.setattr(module, name, lambda *a, **k: (_ for _ in ()).throw(OSError("power is gone")))
            with pytest.raises(OSError, match="power"):
                forget(str(tmp_path / "out"), asked, workers=1)
    report = forget(str(tmp_path / "out"), asked, workers=1)
    assert report["documents"] == 3
    assert report["suppression_list"]["files"] == 1
    assert Dataset(tmp_path / "out").numbers == [1, 2]
    assert holding(tmp_path / "out", [CANARY]) == []
    assert len(list((tmp_path / "out" / "takedowns").glob("*.json"))) == 1
    assert purge(str(tmp_path / "out")) == []


def test_expectations_hold_for_takedowns_but_not_that_of_new_documents(tmp_path):
    write_shards(tmp_path / "raw", rows(30), 2)
    run(load(write_recipe(tmp_path, [], expect={"min_documents": 30})), workers=1)
    with pytest.raises(ExpectationError, match="min_documents"):
        forget(str(tmp_path / "out"), Takedown(ids=("0-00001",)), workers=1)
    recipe = load(write_recipe(tmp_path, [], expect={"min_documents": 29, "min_new_documents": 1}))
    report = forget(str(tmp_path / "out"), Takedown(ids=("0-00001",)), recipe, workers=1)
    assert report["documents_after"] == 29


def test_what_cannot_be_done_is_said(tmp_path):
    write_shards(tmp_path / "raw", rows(10), 1)
    run(load(write_recipe(tmp_path, [])), workers=1)
    out = str(tmp_path / "out")
    with pytest.raises(DatasetError, match="name ids"):
        forget(out, Takedown())
    os.unlink(tmp_path / "out" / ".corpusmill" / "recipe.json")
    with pytest.raises(RecipeError, match="--recipe"):
        forget(out, Takedown(ids=("x",)))
    (tmp_path / "empty").write_text("\n")
    with pytest.raises(DatasetError, match="holds no id"):
        read_ids(tmp_path / "empty")
    assert suppression.load(out).number == 0


def test_what_is_in_no_file_is_named_also_when_it_is_asked_again(tmp_path):
    recipe = corpus(tmp_path)
    run(load(recipe), workers=1)
    out = str(tmp_path / "out")
    asked = Takedown(ids=("canary-0-id", "canary-bad-id", "nobody"), users=("u1", "nobody's"), sources=("raw", "s2"))
    report = forget(out, asked, workers=1, dry_run=True)
    assert report["not_found"] == ["nobody", "nobody's", "s2"]
    assert report["dry_run"]
    assert Dataset(out).numbers == [1]
    assert not (tmp_path / "out" / "suppressed").exists()
    assert not (tmp_path / "out" / "takedowns").exists()
    asked = Takedown(ids=("canary-0-id", "canary-bad-id", "nobody"), users=("u1", "nobody's"))
    assert forget(out, asked, workers=1)["not_found"] == ["nobody", "nobody's"]
    assert "nobody" not in "".join(f.read_text() for f in (tmp_path / "out" / "takedowns").iterdir())
    # the same command, and another one with the same ids
    assert forget(out, asked, workers=1)["not_found"] == ["nobody", "nobody's"]
    assert forget(out, Takedown(ids=("canary-0-id", "nobody")), workers=1)["not_found"] == ["nobody"]
    # behind a purge nothing is left of the document but its seal
    assert forget(out, Takedown(ids=("canary-0-id",), purge=True), workers=1)["not_found"] == []
    assert forget(out, Takedown(ids=("canary-0-id",), purge=True), workers=1)["not_found"] == []


def test_a_dry_run_says_what_a_takedown_would_do(tmp_path):
    recipe = corpus(tmp_path)
    run(load(recipe), workers=1)
    out = str(tmp_path / "out")
    dry = forget(out, Takedown(users=(f"{CANARY}user",)), workers=1, dry_run=True)
    real = forget(out, Takedown(users=(f"{CANARY}user",)), workers=1)
    for name in ("documents", "derived_documents", "duplicates_of_them", "rows_by_source", "snapshots"):
        assert dry[name] == real[name]


@pytest.mark.parametrize(
    "step", [{"transform": "evil:Step@1", "fields": {}}, {"transform": "filter@1", "fields": {"call": "evil:keep"}}]
)
def test_no_code_that_a_manifest_names_is_imported(tmp_path, step):
    write_shards(tmp_path / "raw", rows(10), 1)
    run(load(write_recipe(tmp_path, ["clean"])), workers=1)
    out = tmp_path / "out"
    manifest = Dataset(out).manifest()
    manifest["recipe"]["steps"] = [{"name": "evil", **step}]
    (out / "snapshots" / "000001.json").write_bytes(manifest_bytes(manifest))
    (out / ".corpusmill" / "recipe.json").write_text(json.dumps({"base_dir": "."}))
    (out / "evil.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')")
    with pytest.raises(RecipeError, match=r"evil:.*--recipe"):
        forget(str(out), Takedown(ids=("0-00001",)), workers=1)
    assert not (tmp_path / "ran").exists()


def test_pages_of_a_domain_leave_every_file_and_do_not_return(tmp_path):
    pages = [
        ("http://www.site.org/a", "A page of the domain that goes."),
        ("https://blog.site.org/b?x=1", "A page of a host below it."),
        ("https://mysite.org/c", "A page of another domain."),
        ("https://other.net/d", "The last page stays, too."),
    ]
    (tmp_path / "raw").mkdir()
    lines = [json.dumps({"url": u, "text": t}) for u, t in pages]
    lines.append(json.dumps({"url": "https://site.org/bad", "text": None}))
    (tmp_path / "raw" / "a.jsonl").write_text("\n".join(lines) + "\n")
    (tmp_path / "raw" / "b.jsonl").write_text(
        json.dumps({"url": "https://other.net/e", "text": "One more page."}) + "\n"
    )
    source = {"name": "raw", "path": "raw/*.jsonl", "columns": {"id": "url"}, "max_bad_fraction": 0.5}
    recipe = write_recipe(tmp_path, [{"exact": {}}], sources=[source])
    run(load(recipe), workers=1)
    out = tmp_path / "out"
    words = ["site.org/a", "blog.site.org", "//site.org"]
    assert any(name.startswith("quarantine/") for name in holding(out, words))
    dry = forget(str(out), Takedown(domains=("site.org",)), workers=1, dry_run=True)
    assert (dry["documents"], dry["not_found"]) == (2, [])
    report = forget(str(out), Takedown(domains=read_domains(("WWW.Site.ORG",)), purge=True), workers=1)
    assert holding(out, words) == []
    assert (report["asked"]["domains"], report["purged_snapshots"], report["not_found"]) == (1, [1], [])
    kept = ["https://mysite.org/c", "https://other.net/d", "https://other.net/e"]
    assert sorted(column(tmp_path, "id")) == kept
    (tmp_path / "raw" / "c.jsonl").write_text(
        json.dumps({"url": "https://new.site.org/", "text": "A new page."}) + "\n"
    )
    run(load(recipe), workers=1)
    assert sorted(column(tmp_path, "id")) == kept
    assert [Dataset(out).verify(n) for n in Dataset(out).numbers] == [[] for _ in Dataset(out).numbers]
    assert forget(str(out), Takedown(domains=("nowhere.com",)), workers=1)["not_found"] == ["nowhere.com"]


def test_pages_are_found_by_their_column_url(tmp_path):
    (tmp_path / "raw").mkdir()
    pages = [
        {"id": str(i), "url": f"https://{h}/x", "text": f"Text {i} here."} for i, h in enumerate(("a.org", "b.org"))
    ]
    pq.write_table(pa.Table.from_pylist(pages), tmp_path / "raw" / "a.parquet")
    recipe = write_recipe(tmp_path, [], sources=[{"name": "raw", "path": "raw/*.parquet", "columns": {"id": "id"}}])
    run(load(recipe), workers=1)
    report = forget(str(tmp_path / "out"), Takedown(domains=("a.org",)), workers=1)
    assert (report["documents"], column(tmp_path, "id")) == (1, ["1"])


@pytest.mark.parametrize("name", ["", "localhost", "a b.org", "ftp://a.org"])
def test_what_is_no_domain_is_an_error(name):
    with pytest.raises(DatasetError, match="is no domain"):
        read_domains((name,))
