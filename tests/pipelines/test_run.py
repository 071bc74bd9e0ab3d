import json
import os
import random
import shutil

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from corpusmill.pipelines.dataset.snapshot import Dataset
from corpusmill.pipelines.recipe.model import load
from corpusmill.pipelines.run import run
from corpusmill.pipelines.runners import local
from corpusmill.transforms.errors import BadFileError, DatasetError, LockedError, RecipeError, TooManyBadRowsError
from tests.corpora import rows, write_recipe, write_shards

STEPS = [{"gopher-quality": {"min_words": 5}}, {"exact": {}}, {"minhash": {}}]


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    folder = tmp_path_factory.mktemp("corpus")
    write_shards(folder / "raw", rows(400), 5)
    return folder


@pytest.fixture(scope="module")
def expected(corpus):
    """Content of the snapshot that everything else must equal, and its manifest."""
    return run(load(write_recipe(corpus, STEPS)), workers=1)


def again(corpus, folder, steps=STEPS, **options):
    """The same corpus in another folder, run with other options."""
    if not (folder / "raw").exists():
        shutil.copytree(corpus / "raw", folder / "raw")
    return run(load(write_recipe(folder, steps)), **options)


def shard_bytes(folder):
    return {f: (folder / "out" / f).read_bytes() for f in sorted(os.listdir(folder / "out")) if f == "SHA256SUMS"} | {
        f: (folder / "out" / "data" / f).read_bytes() for f in sorted(os.listdir(folder / "out" / "data"))
    }


def test_a_run_cleans_deduplicates_and_accounts_for_every_row(corpus, expected):
    funnel = expected.funnel
    assert expected.committed
    assert funnel["rows_in"] == 400
    assert 0 < funnel["rows_out"] == Dataset(corpus / "out").manifest()["documents"] < 400
    assert [s["name"] for s in funnel["steps"]] == ["gopher-quality", "exact", "minhash"]
    assert all(sum(s["dropped"].values()) > 0 for s in funnel["steps"])
    dropped = sum(sum(s["dropped"].values()) for s in funnel["steps"])
    assert funnel["rows_out"] + dropped == 400
    assert Dataset(corpus / "out").verify() == []


def test_near_duplicates_in_different_shards_are_found(corpus, expected):
    table = pa.concat_tables([pq.read_table(f) for f in Dataset(corpus / "out").files()])
    texts = table.column("text").to_pylist()
    assert len(set(texts)) == len(texts)
    pairs = expected.manifest["tables"]["pairs"]
    found = pa.concat_tables([pq.read_table(corpus / "out" / f["path"]) for f in pairs])
    assert found.num_rows > 20
    assert min(found.column("jaccard").to_pylist()) >= 0.8


@pytest.mark.parametrize(
    "options",
    [{"workers": 2}, {"workers": 4}, {"workers": 2, "options": ["--direct_running_mode=multi_processing"]}],
    ids=["2 threads", "4 threads", "2 processes"],
)
def test_same_bytes_for_any_workers(corpus, expected, tmp_path, monkeypatch, options):
    monkeypatch.setattr(local, "SMALL", 0)  # in a graph, however small it is
    result = again(corpus, tmp_path, **options)
    assert result.manifest["content"] == expected.manifest["content"]
    assert shard_bytes(tmp_path) == shard_bytes(corpus)


def test_same_bytes_for_input_files_in_another_order(corpus, expected, tmp_path):
    names = sorted(os.listdir(corpus / "raw"))
    (tmp_path / "raw").mkdir()
    for name, other in zip(names, [*names[1:], names[0]], strict=True):
        shutil.copy(corpus / "raw" / name, tmp_path / "raw" / other)
    result = again(corpus, tmp_path)
    assert result.manifest["content"] == expected.manifest["content"]
    assert shard_bytes(tmp_path) == shard_bytes(corpus)


def test_the_same_documents_survive_resharding_and_shuffling(corpus, expected, tmp_path):
    docs = rows(400)
    kept = set()
    for turn, shards in enumerate((1, 3, 11)):
        folder = tmp_path / str(shards)
        random.Random(turn).shuffle(docs)
        write_shards(folder / "raw", docs, shards)
        again(corpus, folder)
        table = pa.concat_tables([pq.read_table(f) for f in Dataset(folder / "out").files()])
        kept.add(frozenset(table.column("id").to_pylist()))
    assert len(kept) == 1
    table = pa.concat_tables([pq.read_table(f) for f in Dataset(corpus / "out").files()])
    assert kept == {frozenset(table.column("id").to_pylist())}


