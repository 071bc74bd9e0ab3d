"""`corpusmill.run`: from a recipe to a committed snapshot."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from corpusmill.dataset import Dataset
from corpusmill.pipelines import run as engine
from corpusmill.pipelines.recipe import model
from corpusmill.recipe import from_mapping
from corpusmill.transforms.manifest import Funnel


@dataclass(frozen=True, repr=False)
class RunResult:
    """What a run did.

    committed: False where nothing was new; dataset: the newest snapshot; seconds, cpu_seconds: of this run; restored: files of
    that snapshot that were missing and were written again.
    """

    committed: bool
    dataset: Dataset
    seconds: float
    cpu_seconds: float
    restored: int = 0

    @property
    def snapshot(self) -> int:
        """Number of the newest snapshot."""
        return self.dataset.number

    @property
    def funnel(self) -> Funnel:
        """Rows read, and for each step rows in, out, derived and dropped by reason."""
        return self.dataset.funnel

    def __repr__(self) -> str:
        done = "committed" if self.committed else "nothing new"
        return f"RunResult({done}, {self.dataset!r}, {self.seconds:.1f} s)"

    def _repr_html_(self) -> str:
        return self.dataset._repr_html_()


def run(
    recipe: str | os.PathLike[str] | Mapping[str, Any] | model.Recipe,
    *,
    overrides: Sequence[str] = (),
    workers: int | None = None,
    runner: str = "local",
    options: Sequence[str] = (),
    progress: Callable[[engine.Progress], None] | None = None,
    as_new: bool = False,
) -> RunResult:
    """Run a recipe and commit the next snapshot of its dataset, or find that nothing is new.

    The section `train` of a recipe is not carried out: `corpusmill run` and `corpusmill train` do that.

    Args:
        recipe: a YAML file; a mapping of what the file would hold, with paths relative to the working directory; a `Recipe`.
        overrides: for a file: `steps.minhash.threshold=0.9`, as `--set` on the command line.
        workers: cores to use; all of them by default.
        runner: `local`, `dask`, `portable` or `dataflow`.
        options: Beam options for the runner.
        progress: called a few times a second with how far the running stage is.
        as_new: ignore arrival history: repack shards and choose duplicates again.

    Raises:
        RecipeError: the recipe is wrong; the message lists every mistake.
        LockedError: another process is writing the dataset.
        ExpectationError: the snapshot would break the recipe's `expect`; nothing was committed.
        CorpusmillError: nothing was committed; what is finished is kept, and the same call goes on from there.
    """
    if isinstance(recipe, Mapping):
        recipe = from_mapping(recipe, Path())
    elif not isinstance(recipe, model.Recipe):
        recipe = model.load(os.fspath(recipe), overrides)
    done = engine.run(recipe, workers=workers, runner=runner, options=options, progress=progress, as_new=as_new)
    dataset = Dataset(recipe.dataset, done.snapshot)
    return RunResult(done.committed, dataset, done.seconds, done.cpu_seconds, done.restored)
