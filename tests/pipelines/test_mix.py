"""Mixing from a recipe: every output shard holds the mixture, the union holds what the plan says, the bytes never differ."""

import json
from collections import Counter

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from scipy.stats import chi2

from corpusmill.pipelines.dataset.snapshot import Dataset
from corpusmill.pipelines.recipe.model import load
from corpusmill.pipelines.run import run
from tests.corpora import rows, write_recipe, write_shards

COUNTS = {"web": 900, "code": 240, "zh": 60}
MIX = {"unit": "documents", "weights": {"web": 0.5, "code": 0.3, "zh": 0.2}, "shards": 4, "max_epochs": 10}


def make(folder, steps, shards=(3, 2, 1), **options):
    for (name, n), parts in zip(COUNTS.items(), shards):
        docs = [{**d, "id": f"{name}-{d['id']}"} for d in rows(n, seed=len(name))]
        write_shards(folder / "raw" / name, docs, parts)
    sources = [{"name": n, "path": f"raw/{n}/*.parquet", "columns": {"id": "id"}} for n in COUNTS]
    return run(load(write_recipe(folder, steps, sources=sources)), **options)


def read(folder) -> list[pa.Table]:
    return [pq.read_table(f) for f in Dataset(folder / "out").files()]


def placed(tables) -> set:
    return {(i, e, s) for s, t in enumerate(tables) for i, e in zip(t["id"].to_pylist(), t["epoch"].to_pylist())}


def mixture(folder, manifest) -> dict[str, dict]:
    (file,) = manifest["tables"]["mixture"]
    return {r["domain"]: r for r in pq.read_table(folder / "out" / file["path"]).to_pylist()}


@pytest.fixture(scope="module")
def mixed(tmp_path_factory):
    folder = tmp_path_factory.mktemp("mixed")
    return folder, make(folder, [{"mix": MIX}], workers=1)


def test_every_shard_holds_the_mixture(mixed):
    folder, _ = mixed
    tables = read(folder)
    assert len(tables) == 4
    asked = [MIX["weights"][d] for d in COUNTS]
    everything = 0.0
    for table in tables:
        seen = Counter(table["source"].to_pylist())
        n = table.num_rows
        assert abs(n - 300) < 4 * np.sqrt(300)
        chi = sum((seen[d] - n * p) ** 2 / (n * p) for d, p in zip(COUNTS, asked))
        assert chi < chi2.ppf(0.999, 2)
        everything += chi
    assert everything < chi2.ppf(0.999, 8)


def test_the_union_of_shards_has_each_document_as_often_as_the_plan_says(mixed):
    folder, result = mixed
    plan = mixture(folder, result.manifest)
    assert {d: r["epochs"] for d, r in plan.items()} == pytest.approx({"web": 2 / 3, "code": 1.5, "zh": 4.0})
    times = {name: Counter() for name in COUNTS}
    epochs = {}
    for table in read(folder):
        for i, s, e in zip(*(table[c].to_pylist() for c in ("id", "source", "epoch"))):
            times[s][i] += 1
            epochs.setdefault(i, set()).add(e)
    for name, n in COUNTS.items():
        e = plan[name]["epochs"]
        whole, part = int(e), e - int(e)
        assert set(times[name].values()) <= {whole, whole + 1}
        assert whole == 0 or len(times[name]) == n
        assert abs(sum(times[name].values()) - e * n) <= 4 * np.sqrt(n * part * (1 - part)) + 1e-6
    assert all(found == set(range(len(found))) for found in epochs.values())
    # what the funnel says was realised is what stands in the shards
    (step,) = result.funnel["steps"]
    assert step["details"] == {f"documents:{d}": sum(t.values()) for d, t in times.items()}
    table = {m["domain"]: m for m in result.manifest["mixture"]}
    for name in COUNTS:
        assert table[name]["realised_documents"] == sum(times[name].values())
        assert table[name]["realised_share"] == pytest.approx(MIX["weights"][name], abs=0.03)
        assert f"| {name} | {COUNTS[name]} |" in (folder / "out" / "README.md").read_text()
    assert step["dropped"]["not-sampled"] == COUNTS["web"] - len(times["web"])
    assert step["rows_in"] + step["derived"] - step["dropped"]["not-sampled"] == result.funnel["rows_out"]
    assert Dataset(folder / "out").verify() == []


@pytest.mark.parametrize(
    "options",
    [{"workers": 2}, {"workers": 2, "options": ["--direct_running_mode=multi_processing"]}],
    ids=["2 threads", "2 processes"],
)
def test_same_bytes_for_any_workers(mixed, tmp_path, options):
    _, expected = mixed
    assert make(tmp_path, [{"mix": MIX}], **options).manifest["content"] == expected.manifest["content"]


