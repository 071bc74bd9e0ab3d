"""Text to training rows: train a tokenizer, encode, pack into rows of a fixed length, write the formats trainers read.

A trainer needs none of this package. Rows of a published Arrow shard, memory-mapped, in a torch DataLoader:

    import numpy as np, pyarrow as pa, torch

    class Rows(torch.utils.data.Dataset):
        def __init__(self, path):
            table = pa.ipc.open_file(pa.memory_map(path)).read_all()
            self.columns = {n: table[n] for n in ("input_ids", "segment_ids", "position_ids")}
        def __len__(self):
            return len(self.columns["input_ids"])
        def __getitem__(self, i):
            return {n: torch.from_numpy(c[i].values.to_numpy().astype(np.int64)) for n, c in self.columns.items()}

    for batch in torch.utils.data.DataLoader(Rows("part-00000.arrow"), batch_size=8, shuffle=True):
        ids, segment = batch["input_ids"], batch["segment_ids"]
        sees = (segment[:, :, None] == segment[:, None, :]).tril()     # a document sees itself alone, and only backwards
        counts = (segment[:, 1:] > 0) & (segment[:, 1:] == segment[:, :-1])  # targets: no padding, no other document

or `datasets.load_dataset("arrow", data_files="part-*.arrow", split="train").with_format("torch")`.
"""
