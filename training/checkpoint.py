"""Checkpoints: safetensors and JSON, written whole or not at all. No pickle.

    OUTPUT/checkpoints/step-00000500/
        model.safetensors       the parameters that train (all of them, the adapters, or the prompt)
        optimizer.safetensors   AdamW's two means of each of them, NAME.exp_avg and NAME.exp_avg_sq
        state.json              step, epoch, digests of data, tokenizer and settings, best loss, model shape;
                                SHA-256 of the other files, and of itself
        tokenizer.json          so that the folder serves on its own

A folder is written under a temporary name, flushed to disk, and renamed, so a crash leaves the previous one intact.
Everything that is read is compared with its checksum first; otherwise training would continue on a flipped bit.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

from corpusmill.transforms.errors import BadFileError, DatasetError, RecipeError, TrainingError

if TYPE_CHECKING:
    from torch import Tensor

FOLDER = "checkpoints"
FORMAT = 1


def step_name(step: int) -> str:
    """Name of the folder of a step's checkpoint."""
    return f"step-{step:08}"


def newest(output: str | Path) -> Path | None:
    """The last checkpoint of a run, or None."""
    folders = sorted((Path(output) / FOLDER).glob("step-*"))
    return folders[-1] if folders else None


def to_resume(output: str | Path, resume: bool) -> Path | None:
    """As `newest`; an error if the run must not resume."""
    last = newest(output)
    if last is not None and not resume:
        raise RecipeError(f"{output}: already holds {last.name}. Set resume: true, or train into another folder.")
    return last


def find(path: str | Path) -> Path:
    """The checkpoint at `path`: itself, or the newest of a run's folder.

    Raises DatasetError where there is none.
    """
    path = Path(path)
    if (path / "state.json").exists():
        return path
    last = newest(path)
    if last is None:
        raise DatasetError(f"{path}: holds no checkpoint. Give a run's folder or one of its checkpoints/step-*.")
    return last


def write(
    output: str | Path,
    model: dict[str, Tensor],
    optimizer: dict[str, Tensor],
    state: dict[str, Any],
    tokenizer: bytes | None,
    keep: int,
    protect: int | None = None,
) -> Path:
    """Write the checkpoint of step `state["step"]`, then delete all but the `keep` newest and that of step `protect`.

    Raises TrainingError when the disk refuses; earlier checkpoints are untouched.
    """
    from safetensors.torch import save_file

    folder = Path(output) / FOLDER
    target = folder / step_name(state["step"])
    part = folder / f".part-{target.name}-{os.getpid()}"
    try:
        part.mkdir(parents=True)
        save_file(model, part / "model.safetensors")
        save_file(optimizer, part / "optimizer.safetensors")
        if tokenizer is not None:
            (part / "tokenizer.json").write_bytes(tokenizer)
        sums = {file.name: _sha256(file) for file in part.iterdir()}
        (part / "state.json").write_text(sealed({"format": FORMAT, **state, "files": sums}), encoding="utf-8")
        for file in [*part.iterdir(), part]:
            _flush(file)
        if target.exists():  # written by a run that was told to start over
            target.rename(part.with_name(f"{part.name}-old"))
        part.rename(target)
        _flush(folder)
    except Exception as error:  # safetensors has an error type of its own for a full disk
        shutil.rmtree(part, ignore_errors=True)
        last = newest(output)
        kept = f"the last checkpoint, {last}, is intact" if last else "there is no earlier checkpoint"
        raise TrainingError(
            f"{target}: the checkpoint could not be written ({error}); {kept}. Free space, or look after the "
            "disk; then run the same command again."
        ) from error
    for old in sorted(folder.glob("step-*"))[:-keep]:
        if protect is None or old.name != step_name(protect):
            shutil.rmtree(old, ignore_errors=True)
    for left in folder.glob(".part-*"):
        shutil.rmtree(left, ignore_errors=True)
    return target


