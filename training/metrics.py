"""Reports of a run: metrics.jsonl, a progress bar on a terminal, and TensorBoard files if it is installed."""

from __future__ import annotations

import contextlib
import json
import os
from pathlib import Path
from typing import Any

from corpusmill.training.settings import TrainSettings


class Metrics:
    """Writes only on the first process. A resumed run removes lines after its checkpoint."""

    def __init__(self, settings: TrainSettings, start: int, steps: int, active: bool) -> None:
        self.active, self.steps = active, steps
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
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

        console = Console(stderr=True)
        columns = (
            TextColumn("train"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.description}"),
            TimeRemainingColumn(),
        )
        self.progress = self.stack.enter_context(Progress(*columns, console=console, disable=not console.is_terminal))
        self.task = self.progress.add_task("", total=steps, completed=start)

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
        """Print a sentence above the progress bar, on standard error."""
        if self.active:
            self.progress.console.print(text, markup=False, highlight=False, soft_wrap=True)

    def advance(self, step: int, loss: float) -> None:
        """Move the progress bar."""
        if self.active:
            self.progress.update(self.task, completed=step, description=f"loss {loss:.3f}")


def _step(line: str) -> float:
    """The step of a line; of a line torn by a crash, infinity."""
    try:
        return float(json.loads(line)["step"])
    except (ValueError, KeyError, TypeError):
        return float("inf")
