"""The runs that trained on a snapshot, with their losses: for curves."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterable
from dataclasses import dataclass

from corpusmill.pipelines.dataset.snapshot import Dataset
from corpusmill.pipelines.operations.lineage import stored
from corpusmill.transforms import storage
from corpusmill.transforms.errors import DatasetError
from corpusmill.transforms.manifest import Manifest

METRICS = "metrics.jsonl"


@dataclass(frozen=True)
class TrainingRun:
    """A run. loss, validation: (step, nats a token), as they were written; path: its folder."""

    path: str
    loss: list[tuple[int, float]]
    validation: list[tuple[int, float]]


def of_snapshot(reader: Dataset, manifest: Manifest, models: Iterable[str] = ()) -> list[TrainingRun]:
    """Runs in `models`, those that `run` trained on the snapshot, and those that takedowns know to be made from it.

    Raises:
        DatasetError: a folder of `models` holds no run.
    """
    folders = {os.path.normpath(m): True for m in models}
    trained = f"{os.path.normpath(reader.path)}-model/{manifest['number']:06}"
    folders.setdefault(trained, False)
    for path, entry in stored(reader.path).derived.items():
        if manifest["number"] in entry.get("snapshots", []):
            checkpoint = os.path.basename(path).startswith("step-")  # OUTPUT/checkpoints/step-00000500
            home = os.path.dirname(os.path.dirname(path)) if checkpoint else path
            folders.setdefault(home, False)
    found = []
    for folder, asked in folders.items():
        run = _read(folder)
        if run is None and asked:
            raise DatasetError(f"{folder}: holds no training run: there is no {METRICS} with a loss in it")
        if run is not None:
            found.append(run)
    return found


def _read(folder: str) -> TrainingRun | None:
    try:
        lines = storage.read_bytes(os.path.join(folder, METRICS)).decode("utf-8", "replace").splitlines()
    except OSError:
        return None
    loss: list[tuple[int, float]] = []
    validation: list[tuple[int, float]] = []
    for line in lines:
        try:
            row = json.loads(line)
            step = int(row["step"])
        except (ValueError, KeyError, TypeError):
            continue  # torn by a crash
        for name, series in (("loss", loss), ("validation_loss", validation)):
            value = row.get(name)
            if isinstance(value, int | float) and math.isfinite(value):
                series.append((step, float(value)))
    return TrainingRun(folder, loss, validation) if loss or validation else None
