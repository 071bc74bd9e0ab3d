"""The loop: bit for bit the same however it was stopped, and one clear error when it cannot go on."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml

from corpusmill.training import checkpoint
from corpusmill.training.checkpoint import read_tensors
from corpusmill.training.data import Arrays, Shards
from corpusmill.training.loop import read_metrics, train
from corpusmill.transforms.errors import DatasetError, RecipeError, TrainingError
from tests.ports import free_ports

ROOT = Path(__file__).parents[2]


def losses(output: str | Path) -> dict[int, float]:
    return {line["step"]: line["loss"] for line in read_metrics(output) if "loss" in line}


def same_weights(a: Path, b: Path) -> bool:
    for name in ("model.safetensors", "optimizer.safetensors"):
        one, other = read_tensors(a / name), read_tensors(b / name)
        if one.keys() != other.keys() or not all(torch.equal(one[k], other[k]) for k in one):
            return False
    return True


def other(settings, output: Path, **values):
    return settings.model_copy(update={"output": str(output), **values})


def test_loss_falls(make) -> None:
    settings = make()
    result = train(settings)
    seen = losses(settings.output)
    assert result["step"] == len(seen) == 40
    assert np.mean([seen[s] for s in (38, 39, 40)]) < seen[1] - 1.5
    assert Path(result["checkpoint"]).name == "step-00000040"


@pytest.mark.parametrize("micro_rows", [4, 1])
def test_resumed_at_every_step_equals_uninterrupted(make, tmp_path: Path, micro_rows: int) -> None:
    values = {"batch__micro_rows": micro_rows, "model__dropout": 0.1, "model__layers": 1}
    settings = make(checkpoint__every=1, checkpoint__keep=40, **values)
    train(settings)
    whole, expected = checkpoint.newest(settings.output), losses(settings.output)
    for step in range(1, 21) if micro_rows == 4 else (1, 7, 20):
        again = other(settings, tmp_path / f"from-{step}")
        folder = Path(again.output) / "checkpoints"
        folder.mkdir(parents=True)
        shutil.copytree(Path(settings.output) / "checkpoints" / f"step-{step:08}", folder / f"step-{step:08}")
        again = again.model_copy(update={"checkpoint": again.checkpoint.model_copy(update={"every": 100})})
        train(again)
        assert same_weights(whole, checkpoint.newest(again.output)), step
        assert losses(again.output) == {s: v for s, v in expected.items() if s > step}


def test_accumulation_equals_one_pass(make, tmp_path: Path) -> None:
    """One divisor: 4 rows at once or one by one give the same gradients, though rows differ in targets."""
    one, four = make(steps=5), other(make(steps=5, batch__micro_rows=1), tmp_path / "four")
    train(one)
    train(four)
    a, b = (read_tensors(checkpoint.newest(s.output) / "model.safetensors") for s in (one, four))
    for name in a:
        torch.testing.assert_close(a[name], b[name], rtol=1e-3, atol=2e-5)


def _write(settings, path: Path) -> Path:
    path.write_text(yaml.safe_dump(settings.model_dump(mode="json")))
    return path


CODE = """
import os, sys, torch
torch.set_num_threads(1)
from corpusmill.training import settings as S
from corpusmill.training.data import Arrays, Shards
from corpusmill.training.loop import train
if "RANK" in os.environ:
    torch.distributed.init_process_group("gloo")
for file in sys.argv[1:]:
    name, _, stop = file.partition(":")
    train(S.load(name), stop_at=int(stop) if stop else None)
if "RANK" in os.environ:  # its threads must not outlive the interpreter
    torch.distributed.barrier()
    torch.distributed.destroy_process_group()