def _flush(path: Path) -> None:
    """Force a file's or folder's content to disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _sha256(file: Path) -> str:
    with file.open("rb") as f:
        return hashlib.file_digest(f, "sha256").hexdigest()


def sealed(state: dict[str, Any]) -> str:
    """The text of state.json: a state with its own SHA-256 as `digest`."""
    return json.dumps(state | {"digest": _digest(state)}, indent=1, sort_keys=True)


def _digest(state: dict[str, Any]) -> str:
    rest = {name: value for name, value in state.items() if name != "digest"}
    return hashlib.sha256(json.dumps(rest, sort_keys=True).encode()).hexdigest()


def _todo(folder: Path) -> str:
    return f"restore it from a copy, or delete {folder}, and the checkpoint before it is the newest"


def verify(folder: Path, name: str) -> None:
    """Compare a file of a checkpoint with its checksum in state.json. Folders and checkpoints without checksums pass.

    Raises BadFileError if the file has changed.
    """
    if not (folder / "state.json").exists():  # an exported folder
        return
    expected = read_state(folder).get("files", {}).get(name)
    if expected is not None and _sha256(folder / name) != expected:
        raise BadFileError(str(folder / name), "is not what was written: its SHA-256 is another one", _todo(folder))


def weights_digest(folder: Path) -> str:
    """SHA-256 of the weights files in a folder, without those of an optimizer."""
    seen = hashlib.sha256()
    for file in sorted(folder.glob("*.safetensors")):
        if file.name != "optimizer.safetensors":
            with file.open("rb") as f:
                seen.update(hashlib.file_digest(f, "sha256").digest())
    return seen.hexdigest()


def read_state(path: Path) -> dict[str, Any]:
    """`state.json` of a checkpoint, compared with its own checksum.

    Raises BadFileError for one that is damaged, DatasetError for one of another format.
    """
    file, todo = str(path / "state.json"), _todo(path)
    try:
        state = json.loads(Path(file).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise BadFileError(file, f"cannot be read ({error})", todo) from error
    if not isinstance(state, dict):
        raise BadFileError(file, "is not the state of a checkpoint", todo)
    if state.get("format") != FORMAT:
        raise DatasetError(
            f"{path}: has format {state.get('format')}, this version reads {FORMAT}. Use the version that wrote it."
        )
    if {"digest", "files"} & set(state) and state.get("digest") != _digest(state):  # earlier versions have neither
        raise BadFileError(file, "is not what was written: its SHA-256 is another one", todo)
    return state


def read_tensors(file: Path) -> dict[str, Tensor]:
    """The tensors of a safetensors file of a checkpoint, compared with its checksum, on the CPU. Raises BadFileError."""
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        tensors = load_file(file)
    except (OSError, SafetensorError) as error:
        raise BadFileError(str(file), f"is not a whole safetensors file ({error})", _todo(file.parent)) from error
    verify(file.parent, file.name)
    return tensors


def check_same(
    path: Path, state: dict[str, Any], digests: dict[str, str], allowed: dict[str, bool], shaping: Any
) -> None:
    """Refuse to resume over another snapshot, tokenizer or recipe, and say what differs."""
    for name, digest in digests.items():
        if state["digests"].get(name) == digest or allowed.get(name):
            continue
        if name == "settings":
            changes = "; ".join(differences(state["settings"], shaping))
            raise DatasetError(
                f"{path}: was trained with other settings: {changes}. Train into another folder, or set "
                "allow_other_settings: true."
            )
        raise DatasetError(
            f"{path}: was trained on another {name} ({state['digests'].get(name, 'none')[:12]}, now {digest[:12]}). Name the "
            "one it was trained on, train into another folder, or set allow_other_data: true."
        )


def differences(old: Any, new: Any, key: str = "") -> list[str]:
    """ "key: old -> new" for each value that differs.

    >>> differences({"a": {"b": 1}}, {"a": {"b": 2}})
    ['a.b: 1 -> 2']
    """
    if isinstance(old, dict) and isinstance(new, dict):
        return [
            d for k in sorted({*old, *new}) for d in differences(old.get(k), new.get(k), f"{key}.{k}" if key else k)
        ]
    return [] if old == new else [f"{key}: {old} -> {new}"]
