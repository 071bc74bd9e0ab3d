"""Packed rows as a torch dataset."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from corpusmill.training.data import Shards


class PackedRows(torch.utils.data.Dataset[dict[str, torch.Tensor]]):
    """Rows of tokens from memory-mapped Arrow shards: a mapping of column to int64 tensor [length] each.

    A `DataLoader` asks for a batch of rows at once. Workers that are spawned open the shards anew.
    """

    def __init__(self, path: str, number: int, columns: tuple[str, ...]) -> None:
        self._path, self._number, self._columns = path, number, columns
        self._shards = Shards(path, number)

    def __len__(self) -> int:
        return len(self._shards)

    def __getitem__(self, index: int) -> dict[str, torch.Tensor]:
        if not -len(self) <= index < len(self):
            raise IndexError(f"row {index} of {len(self):,}")
        return self.__getitems__([index % len(self)])[0]

    def __getitems__(self, indices: list[int]) -> list[dict[str, torch.Tensor]]:
        """Several rows at once, as `DataLoader` asks for them."""
        rows = self._shards.rows(np.asarray(indices, np.int64))
        columns = {name: torch.from_numpy(rows[name]) for name in self._columns}
        return [{name: column[i] for name, column in columns.items()} for i in range(len(indices))]

    def __getstate__(self) -> dict[str, Any]:
        return {k: v for k, v in self.__dict__.items() if k != "_shards"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._shards = Shards(self._path, self._number)