"""


def _torchrun(processes: int, *files: str) -> None:
    """Start processes as torchrun does; each trains on the files one after the other, "FILE:4" pauses after 4 steps."""
    (port,) = free_ports(1)
    base = {**os.environ, "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "WORLD_SIZE": str(processes)}
    base["OMP_NUM_THREADS"] = "1"
    running = [
        subprocess.Popen(
            [sys.executable, "-c", CODE, *files], cwd=ROOT, env={**base, "RANK": str(r), "LOCAL_RANK": "0"}
        )
        for r in range(processes)
    ]
    try:
        assert [p.wait(280) for p in running] == [0] * processes
    finally:
        for process in running:
            process.kill()


@pytest.mark.slow
def test_two_processes(make, tmp_path: Path) -> None:
    """Resumed equals uninterrupted bit for bit; and two processes equal one to rounding, on the same rows."""
    runs, files = {}, []
    for parallel in ("ddp", "fsdp"):
        settings = make(steps=8, runtime__parallel=parallel, batch__micro_rows=1)
        whole, halves = (other(settings, tmp_path / f"{parallel}-{name}") for name in ("whole", "halves"))
        runs[parallel] = (whole, halves)
        first, second = (str(_write(s, tmp_path / f"{Path(s.output).name}.yaml")) for s in (whole, halves))
        files += [first, f"{second}:4", second]
    _torchrun(2, *files)
    train(settings)
    for whole, halves in runs.values():
        assert same_weights(checkpoint.newest(whole.output), checkpoint.newest(halves.output))
        assert losses(whole.output) == losses(halves.output)
        for step, loss in losses(settings.output).items():
            assert loss == pytest.approx(losses(whole.output)[step], rel=1e-4)


SIGNALLED = """
import os
from pathlib import Path
from corpusmill.training import checkpoint
from corpusmill.training.metrics import Metrics
number, step = int(os.environ["NUMBER"]), int(os.environ["STEP"])
flush, begin, advance = checkpoint._flush, Metrics.__init__, Metrics.advance
def on_flush(path):
    if os.environ["WHERE"] == "checkpoint" and f"-step-{step:08}-" in str(path):
        os.kill(os.getpid(), number)
    flush(path)
def on_begin(self, settings, start, *rest):
    begin(self, settings, start, *rest)
    self.at = start
def on_advance(self, loss=None, tokens=0):
    self.at += 1
    if os.environ["WHERE"] == "step" and self.at == step:
        os.kill(os.getpid(), number)
    advance(self, loss, tokens)
