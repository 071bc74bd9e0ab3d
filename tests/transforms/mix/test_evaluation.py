"""Evaluation documents beside a mixture: written once, in no share, told apart; and a recipe that trains and measures."""

import json

import numpy as np
import pyarrow as pa
import pyarrow.ipc
import pytest

from corpusmill.pipelines.dataset.snapshot import Dataset
from corpusmill.pipelines.recipe.model import load, restored
from corpusmill.pipelines.run import run
from corpusmill.transforms.embed.balance import Balance
from corpusmill.transforms.errors import RecipeError
from corpusmill.transforms.mix.mix import Mix
from corpusmill.transforms.mix.split import Split
from corpusmill.transforms.mix.upsample import Upsample
from corpusmill.transforms.random import Keyed
from tests.command import invoke
from tests.corpora import rows, write_recipe, write_shards, write_tokenizer

STEPS = {
    "mix": Mix(weights={"a": 1, "b": 3}, evaluation="once", shards=3),
    "mix by weight": Mix(weight="w", budget=9000, evaluation="once", shards=3),
    "balance": Balance(by=("source",), floor=1, ceiling=1, evaluation="once", shards=3),
    "balance, typical": Balance(by=("source",), ceiling=1, typical="w", rarity="w", evaluation="once", shards=3),
    "upsample": Upsample(by="w", curve=((0.4, 0), (0.4, 1), (1, 4)), evaluation="once", shards=3),
    "upsample within": Upsample(by="w", within="source", unit="bytes", evaluation="once", shards=3),
}


def corpus(n: int = 300) -> pa.Table:
    made = {"id": [f"d{i}" for i in range(n)], "text": [f"文 number {i} " * (1 + i % 3) for i in range(n)]}
    made |= {"source": ["ab"[i % 5 == 0] for i in range(n)], "w": [0.01 + (i * 7 % 90) / 90 for i in range(n)]}
    return pa.table(
        {**made, "split": ["Test" if i % 10 == 3 else ["train", "validation", None][i % 3] for i in range(n)]}
    )


def training(table: pa.Table) -> pa.Table:
    return table.filter(pa.array([s in ("train", None) for s in table["split"].to_pylist()]))


@pytest.mark.parametrize("step", STEPS.values(), ids=STEPS)
def test_each_evaluation_document_is_written_once_and_training_does_not_change(step):
    whole = step(corpus())
    of_training = training(whole)
    assert of_training.num_rows != training(corpus()).num_rows
    assert of_training.equals(step(training(corpus())))  # the copies and their order
    gone = step.model_copy(update={"evaluation": "drop"})(corpus())
    assert gone.equals(of_training)
    assert type(step).model_validate(step.model_dump(exclude={"evaluation"}))(corpus()).equals(gone)
    beside = whole.filter(pa.array([s not in ("train", None) for s in whole["split"].to_pylist()]))
    given = [r for r in corpus().to_pylist() if r["split"] not in ("train", None)]
    found = sorted(beside.to_pylist(), key=lambda r: int(r["id"][1:]))
    assert found == [{**r, "epoch": 0} for r in given]


@pytest.mark.parametrize("step", STEPS.values(), ids=STEPS)
def test_a_shard_without_training_documents_spreads_like_the_others(step):
    parts = [training(corpus()), corpus().filter(pa.array(np.arange(300) % 10 == 3))]
    batches = [p.combine_chunks().to_batches()[0] for p in parts]
    for given in (batches, batches[1:]):  # beside training documents, and alone
        sent = []
        for shard, batch in enumerate(given):
            keys = step.keys(0, batch, np.arange(batch.num_rows, dtype=np.uint32), None)
            sent.append(
                pa.Table.from_batches([keys]).append_column("shard", pa.array([shard] * len(keys), pa.uint32()))
            )
        decided = step.decide(0, pa.concat_tables(sent))
        assert decided.shards == 3
        mine = decided.decisions.filter(pa.array(decided.decisions["shard"].to_numpy() == len(given) - 1))
        routed = step.route(given[-1], mine, Keyed(1, step.name))
        assert set(routed.to.tolist()) == {0, 1, 2}
        assert (routed.batch.num_rows, routed.applied.reasons, routed.details) == (30, [], {"evaluation:test": 30})


def test_evaluation_text_counts_for_the_number_of_shards():
    for step in (Mix(evaluation="once", shard_bytes=2048), Upsample(by="w", evaluation="once", shard_bytes=2048)):
        wanted = []
        for table in (training(corpus()), corpus()):
            (batch,) = table.combine_chunks().to_batches()
            keys = pa.Table.from_batches([step.keys(0, batch, np.arange(len(batch), dtype=np.uint32), None)])
            wanted.append(step.decide(0, keys.append_column("shard", pa.array([0] * len(keys), pa.uint32()))).shards)
        assert wanted[0] < wanted[1]


