"""Federated private fine-tuning: the arithmetic of one step, and the whole verb in four processes."""

import json
import os
import subprocess
import sys

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml

from corpusmill.privacy.accounting import epsilon
from corpusmill.privacy.ledger import Ledger
from corpusmill.privacy.secret import Secret
from corpusmill.privacy.secure.settings import load_job
from corpusmill.transforms.errors import BudgetError, PrivacyError, RecipeError
from tests.privacy.secure.parties import OWNERS, Killed, Parties, Threads, until
from tests.training.conftest import sentences, tokenizer  # noqa: F401

torch = pytest.importorskip("torch")
pytest.importorskip("opacus", reason="private training needs opacus")

from corpusmill.privacy.dp_settings import DpSettings  # noqa: E402
from corpusmill.privacy.secure.federated import Federated  # noqa: E402
from corpusmill.privacy.secure.rounds import Rounds, as_aggregator  # noqa: E402
from corpusmill.privacy.sgd import Private  # noqa: E402
from corpusmill.privacy.units import Units  # noqa: E402
from corpusmill.training import build  # noqa: E402
from corpusmill.training.owners import federated  # noqa: E402

LONG = os.environ.get("FAULTS") == "long"
FEATURES, CLASSES = 12, 5


def model():
    torch.manual_seed(0)
    return torch.nn.Sequential(torch.nn.Linear(FEATURES, 8), torch.nn.Tanh(), torch.nn.Linear(8, CLASSES)).train()


def losses(net, batch):
    return torch.nn.functional.cross_entropy(net(batch["x"]), batch["y"], reduction="none")


def rows_of(seed, n):
    rng = np.random.default_rng(seed)
    return torch.from_numpy(rng.normal(size=(n, FEATURES)).astype(np.float32)), torch.from_numpy(
        rng.integers(0, CLASSES, n)
    )


def stepped(private, x, y, steps):
    """The gradients that `private` gives in each step, and the parameters after plain steps on them."""
    private.check(losses, {"x": x[:2], "y": y[:2]})
    optimizer = torch.optim.SGD(private.parameters.values(), lr=0.5)
    out = []
    for step in range(steps):
        for rows in private.begin(step):
            private.add(lambda rows=rows: losses(private.model, {"x": x[rows], "y": y[rows]}), rows)
        private.finish()
        out.append(torch.cat([p.grad.flatten() for p in private.parameters.values()]).numpy().copy())
        optimizer.step()
    private.gradients.close()
    return np.stack(out)


@pytest.mark.parametrize("clipping", ["fixed", "per-layer"])
def test_without_noise_the_federated_sum_is_the_pooled_clipped_sum(tmp_path, clipping):
    steps, sizes = 3, {"north": 30, "south": 7, "east": 23}
    data = {o: rows_of(i, n) for i, (o, n) in enumerate(sizes.items())}
    pooled = [torch.cat([data[o][k] for o in OWNERS]) for k in range(2)]
    plan = DpSettings(steps=steps, rate=1.0, sigma=0, units=60, clip=0.4, clipping=clipping, micro_rows=16)
    job = {"steps": steps, "units": 60, "rows": 60, "sigma": 0, "clip": 0.4, "clipping": clipping}
    plain = stepped(Private(model(), plan, Units(np.arange(60)), Secret(bytes(32))), *pooled, steps)
    models = {o: model() for o in OWNERS}  # made before the threads, which share torch's generator

    def owner(node):
        x, y = data[node.name]
        secret = Secret(node.name.ljust(32).encode())
        own = Federated(Rounds(node, secret), models[node.name], plan, Units(np.arange(len(y))), secret)
        return stepped(own, x, y, steps)

    parties = Threads(tmp_path, {"job": "f", "kind": "finetune", "finetune": job})
    found = parties.run(dict.fromkeys(OWNERS, owner) | {"hub": as_aggregator})
    for o in OWNERS:
        # fixed point: 2^-33 an owner; the rest is float32 of the sums themselves
        assert np.abs(found[o] - plain).max() < 1e-7, found[o]
        assert found[o].tobytes() == found["north"].tobytes()
    assert np.abs(plain).max() > 1e-3