def test_resharded_input_gives_the_same_shards(mixed, tmp_path):
    folder, expected = mixed
    result = make(tmp_path, [{"mix": MIX}], shards=(1, 4, 3), workers=2)
    assert placed(read(tmp_path)) == placed(read(folder))
    # the place in a shard, too, is drawn: the bytes are the same
    assert result.manifest["content"] == expected.manifest["content"]


def test_order_is_one_shuffle_over_all_sources(mixed):
    folder, _ = mixed
    for table in read(folder):
        source = np.array(table["source"].to_pylist())
        changes = np.count_nonzero(source[1:] != source[:-1]) / (len(source) - 1)
        assert abs(changes - (1 - sum(p * p for p in MIX["weights"].values()))) < 0.12
    assert len({t["id"][0].as_py() for t in read(folder)}) == 4


def test_noise_behind_a_mixture_differs_between_epochs(tmp_path):
    mix = {"budget": 2 * sum(COUNTS.values()), "unit": "documents", "shards": 2}
    make(tmp_path, [{"mix": mix}, {"noise": {"delete": 0.2}}], workers=2)
    table = pa.concat_tables(read(tmp_path))
    assert len(set(zip(table["id"].to_pylist(), table["epoch"].to_pylist()))) == table.num_rows
    noisy = {}
    for row in table.filter(pa.array([p is not None for p in table["parent"].to_pylist()])).to_pylist():
        noisy.setdefault(row["parent"], {})[row["epoch"]] = row
    both = [v for v in noisy.values() if len(v) == 2 and json.loads(v[0]["derived_by"])["edits"] > 5]
    assert len(both) > 300
    assert all(v[0]["id"] != v[1]["id"] for v in both)
    assert np.mean([v[0]["text"] != v[1]["text"] for v in both]) > 0.95


def test_groups_before_and_behind_and_what_became_of_one_document(tmp_path):
    result = make(tmp_path, [{"exact": {}}, {"mix": {**MIX, "weights": None, "unimax": True}}, {"minhash": {}}])
    assert [s["name"] for s in result.funnel["steps"]] == ["exact", "mix", "minhash"]
    dataset = Dataset(tmp_path / "out")
    assert dataset.verify() == []
    names = {f["path"] for f in result.manifest["files"]}
    assert all(n.startswith("data/test-") for n in names)
    dropped = [
        r for f in result.manifest["tables"]["dropped"] for r in pq.read_table(tmp_path / "out" / f["path"]).to_pylist()
    ]
    gone = next(r for r in dropped if r["step"] == "mix")
    why = dataset.why(gone["id"])
    assert [(h["step"], h["reason"]) for h in why["history"]] == [("mix", "not-sampled")]


def test_repeats_are_told_apart(mixed):
    folder, _ = mixed
    dataset = Dataset(folder / "out")
    table = pa.concat_tables(read(folder))
    often = Counter(table["id"].to_pylist()).most_common(1)[0]
    history = dataset.why(often[0])["history"]
    assert sorted(h["epoch"] for h in history) == list(range(often[1]))


def test_diff_counts_repeats(mixed, tmp_path):
    first = make(tmp_path, [{"mix": MIX}])
    second = make(tmp_path, [{"mix": {**MIX, "max_epochs": 2}}])
    diff = Dataset(tmp_path / "out").diff(1, 2)
    assert (
        sum(diff["added"].values()) - sum(diff["removed"].values())
        == second.funnel["rows_out"] - first.funnel["rows_out"]
    )
    assert diff["removed"]["zh"] == 120
    assert not diff["changed"]


def test_empty_sources_and_more_shards_than_documents(tmp_path):
    for number, count in enumerate((0, 1, 3)):
        folder = tmp_path / str(number)
        write_shards(folder / "raw", rows(count), 2)
        result = run(load(write_recipe(folder, [{"mix": {"shards": 5}}])), workers=2)
        assert result.funnel["rows_in"] == result.funnel["rows_out"] == count
        assert Dataset(folder / "out").verify() == []


def test_the_number_of_shards_follows_the_text(tmp_path):
    write_shards(tmp_path / "raw", rows(400), 3)
    result = run(load(write_recipe(tmp_path, [{"mix": {"shard_bytes": 20_000, "max_epochs": 2, "budget": 10**9}}])))
    (table,) = [pq.read_table(tmp_path / "out" / f["path"]) for f in result.manifest["tables"]["mixture"]]
    assert len(result.manifest["files"]) == -(-int(table["planned_size"][0].as_py()) // 20_000)