def test_an_unchanged_recipe_commits_nothing(corpus, expected):
    before = shard_bytes(corpus)
    result = run(load(write_recipe(corpus, STEPS)))
    assert not result.committed
    assert result.snapshot == expected.snapshot == 1
    assert result.funnel == expected.funnel
    assert shard_bytes(corpus) == before


def test_a_changed_recipe_is_recomputed_and_the_difference_told(corpus, expected, tmp_path):
    from corpusmill.pipelines.engine.plan import make

    again(corpus, tmp_path)
    changed = [STEPS[0], {"exact": {}}, {"minhash": {"threshold": 0.9}}]
    plan = make(load(write_recipe(tmp_path, changed)), workers=2)
    assert plan.changes == ["step minhash: threshold: 0.8 -> 0.9"]
    assert plan.stages[0].reused == plan.stages[0].tasks == 5
    result = again(corpus, tmp_path, changed)
    assert result.snapshot == 2
    fresh = tmp_path / "fresh"
    assert again(corpus, fresh, changed).manifest["content"] == result.manifest["content"]
    assert Dataset(tmp_path / "out").verify(1) == Dataset(tmp_path / "out").verify(2) == []
    diff = Dataset(tmp_path / "out").diff(1, 2)
    assert sum(diff["added"].values()) == result.manifest["documents"] - expected.manifest["documents"] > 0


def test_a_new_shard_reuses_what_was_done(corpus, tmp_path):
    first = again(corpus, tmp_path)
    write_shards(tmp_path / "raw", rows(20, seed=9), 1, first=50)
    from corpusmill.pipelines.engine.plan import make

    plan = make(load(write_recipe(tmp_path, STEPS)), workers=2)
    assert (plan.stages[0].tasks, plan.stages[0].reused) == (6, 5)
    result = again(corpus, tmp_path)
    old, new = ({f["path"] for f in m["files"]} for m in (first.manifest, result.manifest))
    assert len(old & new) >= 3
    assert Dataset(tmp_path / "out").verify() == []


def test_why_tells_what_happened(corpus, expected):
    dataset = Dataset(corpus / "out")
    dropped = [
        r for f in expected.manifest["tables"]["dropped"] for r in pq.read_table(corpus / "out" / f["path"]).to_pylist()
    ]
    assert len(dropped) == 400 - expected.funnel["rows_out"]
    duplicate = next(r for r in dropped if r["step"] == "exact")
    why = dataset.why(duplicate["id"])
    assert (why["outcome"], why["history"][0]["reason"]) == ("dropped", "exact-duplicate")
    assert why["history"][0]["passed"] == ["gopher-quality"]
    assert dataset.why(duplicate["survivor"])["survivor_of"]
    short = next(r for r in dropped if r["reason"] == "min_words")
    assert dataset.why(short["id"])["history"][0]["value"] < 5
    kept = pq.read_table(dataset.files()[0]).column("id")[3].as_py()
    assert dataset.why(kept)["history"][0]["row"] == 3
    assert dataset.why("no such document")["outcome"] == "unknown"


def test_readers_need_none_of_our_code(corpus, expected):
    import datasets
    import duckdb
    import polars
    import pyarrow.dataset

    folder, n = str(corpus / "out"), expected.manifest["documents"]
    manifest = json.loads((corpus / "out" / "snapshots" / "000001.json").read_text())
    files = [os.path.join(folder, f["path"]) for f in manifest["files"]]
    loaded = datasets.load_dataset(folder, split="train", cache_dir=str(corpus / "cache"))
    assert loaded.num_rows == n
    assert loaded.column_names == ["id", "text", "source", "year"]
    assert pyarrow.dataset.dataset(os.path.join(folder, "data")).count_rows() == n
    assert polars.read_parquet(files).height == n
    assert duckdb.sql(f"select count(*), count(distinct id) from '{folder}/data/*.parquet'").fetchall() == [(n, n)]


def test_a_file_that_lies_twice_in_a_source_counts_twice(tmp_path):
    docs = rows(20)
    write_shards(tmp_path / "raw", docs, 1)
    shutil.copy(tmp_path / "raw" / "part-000.parquet", tmp_path / "raw" / "copy.parquet")
    result = run(load(write_recipe(tmp_path, [], output={"path": "out", "shard_bytes": 1024})))
    assert result.manifest["documents"] == 40
    assert len({f["path"] for f in result.manifest["files"]}) == len(result.manifest["files"])
    result = run(load(write_recipe(tmp_path, [{"exact": {}}], output={"path": "out", "shard_bytes": 1024})))
    assert result.manifest["documents"] == len({d["text"] for d in docs})
    assert Dataset(tmp_path / "out").verify() == []


