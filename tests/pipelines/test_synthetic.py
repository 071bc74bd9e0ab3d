"""Private fine-tuning, text from the model, a snapshot whose card states the guarantee: the recipes that are shipped."""

import json
import shutil
from importlib.resources import files
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
import yaml
from click.testing import CliRunner

from corpusmill.pipelines.cli import cli
from corpusmill.pipelines.dataset.snapshot import Dataset
from corpusmill.privacy.ledger import Ledger
from corpusmill.transforms.tokens.train_tokenizer import train_tokenizer

pytest.importorskip("torch", reason="torch is not installed (extra `train`)")
pytest.importorskip("opacus", reason="opacus is not installed (extra `privacy`)")

LABELLED = Path(__file__).resolve().parents[2] / "../shared/data/labelled"
INTENTS = ["transfer", "weather", "alarm", "recipe", "translate"]
COLUMNS = {"instruction": "label", "output": "text"}
SMALL = [
    "train.steps=6",
    "train.batch.rows=40",
    "train.schedule.warmup=0",
    "privacy.units=400",
    "train.runtime.tensorboard=false",
]


def corpusmill(*args: object):
    return CliRunner().invoke(cli, [*map(str, args)])


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """clinc150 as private calls of 200 callers, banking77 as public text with a small model of it."""
    if not LABELLED.exists():
        pytest.skip(f"{LABELLED} is absent")
    folder = tmp_path_factory.mktemp("synthetic")
    calls = pq.read_table(LABELLED / "clinc150-train.parquet")
    calls = calls.filter(pc.is_in(calls["label"].cast(pa.string()), pa.array(INTENTS)))
    assert calls.num_rows == 500
    callers = pa.array([f"c{i % 200}" for i in range(calls.num_rows)])
    (folder / "private").mkdir()
    (folder / "public").mkdir()
    table = pa.table(
        {"id": calls["id"], "text": calls["text"], "intent": calls["label"].cast(pa.string()), "caller": callers}
    )
    pq.write_table(table, folder / "private/calls.parquet")
    public = pq.read_table(LABELLED / "banking77-train.parquet").slice(0, 1500)
    batch = pa.record_batch({n: public[n].combine_chunks() for n in ("id", "text")})
    train_tokenizer([batch], str(folder / "public/tokenizer.json"), vocab_size=500)
    named = public.set_column(public.column_names.index("label"), "label", public["label"].cast(pa.string()))
    pq.write_table(named, folder / "public/questions.parquet")
    lines = [json.dumps({"id": name, "text": name, "label": name}) for name in INTENTS]
    (folder / "public/intents.jsonl").write_text("\n".join(lines) + "\n")
    for name in ("private.yaml", "synthetic.yaml"):
        shutil.copy(str(files("corpusmill.pipelines").joinpath(f"recipes/{name}")), folder / name)
    base = {
        "output": "public/model", "steps": 60, "data": {"train": "public/questions.parquet", "length": 48, "columns": COLUMNS,
        "tokenizer": "public/tokenizer.json"}, "objective": {"name": "instruction"},
        "model": {"layers": 1, "width": 48, "heads": 2}, "optimizer": {"lr": 0.01}, "schedule": {"warmup": 5},
        "runtime": {"tensorboard": False},
    }  # fmt: skip
    (folder / "public/train.yaml").write_text(yaml.safe_dump(base).replace("public/", ""))
    done = corpusmill("train", folder / "public/train.yaml")
    assert done.exit_code == 0, done.output
    done = corpusmill("run", folder / "private.yaml", "--workers", "1", *[x for s in SMALL for x in ("--set", s)])
    assert done.exit_code == 0, done.output
    return folder


def test_a_snapshot_of_synthetic_text_states_the_guarantee_of_its_model(folder):
    done = corpusmill("run", folder / "synthetic.yaml", "--workers", "1", "--set", "steps.generate.copies=4")
    assert done.exit_code == 0, done.output
    dataset = Dataset(folder / "out/synthetic")
    manifest = dataset.manifest()
    (found,) = manifest["privacy"]["guarantees"]
    ledger = Ledger(folder / "out/private")
    assert found["epsilon"] == pytest.approx(ledger.spent())
    assert 5.9 < found["epsilon"] <= 6.0
    table = pq.read_table(dataset.files())
    assert table.num_rows > 10
    assert set(table["origin"].to_pylist()) == {"synthetic"}
    assert set(table["label"].to_pylist()) <= set(INTENTS)
    card = (folder / "out/synthetic/README.md").read_text()
    for said in (
        f"epsilon = {found['epsilon']:.2f} at delta = 1e-06",
        "For the population *callers*",
        "one value of the column `user`",
        "adjacency: add-or-remove",
        "accountant: pld",
        "tokenizer.json was made from public data only",
    ):
        assert said in card
    assert "Not for publication" not in card


def test_the_card_of_private_text_says_that_it_is_not_for_publication(folder):
    card = (folder / "out/private/README.md").read_text()
    assert "**Not for publication.** It holds private text as it is, of calls" in card


def test_the_guarantee_is_inherited_and_cannot_be_lost(folder, tmp_path):
    """A dataset made of synthetic text has its guarantee; a model that saw private text without one is told of."""
    corpusmill("run", folder / "synthetic.yaml", "--workers", "1", "--set", "steps.generate.copies=4")
    recipe = {
        "name": "next", "sources": [{"name": "s", "path": "out/synthetic/data/*.parquet", "columns": {"id": "id"}}],
        "steps": ["clean"], "output": {"path": str(tmp_path / "next")},
    }  # fmt: skip
    (folder / "next.yaml").write_text(yaml.safe_dump(recipe))
    assert corpusmill("run", folder / "next.yaml", "--workers", "1").exit_code == 0
    assert "For the population *callers*" in (tmp_path / "next/README.md").read_text()
    plain = yaml.safe_load((folder / "public/train.yaml").read_text())
    plain |= {"steps": 2, "output": str(folder / "plain")}
    plain["data"] |= {"train": "../out/private"}
    (folder / "public/plain.yaml").write_text(yaml.safe_dump(plain))
    assert corpusmill("train", folder / "public/plain.yaml").exit_code == 0
    over = ["steps.generate.model=plain", f"output.path={tmp_path / 'bad'}", "steps.generate.copies=1"]
    done = corpusmill("run", folder / "synthetic.yaml", "--workers", "1", *[x for s in over for x in ("--set", s)])
    assert done.exit_code == 0, done.output
    card = (tmp_path / "bad/README.md").read_text()
    assert "the model was trained on the private source calls without a guarantee" in card
