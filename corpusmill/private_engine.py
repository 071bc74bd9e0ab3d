"""Private training in a loop of your own, for those who know `PrivacyEngine.make_private` of Opacus.

    engine = corpusmill.PrivacyEngine("out/calls")                 # the ledger beside the dataset
    run = engine.make_private(
        module=model, optimizer=optimizer, dataset=corpusmill.open("out/calls"), collate=to_tensors, loss=loss_of_each_row,
        steps=300, expected_batch_size=256, target_epsilon=6.0, max_grad_norm=1.0, max_rows=4,
    )
    for step in run:                                               # draws, clips, adds noise, and steps the optimizer
        print(step)
    run.guarantee                                                  # what may be said of the model

Beside what Opacus does: the dataset must be certified, units may have several rows, gradients are checked before the first step,
and the budget is reserved in the ledger before data is read. A run lives in memory: what a crash leaves reserved stays spent.
`corpusmill train` resumes, and writes checkpoints with their guarantee.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from corpusmill.dataset import Dataset
from corpusmill.transforms.errors import BudgetError, PrivacyError

if TYPE_CHECKING:
    import pyarrow as pa
    import torch
    from torch import Tensor, nn

    from corpusmill.privacy.guarantee import Guarantee
    from corpusmill.privacy.sgd import Private


class PrivacyEngine:
    """Makes private runs that one ledger pays for."""

    def __init__(self, ledger: str | Path) -> None:
        """ledger: a privacy.jsonl, or the dataset folder that holds one (`corpusmill privacy budget` begins it)."""
        from corpusmill.privacy.ledger import Ledger

        self.ledger = Ledger(ledger)

    def make_private(
        self,
        *,
        module: nn.Module,
        optimizer: torch.optim.Optimizer,
        dataset: Dataset,
        collate: Callable[[pa.Table], dict[str, Tensor]],
        loss: Callable[[nn.Module, dict[str, Tensor]], Tensor],
        steps: int,
        expected_batch_size: int,
        target_epsilon: float | None = None,
        noise_multiplier: float | None = None,
        max_grad_norm: float = 1.0,
        max_rows: int = 1,
        mode: str = "hooks",
        micro_rows: int = 32,
        what: str = "private training",
    ) -> PrivateRun:
        """Reserve the budget, check the model, and give the run.

        Args:
            module: trains in place; parameters that require no gradient stay as they are.
            optimizer: over its parameters; stepped with private gradients.
            dataset: a snapshot of documents. Its recipe is certified for the ledger's unit.
            collate: of rows of the dataset to columns of tensors, one entry a row, each row by itself.
            loss: of (module, columns): one loss a row [B], a mean over the row's own tokens.
            expected_batch_size: privacy units that join a step on average; the ledger's `units` is their public number.
            target_epsilon, noise_multiplier: one of the two; epsilon is where the ledger may stand afterwards.
            max_rows: of one unit; the average of their gradients is clipped to max_grad_norm.
            mode: hooks (Opacus), fast or ghost.
            micro_rows: rows that go through the module at once.

        Raises:
            PrivacyError: the data is not certified, a unit has too many rows, or gradients of rows cannot be told apart.
            BudgetError: the ledger has less left than the run would spend. No data has been read then.
        """
        from corpusmill.pipelines.recipe.certify import of_snapshot
        from corpusmill.privacy.accounting import sigma_for
        from corpusmill.privacy.certification import dataset_of, private_paths
        from corpusmill.privacy.dp_settings import DpSettings
        from corpusmill.privacy.guarantee import of_run
        from corpusmill.privacy.secret import Secret
        from corpusmill.privacy.sgd import Private
        from corpusmill.privacy.units import Units, unit_of

        if (target_epsilon is None) == (noise_multiplier is None):
            raise PrivacyError("give target_epsilon or noise_multiplier, one of the two.")
        budget = self.ledger.budget
        unit, units = str(budget["unit"]), budget.get("units")
        if not units:
            raise BudgetError(f"{self.ledger.path}: names no public number of units. Begin a ledger with `--units N`.")
        home = dataset_of(dataset.path)
        if home is None:
            raise PrivacyError(f"{dataset.path}: is no dataset of corpusmill; run a recipe on it first.")
        certification = of_snapshot(home, dataset.number, unit)
        certification.require()
        certification.assume(
            "the module, its first weights and the settings of the run were made from public data only"
        )
        rate = expected_batch_size / int(units)
        if rate > 1:
            raise PrivacyError(
                f"expected_batch_size: {expected_batch_size} is more than the {units} units of the ledger."
            )
        sigma = noise_multiplier
        if sigma is None:
            before = self.ledger.events()
            sigma = sigma_for(float(target_epsilon or 0), budget["delta"], rate, steps, before, self.ledger.accountant)
        settings = DpSettings.model_validate(
            {"steps": steps, "rate": rate, "sigma": sigma, "units": units, "clip": max_grad_norm, "mode": mode}
            | {"max_rows": max_rows, "micro_rows": micro_rows}
        )
        secret = Secret()
        sources = private_paths(str(home), dataset.number)
        spend = self.ledger.reserve(
            secret.name, settings.event(), what, unit, at_most=target_epsilon, token=secret.token, sources=sources
        )
        try:
            rows = dataset.to_arrow()
            private = Private(module, settings, Units.of(unit_of(rows, unit)), secret, spend)
            if len(rows) < 2:
                raise PrivacyError("private training needs at least two rows.")
            private.check(loss, collate(rows.take(_two(rows))))
        except Exception:
            spend.close(0)  # nothing was drawn
            raise
        guarantee = of_run(self.ledger, secret.name, certification)
        return PrivateRun(private, optimizer, rows, collate, loss, guarantee)


class PrivateRun:
    """A run to iterate over: each item is the number of steps that are done."""

    def __init__(
        self,
        private: Private,
        optimizer: torch.optim.Optimizer,
        rows: pa.Table,
        collate: Callable[[pa.Table], dict[str, Tensor]],
        loss: Callable[[nn.Module, dict[str, Tensor]], Tensor],
        guarantee: Guarantee,
    ) -> None:
        self.private, self.optimizer, self.guarantee = private, optimizer, guarantee
        self._rows, self._collate, self._loss = rows, collate, loss

    def __iter__(self) -> Iterator[int]:
        private = self.private
        for step in range(private.step, private.settings.steps):
            for rows in private.begin(step):
                batch = self._collate(self._rows.take(rows))
                private.add(partial(self._loss, private.model, batch), rows)
            private.finish()
            self.optimizer.step()
            self.optimizer.zero_grad(set_to_none=True)
            yield step + 1
        self.close()

    def close(self) -> None:
        """End the run: steps that did not run are given back. The model is as it was but for its weights."""
        self.private.close()


def _two(rows: pa.Table) -> np.ndarray:
    """Two rows with different texts, where there are such."""
    column: list[Any] = rows.column("text" if "text" in rows.schema.names else "id").to_pylist()
    other = next((i for i, value in enumerate(column) if value != column[0]), 1)
    return np.array([0, other])
