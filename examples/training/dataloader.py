"""Packed rows in a torch DataLoader: with corpusmill's reader, and without a line of corpusmill."""

import json

import numpy as np
import pyarrow as pa
import torch

import corpusmill

rows = corpusmill.open("out/rows").torch()
for batch in torch.utils.data.DataLoader(rows, batch_size=8, shuffle=True):
    ids, segment = batch["input_ids"], batch["segment_ids"]
    # a token sees earlier tokens of its own document; padding has segment 0
    sees = (segment[:, :, None] == segment[:, None, :]).tril() & (segment > 0)[:, :, None]
    # the next token counts where it belongs to the same document
    counts = (segment[:, 1:] > 0) & (segment[:, 1:] == segment[:, :-1])
print(f"{len(rows)} rows, the last batch {tuple(ids.shape)}, {int(counts.sum())} tokens to predict")
assert sees.shape == (*ids.shape, ids.shape[1])


class Rows(torch.utils.data.Dataset):
    """The same rows, straight from the memory-mapped shards of a snapshot."""

    def __init__(self, folder: str, snapshot: int) -> None:
        with open(f"{folder}/snapshots/{snapshot:06d}.json") as file:
            shards = [f"{folder}/{shard['path']}" for shard in json.load(file)["files"]]
        table = pa.concat_tables([pa.ipc.open_file(pa.memory_map(shard)).read_all() for shard in shards])
        self.columns = {name: table[name] for name in ("input_ids", "segment_ids", "position_ids")}

    def __len__(self) -> int:
        return len(self.columns["input_ids"])

    def __getitem__(self, i: int) -> dict[str, torch.Tensor]:
        return {n: torch.from_numpy(c[i].values.to_numpy().astype(np.int64)) for n, c in self.columns.items()}


again = Rows("out/rows", 1)
assert all(again[i]["input_ids"].equal(rows[i]["input_ids"]) for i in range(len(rows)))