def test_two_writers_do_not_mix(corpus, tmp_path):
    shutil.copytree(corpus / "raw", tmp_path / "raw")
    recipe = load(write_recipe(tmp_path, STEPS))
    from corpusmill.pipelines.dataset.results import Store

    with Store(str(recipe.output_dir)).lock(), pytest.raises(LockedError, match=f"process {os.getpid()}"):
        run(recipe)


def test_an_interrupted_commit_is_healed(corpus, expected, tmp_path):
    again(corpus, tmp_path)
    for name in ("README.md", "SHA256SUMS", "events.jsonl"):
        os.unlink(tmp_path / "out" / name)
    result = again(corpus, tmp_path)
    assert not result.committed
    assert shard_bytes(tmp_path) == shard_bytes(corpus)
    assert Dataset(tmp_path / "out").snapshots()[0]["created"]


@pytest.mark.parametrize("step", ["exact", "minhash", "lines", "substring"])
def test_the_newest_is_kept_beside_empty_files_and_whatever_type_a_file_gives_the_date(tmp_path, step):
    text = "the very same words stand in each of these documents, line for line, and nobody changed any\n" * 3
    dates = [None, "2021-01-01T00:00:00Z", None, 1700000000]
    for i, date in enumerate(dates):
        (tmp_path / f"{i}.jsonl").write_text(json.dumps({"text": text, "id": str(i), "day": date}) + "\n")
    (tmp_path / "9.jsonl").touch()
    sources = [
        {"name": f"s{i}", "path": f"{i}.jsonl", "columns": {"id": "id", "created": "day"}}
        for i in (9, *range(len(dates)))
    ]
    run(load(write_recipe(tmp_path, [{step: {"keep": "newest"}}], sources=sources)), workers=1)
    kept = {i: Dataset(tmp_path / "out").why(i)["outcome"] for i in map(str, range(len(dates)))}
    assert kept["3"] == "kept"
    assert step not in ("exact", "minhash") or list(kept.values()).count("kept") == 1


def test_empty_sources_single_documents_and_more_shards_than_documents(tmp_path):
    for number, (count, shards) in enumerate([(0, 1), (1, 1), (2, 6)]):
        folder = tmp_path / str(number)
        write_shards(folder / "raw", rows(count), shards)
        result = again(folder, folder, workers=2)
        assert result.funnel["rows_in"] == count
        assert Dataset(folder / "out").verify() == []


def test_sources_of_different_columns_become_one_schema(tmp_path):
    (tmp_path / "raw").mkdir()
    with open(tmp_path / "raw" / "a.jsonl", "w") as f:
        f.write('{"text": "one two three", "n": null}\n{"text": "four five", "n": 1}\n')
    with open(tmp_path / "raw" / "b.jsonl", "w") as f:
        f.write('{"text": "six seven", "n": 1.5, "extra": "x"}\n')
    sources = [{"name": "raw", "path": "raw/*.jsonl"}]
    for steps in ([], [{"exact": {}}]):
        result = run(
            load(
                write_recipe(tmp_path, steps, sources=sources, output={"path": f"out{len(steps)}", "shard_bytes": 1024})
            )
        )
        files = Dataset(tmp_path / f"out{len(steps)}").files()
        schemas = {pq.read_schema(f).remove_metadata().to_string() for f in files}
        assert len(files) == 1 or len(schemas) == 1
        table = pa.concat_tables([pq.read_table(f) for f in files])
        assert result.manifest["documents"] == 3
        assert str(table.schema.field("n").type) == "double"
        assert sorted(table.column("extra").to_pylist(), key=str) == [None, None, "x"]
        assert Dataset(tmp_path / f"out{len(steps)}").verify() == []


def test_bad_rows_are_quarantined_up_to_the_limit(tmp_path):
    (tmp_path / "raw").mkdir()
    with open(tmp_path / "raw" / "a.jsonl", "w") as f:
        f.writelines(f'{{"text": "document number {i}"}}\n' for i in range(99))
        f.write("{not json\n")
    sources = [{"name": "raw", "path": "raw/*.jsonl", "max_bad_fraction": 0.001}]
    recipe = write_recipe(tmp_path, [], sources=sources)
    with pytest.raises(TooManyBadRowsError, match=r"1 of 100 rows .*a\.jsonl, position 100"):
        run(load(recipe))
    assert not (tmp_path / "out" / "snapshots").exists()
    result = run(load(recipe, ["sources.raw.max_bad_fraction=0.02"]))
    assert result.funnel["quarantined"] == 1
    (file,) = result.manifest["tables"]["quarantine"]
    assert pq.read_table(tmp_path / "out" / file["path"]).to_pylist()[0]["position"] == 100


