"""`corpusmill privacy canaries` and `audit`, end to end: canaries through a recipe into a model, and their scores out of it."""

import json
import random
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner

from corpusmill.pipelines.cli import cli
from corpusmill.privacy.secret import Secret
from corpusmill.transforms.tokens.train_tokenizer import train_tokenizer

pytest.importorskip("torch", reason="torch is not installed (extra `train`)")
pytest.importorskip("opacus", reason="opacus is not installed (extra `privacy`)")


def corpusmill(*args: object):
    return CliRunner().invoke(cli, [*map(str, args)])


@pytest.fixture(autouse=True)
def coins(monkeypatch):
    """Noise is the same in every run: what is asserted of a private model's scores holds always, or never."""
    monkeypatch.setattr(Secret.__init__, "__defaults__", (bytes(range(32)),))


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    import pyarrow as pa

    folder = tmp_path_factory.mktemp("audit")
    with pytest.MonkeyPatch.context() as fixed:  # what a model learns by heart is then the same in every run
        fixed.setattr("corpusmill.privacy.canaries.secrets.SystemRandom", lambda: random.Random(1))
        done = corpusmill(
            "privacy", "canaries", folder / "canaries", "--count", "400", "--words", "3", "--with", "label=a,b"
        )
    assert done.exit_code == 0, done.output
    texts = ["ba bebi bobudu", "fafe gigo", "kakeki mo mu", "na ne pipo puta", "rere risi tatu vo vuva zeze zi zozu"]
    train_tokenizer(
        [pa.record_batch({"id": list("abcde"), "text": texts})], str(folder / "tokenizer.json"), vocab_size=300
    )
    (folder / "control.yaml").write_text('[{prompt: "{label}: ", answer: "{text}"}]')
    recipe = {
        "name": "letters",
        "sources": [{"name": "canaries", "path": "canaries/canaries.jsonl", "private": True,
                     "columns": {"id": "id", "user": "user", "label": "label"}}],
        "steps": ["clean"], "output": {"path": "out"},
        "privacy": {"population": "p", "units": 200, "epsilon": 3.0, "delta": 1e-3},
        "train": {
            "steps": 12, "objective": {"name": "instruction", "templates": "control.yaml"},
            "model": {"layers": 1, "width": 32, "heads": 2}, "batch": {"rows": 50, "micro_rows": 64},
            "data": {"tokenizer": "tokenizer.json", "length": 48}, "optimizer": {"lr": 0.01, "weight_decay": 0.0},
            "schedule": {"warmup": 0}, "runtime": {"tensorboard": False}, "privacy": {"epsilon": 2.0},
        },
    }  # fmt: skip
    (folder / "letters.yaml").write_text(yaml.safe_dump(recipe))
    return folder


def test_a_private_model_is_not_refuted_and_claims_what_it_guarantees(folder):
    done = corpusmill("run", folder / "letters.yaml", "--workers", "1")
    assert done.exit_code == 0, done.output
    found = corpusmill(
        "privacy", "audit", "--model", folder / "out-model/000001", "--canaries", folder / "canaries", "--json"
    )
    assert found.exit_code == 0, found.output
    said = json.loads(found.stdout)
    assert (said["canaries"], said["delta"]) == (400, 1e-3)
    assert 1.9 < said["claim"] <= 2.0
    assert not said["refuted"]
    assert 0.4 < said["attacks"]["loss"]["auc"] < 0.65


def test_a_model_without_privacy_is_told_by_its_canaries(folder):
    """It learns its 200 canaries by heart; a claim of epsilon 2 for it is refuted."""
    if not (folder / "out").exists():
        assert corpusmill("run", folder / "letters.yaml", "--workers", "1").exit_code == 0
    train = yaml.safe_load((folder / "letters.yaml").read_text())["train"]
    train |= {"privacy": None, "steps": 260, "output": "plain", "model": {"layers": 2, "width": 96, "heads": 2}}
    train |= {"optimizer": {"lr": 0.004, "weight_decay": 0.0}, "schedule": {"warmup": 20}}
    train["data"] |= {"train": "out"}
    (folder / "plain.yaml").write_text(yaml.safe_dump(train))
    assert corpusmill("train", folder / "plain.yaml").exit_code == 0
    canaries = ["--canaries", folder / "canaries", "--delta", "1e-5"]
    found = corpusmill("privacy", "audit", "--model", folder / "plain", *canaries, "--claim", "2", "--json")
    said = json.loads(found.stdout)
    assert said["epsilon"] > 3.5
    assert said["attacks"]["loss"]["auc"] > 0.99
    assert said["attacks"]["min-k"]["auc"] > 0.95
    assert said["attacks"]["loss"]["exposure"] > 6 > 2 > said["attacks"]["loss"]["exposure_of_others"]
    assert said["refuted"]
    assert found.exit_code == 1
    private = folder / "out-model/000001"
    text = corpusmill(
        "privacy", "audit", "--model", folder / "plain", "--reference", private, *canaries, "--claim", "2"
    )
    assert "the claim of 2 is REFUTED" in text.output


def test_wrong_use_is_told(folder):
    assert corpusmill("privacy", "audit").exit_code == 2
    assert corpusmill("privacy", "audit", "--model", folder).exit_code == 2
    assert corpusmill("privacy", "canaries", folder / "more", "--with", "label").exit_code == 2
    again = corpusmill("privacy", "canaries", folder / "canaries")
    assert again.exit_code == 1
    assert "throws its coins once" in again.output
