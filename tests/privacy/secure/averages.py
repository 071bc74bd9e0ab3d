"""Owners with runs of their own from one base, for the tests of averages.

A test module names the fixtures: `runs, joined, shards, tokenizer = averages.runs, ...`.
"""

import pytest

from corpusmill.privacy.secure import average
from tests.privacy.secure.parties import OWNERS, Threads
from tests.training import conftest
from tests.training.conftest import sentences, tiny, write_shards

torch = pytest.importorskip("torch")
pytest.importorskip("cryptography", reason="secure sums need cryptography")

from corpusmill.training import checkpoint, loop  # noqa: E402
from corpusmill.training.owners.average import part  # noqa: E402

WEIGHTS = {"north": 3.0, "south": 1.0, "east": 2.0}
PARTS = dict.fromkeys(OWNERS, part) | {"hub": average.as_aggregator}
METHODS = ("masks", "encrypted")
shards, tokenizer = conftest.shards, conftest.tokenizer


def job(method="masks", parties=None, **fields):
    if method == "encrypted":
        pytest.importorskip("tenseal", reason="encrypted sums need tenseal")
    keys = {"key_holder": "north"} if method == "encrypted" else {}
    return {
        "job": "round-1",
        "kind": "average",
        "average": {"method": method, "weights": WEIGHTS, **fields},
        "parties": {"threshold": 3, **keys, **(parties or {})},
    }


@pytest.fixture(scope="module")
def runs(tmp_path_factory, tokenizer, shards):
    """runs[method][owner]: the run of each owner, on its own text, from one base; runs["base"]."""
    home = tmp_path_factory.mktemp("runs")
    loop.train(tiny(home / "base", shards, tokenizer, steps=2, model__layers=1))
    found = {"base": home / "base", "shards": shards, "tokenizer": tokenizer}
    for method in ("full", "lora", "soft-prompt"):
        found[method] = {}
        for i, o in enumerate((*OWNERS, "west")):
            text = write_shards(home / f"text-{o}", tokenizer, sentences(20, seed=7 + i))
            more = {"tune__base": str(home / "base"), "tune__method": method, "optimizer__lr": 0.01 * (i + 1)}
            settings = tiny(home / f"{method}-{o}", text, tokenizer, steps=2 + i, **more)
            loop.train(settings)
            found[method][o] = home / f"{method}-{o}"
    return found


@pytest.fixture
def joined(tmp_path, runs):
    """joined(job, method of tuning, ...): the parties of a job, as threads."""

    def make(agreed, tuned="full", models=None, folder="p", **fields):
        models = {**runs[tuned], **(models or {})}
        return Threads(tmp_path / folder, agreed, own={o: {"model": str(m)} for o, m in models.items()}, **fields)

    return make


def tensors(run):
    return checkpoint.read_tensors(checkpoint.find(run) / "model.safetensors")


def plain(runs, owners=OWNERS, weights=WEIGHTS):
    """The weighted average of the parameters, in float64."""
    each = {o: tensors(runs[o]) for o in owners}
    whole = sum(weights[o] for o in owners)
    return {n: sum(each[o][n].double() * (weights[o] / whole) for o in owners) for n in each[owners[0]]}


def went_well(found):
    assert {k: str(v) for k, v in found.items() if isinstance(v, BaseException)} == {}
    return found


def logits(model):
    ids = torch.arange(24).view(2, 12) + 5
    with torch.no_grad():
        return model.eval()(ids, torch.ones_like(ids))
