"""Checkpoints: whole or not there, named errors for what is damaged."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from corpusmill.training import build, checkpoint
from corpusmill.training.loop import train
from corpusmill.transforms.errors import BadFileError, DatasetError, TrainingError


def write(output: Path, step: int, keep: int = 2, protect: int | None = None) -> Path:
    tensors = {"a": torch.full((2,), float(step))}
    return checkpoint.write(output, tensors, tensors, {"step": step}, b"{}", keep, protect)


def test_keeps_and_protects(tmp_path: Path) -> None:
    for step in (1, 2, 3, 10):
        write(tmp_path, step, protect=2)
    names = sorted(p.name for p in (tmp_path / "checkpoints").iterdir())
    assert names == ["step-00000002", "step-00000003", "step-00000010"]
    assert checkpoint.find(tmp_path) == checkpoint.newest(tmp_path) == tmp_path / "checkpoints" / "step-00000010"
    again = write(tmp_path, 10)
    assert checkpoint.read_tensors(again / "model.safetensors")["a"].tolist() == [10.0, 10.0]
    assert checkpoint.read_state(again)["step"] == 10


def test_a_part_that_was_left_is_not_a_checkpoint(tmp_path: Path) -> None:
    left = tmp_path / "checkpoints" / ".part-step-00000009-1"
    left.mkdir(parents=True)
    assert checkpoint.newest(tmp_path) is None
    with pytest.raises(DatasetError, match="holds no checkpoint"):
        checkpoint.find(tmp_path)
    write(tmp_path, 1)
    assert not left.exists()


@pytest.mark.parametrize("after", range(1, 8))
def test_dies_at_any_operation(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, after: int) -> None:
    """The n-th flush, write or rename fails: the earlier checkpoint stays, the later one is whole or absent."""
    write(tmp_path, 1)
    calls = 0

    def failing(real):
        def call(*args, **kwargs):
            nonlocal calls
            calls += 1
            if calls == after:
                raise OSError(5, "Input/output error")
            return real(*args, **kwargs)

        return call

    monkeypatch.setattr("os.fsync", failing(checkpoint.os.fsync))
    monkeypatch.setattr(Path, "rename", failing(Path.rename))
    monkeypatch.setattr(Path, "write_text", failing(Path.write_text))
    with pytest.raises(TrainingError, match="Input/output error"):
        write(tmp_path, 2)
    monkeypatch.undo()
    for folder in (tmp_path / "checkpoints").glob("step-*"):
        step = checkpoint.read_state(folder)["step"]
        assert checkpoint.read_tensors(folder / "model.safetensors")["a"][0] == step
    assert (tmp_path / "checkpoints" / "step-00000001").exists()
    assert not list((tmp_path / "checkpoints").glob(".part-*"))


def test_damage(make) -> None:
    settings = make(steps=2)
    train(settings)
    folder = checkpoint.find(settings.output)
    weights = folder / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-8])
    with pytest.raises(BadFileError, match="is not a whole safetensors file"):
        build.load(settings.output)
    state = json.loads((folder / "state.json").read_text())
    (folder / "state.json").write_text(json.dumps(state | {"format": 99}))
    with pytest.raises(DatasetError, match="has format 99"):
        train(settings)
    (folder / "state.json").write_text("[]")
    with pytest.raises(BadFileError, match=r"is not the state of a checkpoint.*delete .*step-00000002"):
        build.load(settings.output)
    (folder / "state.json").write_text("{")
    with pytest.raises(BadFileError, match=r"state\.json: cannot be read"):
        train(settings)


def test_a_flipped_bit_in_any_file_is_refused(make) -> None:
    """Weights and optimizer state have no redundancy of their own: most flips give another number that trains on."""
    settings = make(steps=2)
    train(settings)
    folder = checkpoint.find(settings.output)
    longer = settings.model_copy(update={"steps": 4, "allow_other_settings": True})
    for file in sorted(folder.iterdir()):
        whole = file.read_bytes()
        for share in (0.02, 0.3, 0.5, 0.7, 0.9, 0.999):
            at = int(share * len(whole))
            file.write_bytes(whole[:at] + bytes([whole[at] ^ 4]) + whole[at + 1 :])
            if file.name == "tokenizer.json":
                with pytest.raises(BadFileError, match="is not what was written"):
                    build.load(settings.output)
                continue
            with pytest.raises((BadFileError, DatasetError)) as caught:
                train(longer)
            assert str(folder) in str(caught.value)
        file.write_bytes(whole)
    assert train(longer)["step"] == 4


def test_a_checkpoint_of_an_earlier_version_has_no_checksums_and_resumes(make) -> None:
    settings = make(steps=2)
    train(settings)
    file = checkpoint.find(settings.output) / "state.json"
    state = json.loads(file.read_text())
    file.write_text(json.dumps({name: value for name, value in state.items() if name not in ("files", "digest")}))
    assert train(settings.model_copy(update={"steps": 3, "allow_other_settings": True}))["step"] == 3


def test_no_pickle(make) -> None:
    settings = make(steps=1)
    train(settings)
    names = {p.name for p in checkpoint.find(settings.output).iterdir()}
    assert names == {"model.safetensors", "optimizer.safetensors", "state.json", "tokenizer.json"}


def test_differences() -> None:
    assert checkpoint.differences({"a": 1, "b": {"c": 2}}, {"b": {"c": 3}}) == ["a: 1 -> None", "b.c: 2 -> 3"]