def test_the_default_follows_from_the_step_split():
    for step in (Mix(), Balance(), Upsample(by="q")):
        assert step.behind({"clean"}) is step
        assert step.behind({"clean", "split"}).evaluation == "once"
        assert step.fingerprint() == step.model_copy(update={"evaluation": "drop"}).fingerprint()
        assert step.fingerprint() != step.behind({"split"}).fingerprint()
    assert Mix(evaluation="drop").behind({"split"}).evaluation == "drop"
    assert Mix(skip_splits=()).behind({"split"}).evaluation is None
    with pytest.raises(RecipeError, match="evaluation"):
        Mix(evaluation="twice")


def recipe(folder, **pack):
    steps = [{"split": {"validation": 0.15, "test": 0.1}}, {"mix": {"unit": "documents", "budget": 400, "shards": 2}}]
    fields = {"tokenizer": "tokenizer.json", "length": 64, **pack}
    return write_recipe(folder, [*steps, {"pack": fields}], output={"path": "out", "format": "arrow"})


@pytest.fixture(scope="module")
def packed(tmp_path_factory):
    pytest.importorskip("tokenizers", reason="HF tokenizers is not installed (extra `train`)")
    folder = tmp_path_factory.mktemp("packed")
    docs = [d for d in rows(200) if d["text"].strip()]
    write_shards(folder / "raw", docs, 2)
    write_tokenizer(folder, docs)
    return folder, run(load(recipe(folder, separate="split")), workers=1).manifest


def test_rows_of_validation_and_test_lie_beside_the_mixture(packed):
    folder, manifest = packed
    table = pa.concat_tables(pa.ipc.open_file(pa.memory_map(f)).read_all() for f in Dataset(folder / "out").files())
    starts: dict[str, list[str]] = {}
    for row in table.select(["split", "documents"]).to_pylist():
        starts.setdefault(row["split"], []).extend(d["id"] for d in row["documents"] if d["offset"] == 0)
    docs = pa.Table.from_pylist([d for d in rows(200) if d["text"].strip()])
    drawn = Split(validation=0.15, test=0.1)(docs, seed=manifest["recipe"]["seed"])
    wanted = {
        s: sorted(i for i, t in zip(drawn["id"].to_pylist(), drawn["split"].to_pylist()) if t == s) for s in starts
    }
    assert set(starts) == {"train", "validation", "test"}
    for split in ("validation", "test"):
        assert sorted(starts[split]) == wanted[split]
    assert set(starts["train"]) == set(wanted["train"])
    assert len(starts["train"]) > 1.5 * len(wanted["train"])
    (mixed,) = [s for s in manifest["funnel"]["steps"] if s["name"] == "mix"]
    assert mixed["dropped"] == {}
    assert manifest["mixture"][0]["documents"] == len(wanted["train"])
    assert manifest["mixture"][0]["realised_documents"] == len(starts["train"])
    said = f"evaluation documents, each once ({len(wanted['test'])} of test, {len(wanted['validation'])} of validation)"
    shown = (
        invoke("show", folder / "out", "--html", folder / "page.html").output + invoke("show", folder / "out").output
    )
    assert shown.count(said) == 2
    assert f"Not counted here: {said}." in shown
    assert (folder / "page.html").read_text().count(said) == 2
    assert f"Not counted here: {said}." in (folder / "out/README.md").read_text()


def test_the_manifest_says_what_was_done_and_an_old_one_is_read_as_it_was(packed):
    folder, manifest = packed
    assert manifest["recipe"]["steps"][1]["fields"]["evaluation"] == "once"
    old = json.loads(json.dumps(manifest["recipe"]))
    del old["steps"][1]["fields"]["evaluation"]
    assert restored(old, folder).steps[1].transform.evaluation is None


def test_a_row_that_would_hold_two_splits_is_a_mistake(packed):
    folder, _ = packed
    with pytest.raises(RecipeError, match="separate: split"):
        load(recipe(folder))
    steps = [
        {"mix": {"evaluation": "once"}},
        {"pack": {"tokenizer": "tokenizer.json"}},
    ]  # the column is the source's own
    with pytest.raises(RecipeError, match="separate: split"):
        load(write_recipe(folder, steps))
    steps[0] = {"mix": {"evaluation": "drop"}}
    load(write_recipe(folder, steps))
