"""Reports of a run: metrics.jsonl, progress, and TensorBoard files if it is installed."""

from __future__ import annotations

import contextlib
import json
import os
import sys
from pathlib import Path
from typing import Any

from corpusmill.training.settings import TrainSettings
from corpusmill.transforms.display import printable
from corpusmill.transforms.progress import Meter, Tell


class Metrics:
    """Writes only on the first process. A resumed run removes lines after its checkpoint. tell: takes reports of progress."""

    def __init__(self, settings: TrainSettings, start: int, steps: int, active: bool, tell: Tell | None = None) -> None:
        self.active = active
        self.stack = contextlib.ExitStack()
        if not active:
            return
        output = Path(settings.output)
        output.mkdir(parents=True, exist_ok=True)
        path = output / "metrics.jsonl"
        if path.exists():
            kept = [line for line in path.read_text().splitlines() if _step(line) <= start]
            part = path.with_suffix(".part")
            part.write_text("".join(line + "\n" for line in kept))
            os.replace(part, path)
        self.file = self.stack.enter_context(path.open("a", buffering=1))  # a line at a time
        self.board: Any = None
        if settings.runtime.tensorboard:
            with contextlib.suppress(ImportError):
                from torch.utils.tensorboard import SummaryWriter

                self.board = self.stack.enter_context(SummaryWriter(str(output / "tensorboard"), purge_step=start))
        self.meter = self.stack.enter_context(
            Meter(tell if start < steps else None, "train", steps, "step", done=start)
        )

    def __enter__(self) -> Metrics:
        return self

    def __exit__(self, *error: object) -> None:
        self.stack.close()

    def write(self, step: int, values: dict[str, Any]) -> None:
        """One line {"step": ..., name: value}; numbers go to TensorBoard too."""
        if not self.active:
            return
        self.file.write(json.dumps({"step": step, **values}) + "\n")
        if self.board is not None:
            for name, value in values.items():
                if isinstance(value, int | float):
                    self.board.add_scalar(name, value, step)

    def say(self, text: str) -> None:
        """Print a sentence on standard error."""
        if self.active:
            print(printable(text), file=sys.stderr, flush=True)

    def advance(self, loss: float | None = None, tokens: int = 0) -> None:
        """Report that a step is done. tokens: its targets."""
        if self.active:
            self.meter.add(1, tokens=tokens, note="" if loss is None else f"loss {loss:.3f}")


def _step(line: str) -> float:
    """The step of a line; of a line torn by a crash, infinity."""
    try:
        return float(json.loads(line)["step"])
    except (ValueError, KeyError, TypeError):
        return float("inf")