def test_a_corrupt_file_is_named_and_nothing_is_committed(corpus, tmp_path):
    shutil.copytree(corpus / "raw", tmp_path / "raw")
    victim = tmp_path / "raw" / "part-002.parquet"
    victim.write_bytes(victim.read_bytes()[:-100])
    with pytest.raises(BadFileError, match=r"part-002\.parquet"):
        again(corpus, tmp_path)
    assert not (tmp_path / "out" / "snapshots").exists()


def test_unknown_runners_and_options_are_refused(corpus, expected, tmp_path):
    with pytest.raises(RecipeError, match="--runner flunk"):
        again(corpus, tmp_path, runner="flunk")
    with pytest.raises(RecipeError, match="--runner flunk"):
        run(load(write_recipe(corpus, STEPS)), runner="flunk")  # though nothing is new
    with pytest.raises(RecipeError, match="--direct_runing_mode"):
        again(corpus, tmp_path, options=["--direct_runing_mode=in_memory"])


def test_verify_finds_every_flipped_bit(corpus, expected, tmp_path):
    shutil.copytree(corpus / "out", tmp_path / "out", ignore=shutil.ignore_patterns(".corpusmill"))
    rng = random.Random(1)
    files = expected.manifest["files"] + [f for t in expected.manifest["tables"].values() for f in t]
    for _ in range(40):
        path = tmp_path / "out" / rng.choice(files)["path"]
        original = path.read_bytes()
        flipped = bytearray(original)
        flipped[rng.randrange(len(flipped))] ^= 1 << rng.randrange(8)
        path.write_bytes(flipped)
        assert any(os.path.basename(path) in problem for problem in Dataset(tmp_path / "out").verify())
        path.write_bytes(original)
    assert Dataset(tmp_path / "out").verify() == []


@pytest.mark.parametrize("damage", ["removed", "flipped", "no work"])
def test_what_is_gone_from_a_snapshot_is_written_again(corpus, expected, tmp_path, damage):
    again(corpus, tmp_path)
    before = shard_bytes(tmp_path)
    files = [
        tmp_path / "out" / f["path"] for f in expected.manifest["files"][:2] + expected.manifest["tables"]["dropped"]
    ]
    for file in files:
        if damage == "flipped":  # the work may be the same file under another name
            data = bytearray(file.read_bytes())
            data[len(data) // 2] ^= 1
            with file.open("r+b") as f:
                f.write(data)
        file.unlink()
    if damage == "no work":
        shutil.rmtree(tmp_path / "out/.corpusmill")
    assert "the next run writes it again" in Dataset(tmp_path / "out").verify()[0]
    result = again(corpus, tmp_path)
    assert (result.committed, result.snapshot, result.restored) == (False, 1, len(files))
    assert Dataset(tmp_path / "out").verify() == []
    assert shard_bytes(tmp_path) == before
    assert again(corpus, tmp_path).restored == 0


def test_what_no_run_gives_again_is_said(corpus, expected, tmp_path, monkeypatch):
    again(corpus, tmp_path)
    (tmp_path / "out" / expected.manifest["files"][0]["path"]).unlink()
    monkeypatch.setattr("corpusmill.pipelines.engine.restore.published_names", lambda job: {})
    with pytest.raises(DatasetError, match=r"data/.* is missing, and the recipe no longer gives its bytes. To go on"):
        again(corpus, tmp_path)


def test_a_source_whose_text_is_under_another_name_is_told_how_to_name_it(tmp_path):
    (tmp_path / "raw").mkdir()
    (tmp_path / "raw" / "a.jsonl").write_text('{"body": "some text"}\n' * 3)
    recipe = write_recipe(tmp_path, [], sources=[{"name": "raw", "path": "raw/*.jsonl"}])
    with pytest.raises(
        TooManyBadRowsError, match=r"3 of 3 rows .*Say which column holds the text, as in `columns: \{text: body\}`"
    ):
        run(load(recipe, check_paths=False), workers=1)
    with pytest.raises(RecipeError, match=r"has no column `text`\n.*\n.*as in `columns: \{text: body\}`"):
        load(recipe)
