"""Which rows of a batch belong to which unit of privacy."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor


@dataclass(frozen=True)
class Layout:
    """Which rows of a batch make up which unit.

    units: their number U; slots: int64 [U, K], the rows of each unit, -1 for none; None where row i is unit i;
    weights: float [B], 1 / (rows of the row's unit).
    """

    units: int
    slots: Tensor | None
    weights: Tensor

    @classmethod
    def of(cls, unit_of_row: np.ndarray, device: torch.device | str = "cpu") -> Layout:
        """Of unit numbers 0 ... U - 1, one a row."""
        counts = np.bincount(unit_of_row)
        weights = torch.from_numpy((1.0 / counts[unit_of_row]).astype(np.float32)).to(device)
        if len(counts) == len(unit_of_row) and (unit_of_row == np.arange(len(counts))).all():
            return cls(len(counts), None, weights)
        slots = np.full((len(counts), counts.max()), -1, np.int64)
        order = np.argsort(unit_of_row, kind="stable")
        first = np.cumsum(counts) - counts
        slots[unit_of_row[order], np.arange(len(order)) - np.repeat(first, counts)] = order
        return cls(len(counts), torch.from_numpy(slots).to(device), weights)

    def group(self, x: Tensor, zero: bool = False) -> Tensor:
        """[B, ...] to [U, positions of all rows of the unit, ...]; positions without a row are 0 if `zero`."""
        if self.slots is None:
            return x
        y = x[self.slots.clamp(min=0)]
        if zero:
            y[self.slots < 0] = 0
        return y.flatten(1, 2)

    def group_positions(self, x: Tensor, zero: bool = False, last: int = 1) -> Tensor:
        """As `group` for [B, positions..., d] and, with `last` 0, for [B, positions...]; a row without positions has one."""
        if self.slots is None:
            return x
        return self.group(x.unsqueeze(1) if x.dim() == 1 + last else x, zero)

    def sum(self, x: Tensor) -> Tensor:
        """[B, ...] summed over the rows of each unit: [U, ...]."""
        if self.slots is None:
            return x
        rows = torch.where(self.slots >= 0)
        out = x.new_zeros(self.units, *x.shape[1:])
        return out.index_add_(0, rows[0], x[self.slots[rows]])