def test_a_run_that_cannot_be_joint_is_refused(tmp_path):
    agreed = {"job": "f", "kind": "finetune", "finetune": {"steps": 1, "units": 9, "rows": 3, "sigma": 1}}
    job = Threads(tmp_path, agreed).job

    class Alone:
        def __init__(self):
            self.job, self.name = job, "north"

    plan = DpSettings(steps=1, rate=0.5, sigma=1, units=9, clipping="adaptive")
    secret = Secret(bytes(32))
    with pytest.raises(PrivacyError, match="one clipping norm"):
        Federated(Rounds(Alone(), secret), model(), plan, Units(np.arange(3)), secret)
    with pytest.raises(PrivacyError, match="without torchrun"):
        Federated(Rounds(Alone(), secret), model(), plan, Units(np.arange(3)), secret, world=2)


@pytest.fixture
def make(tmp_path, tokenizer):  # noqa: F811
    """make(steps=..., timeout=...): three owners with documents, ledgers and train.yaml of their own."""

    def build_parties(steps=6, timeout=200, sigma=1.0, budget=20.0, job="f", **train):
        own = {}
        for i, o in enumerate(OWNERS):
            home = tmp_path / o
            home.mkdir(exist_ok=True)
            texts = sentences(40 - 5 * i, seed=i)
            table = {
                "id": [f"{o}{k}" for k in range(len(texts))],
                "text": texts,
                "label": ["has rain" if "rain" in t else "dry" for t in texts],
            }
            pq.write_table(pa.table(table), home / "docs.parquet")
            if not (home / "privacy.jsonl").exists():
                Ledger.create(home, o, "document", budget, 1e-4)
            settings = {
                "output": f"run-{job}",
                "data": {"train": "docs.parquet", "tokenizer": str(tokenizer), "length": 24},
                "model": {"kind": "encoder", "layers": 1, "width": 16, "heads": 2},
                "objective": {"name": "classification"},
                "optimizer": {"lr": 0.02},
                "checkpoint": {"every": 2},
                "runtime": {"log_every": 1, "tensorboard": False},
                **train,
            }
            (home / "train.yaml").write_text(yaml.safe_dump(settings))
            own[o] = {"train": str(home / "train.yaml"), "ledger": str(home)}
        agreed = {"steps": steps, "units": 105, "rows": 20, "sigma": sigma, "classes": ["dry", "has rain"]}
        return Parties(tmp_path / "p", {"job": job, "kind": "finetune", "finetune": agreed}, timeout=timeout, own=own)

    return build_parties


def weights(folder):
    found = build.load(folder).model.state_dict()
    return {name: value.numpy().tobytes() for name, value in found.items()}


def spent_once(parties, steps, sigma=1.0):
    for o in OWNERS:
        ledger = Ledger(parties.folder.parent / o)
        ((line, event, still_open),) = ledger.entries()
        assert (event.rate, event.sigma, event.count, still_open) == (20 / 105, sigma, steps, False)
        assert line["what"] == "joint fine-tuning f of north, south, east"