Metrics.__init__ = on_begin
checkpoint._flush, Metrics.advance = on_flush, on_advance
"""


def _signalled(file: Path, number: int, where: str, step: int) -> tuple[int, int]:
    """(exit code, step of the last checkpoint) of a process that gets a signal in a step, or half way in its checkpoint."""
    env = {**os.environ, "OMP_NUM_THREADS": "1", "NUMBER": str(int(number)), "WHERE": where, "STEP": str(step)}
    done = subprocess.run([sys.executable, "-c", SIGNALLED + CODE, str(file)], cwd=ROOT, env=env, check=False)
    return done.returncode, checkpoint.read_state(checkpoint.newest(file.parent / "run"))["step"]


@pytest.mark.slow
def test_kill_and_term(make, tmp_path: Path) -> None:
    """kill -9 loses what came after the last checkpoint; SIGTERM loses nothing; both then go on to the same weights."""
    settings = make(steps=50, checkpoint__every=5, checkpoint__keep=3)
    whole = other(settings, tmp_path / "whole")
    train(whole)
    file = _write(settings, tmp_path / "run.yaml")
    assert _signalled(file, signal.SIGKILL, "step", 12) == (-signal.SIGKILL, 10)
    assert _signalled(file, signal.SIGKILL, "checkpoint", 20) == (-signal.SIGKILL, 15)
    assert list((Path(settings.output) / "checkpoints").glob(".part-*"))
    assert _signalled(file, signal.SIGINT, "step", 22) == (0, 23)
    assert _signalled(file, signal.SIGTERM, "step", 27) == (0, 28)  # looked at once a step
    assert len(losses(settings.output)) == 28
    train(settings)
    assert same_weights(checkpoint.newest(whole.output), checkpoint.newest(settings.output))
    assert losses(whole.output) == losses(settings.output)
    assert not list((Path(settings.output) / "checkpoints").glob(".part-*"))


def test_other_settings_are_refused(make) -> None:
    train(make(steps=2))
    with pytest.raises(DatasetError, match=r"optimizer\.lr: 0\.01 -> 0\.02"):
        train(make(steps=2, optimizer__lr=0.02))
    with pytest.raises(RecipeError, match="resume: true"):
        train(make(steps=2, resume=False))
    train(make(steps=4, allow_other_settings=True))
    with pytest.raises(DatasetError, match="another shape"):
        train(make(steps=4, model__width=32, allow_other_settings=True))


def test_other_snapshot_is_refused(make, tmp_path: Path, shards: Path) -> None:
    train(make(steps=2))
    shutil.copytree(shards, tmp_path / "shards")
    (tmp_path / "shards" / "part-1.arrow").unlink()
    values = {"steps": 2, "data__train": str(tmp_path / "shards")}
    with pytest.raises(DatasetError, match="another data"):
        train(make(**values))
    train(make(**values, allow_other_data=True))


def test_nan_stops_and_the_last_checkpoint_is_intact(make) -> None:
    settings = make(optimizer__lr=1e30, schedule__warmup=0, optimizer__max_norm=0, checkpoint__every=1)
    with pytest.raises(TrainingError, match="weights were not updated"):
        train(settings)
    kept = read_tensors(checkpoint.newest(settings.output) / "model.safetensors")
    assert kept


def test_full_disk(make, monkeypatch: pytest.MonkeyPatch) -> None:
    """The disk fills up while a checkpoint is written: one error, no torn folder, the earlier one readable."""
    settings = make(steps=4, checkpoint__every=2)
    train(settings, stop_at=2)
    before = checkpoint.newest(settings.output)

    def refuse(handle: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", refuse)
    with pytest.raises(TrainingError, match=r"No space left.*step-00000002, is intact"):
        train(settings)
    monkeypatch.undo()
    assert checkpoint.newest(settings.output) == before
    assert os.listdir(before.parent) == [before.name]
    train(settings)


def test_early_stopping_keeps_the_best(make, tmp_path: Path, tokenizer: Path) -> None:
    values = {"evaluation__every": 5, "evaluation__patience": 2, "optimizer__lr": 0.05, "checkpoint__keep": 1}
    from tests.training.conftest import sentences, write_shards

    rng = np.random.default_rng(3)
    shuffled = [" ".join(rng.permutation(text.split())) for text in sentences(20, seed=5)]
    held = write_shards(tmp_path / "held", tokenizer, shuffled)
    settings = make(steps=400, data__validation=str(held), **values)
    result = train(settings)
    assert "best at step" in result["stopped"]
    assert result["step"] < 400
    names = sorted(os.listdir(Path(settings.output) / "checkpoints"))
    assert names == sorted({f"step-{result['best_step']:08}", f"step-{result['step']:08}"})
    again = train(settings)  # the run is over: asked again it takes no further step
    assert (again["step"], again["stopped"]) == (result["step"], result["stopped"])
    assert sorted(os.listdir(Path(settings.output) / "checkpoints")) == names


def test_rows_at_hand(make, shards: Path) -> None:
    """Rows given as arrays train as the shards that they were read from do."""
    data = Shards(shards)
    settings = make(steps=3)
    train(settings)
    expected = losses(settings.output)
    given = make(steps=3, output=settings.output + "-arrays")
    train(given, data=Arrays(data.rows(np.arange(len(data)))))
    assert losses(given.output) == expected


def test_keeps_the_last(make) -> None:
    settings = make(steps=6, checkpoint__every=1, checkpoint__keep=2)
    train(settings)
    assert sorted(os.listdir(Path(settings.output) / "checkpoints")) == ["step-00000005", "step-00000006"]