def test_four_processes_of_the_command_line_train_one_model(make):
    parties = make()
    running = {}
    for name in parties.names:
        argv = [
            "secure",
            "finetune",
            str(parties.folder / "job.yaml"),
            "--config",
            str(parties.folder / f"{name}.yaml"),
        ]
        running[name] = subprocess.Popen(
            [sys.executable, "-m", "corpusmill.pipelines.cli", *argv, "--json"],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
    reports = {}
    for name, process in running.items():
        out, err = process.communicate(timeout=280)
        assert process.returncode == 0, err
        reports[name] = json.loads(out)
    trained = {o: weights(parties.folder.parent / o / "run-f") for o in OWNERS}
    assert trained["north"] == trained["south"] == trained["east"]
    assert reports["hub"]["absent"] == {}
    spent_once(parties, 6)
    events = Ledger(parties.folder.parent / "north").events()
    assert reports["north"]["epsilon"] == pytest.approx(epsilon(events, 1e-4))
    # the reservation was on disk before anything of a round was sent
    for o in OWNERS:
        first = min(r["at"] for r in parties.transcript(o) if r["kind"] == "masked")
        reserved = os.stat(parties.folder.parent / o / "run-f" / "job.json").st_mtime
        assert reserved < first
        assert {r["kind"] for r in parties.transcript(o)} == {
            "agreed", "size", "public", "shares", "held", "masked", "excess", "unmask"
        }  # fmt: skip
        assert not (parties.folder.parent / o / "run-f" / "secret").exists()


KILLS = [
    (name, kind)
    for name, kinds in {
        "south": ("agreed", "size", "public", "shares", "held", "masked", "excess", "unmask"),
        "hub": ("roster", "alive", "sum"),
    }.items()
    for kind in kinds
]


def in_threads(parties):
    """The same parties as threads of this process."""
    threads = Threads.__new__(Threads)
    threads.setup, threads.job = parties, load_job(parties.folder / "job.yaml")
    return threads


PARTS = dict.fromkeys(OWNERS, federated.part) | {"hub": as_aggregator}


@pytest.mark.skipif(not LONG, reason="four processes with torch, killed in each phase: FAULTS=long")
@pytest.mark.parametrize(("name", "kind"), KILLS)
def test_a_party_killed_in_any_phase_starts_again_and_all_have_one_model(make, name, kind):
    parties = make(steps=4, timeout=200)
    try:
        for n in parties.names:
            parties.start(n, die_after=kind if n == name else "")
        dead = parties.running[name]
        until(lambda: dead.poll() is not None, 150)
        assert dead.returncode == -9
        parties.start(name)
        found = {n: parties.end(n, 300) for n in parties.names}
        assert [code for code, _, _ in found.values()] == [0] * 4, found
        assert found["hub"][1]["absent"] == {}
        trained = {o: weights(parties.folder.parent / o / "run-f") for o in OWNERS}
        assert trained["north"] == trained["south"] == trained["east"]
        spent_once(parties, 4)
    finally:
        parties.kill()


@pytest.mark.parametrize(("kind", "count"), [("masked", 2), ("unmask", 3)])
def test_an_owner_that_starts_again_goes_on_from_its_checkpoint(make, kind, count):
    parties = make(steps=4)
    found = in_threads(parties).restarting(PARTS, "south", kind, count)
    assert found["hub"]["absent"] == {}
    assert found["south"]["step"] == 4
    trained = {o: weights(parties.folder.parent / o / "run-f") for o in OWNERS}
    assert trained["north"] == trained["south"] == trained["east"]
    spent_once(parties, 4)


def test_an_owner_that_does_not_come_back_is_left_out_and_its_reservation_stays(make):
    parties = make(steps=3)
    found = in_threads(parties).run(PARTS, {"south": ("masked", 1)})
    assert isinstance(found["south"], Killed)
    assert found["hub"]["absent"] == {"south": 2}
    assert found["hub"]["without_the_model"] == ["south"]
    home = parties.folder.parent
    assert weights(home / "north" / "run-f") == weights(home / "east" / "run-f")
    assert Ledger(home / "south").entries()[0][2]  # still open: counted whole
    assert not Ledger(home / "north").entries()[0][2]


def test_too_small_a_budget_stops_all_before_data_is_read(make):
    parties = make(budget=0.01)
    found = in_threads(parties).run(PARTS)
    assert all(isinstance(found[o], BudgetError) for o in OWNERS)
    assert "has stopped" in str(found["hub"])
    assert not list(parties.folder.glob("state-*/f/transcript.jsonl"))  # nothing was sent but that they stop


def test_a_folder_of_another_job_or_of_one_owner_is_refused(make, tmp_path):
    parties = make(timeout=4)
    threads = in_threads(parties)
    for text, why in ((json.dumps({"session": "0" * 32}), "another job"), ("", "one owner alone")):
        output = tmp_path / "north" / "run-f"
        output.mkdir(exist_ok=True)
        (output / "job.json").write_text(text)
        if not text:
            (output / "job.json").unlink()
            (output / "secret").write_text("00" * 32)
        found = threads.run({"north": federated.part})
        assert isinstance(found["north"], RecipeError)
        assert why in str(found["north"])
