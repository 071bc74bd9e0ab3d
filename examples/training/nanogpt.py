"""What nanoGPT's train.py reads: `corpusmill export out/rows out/nanogpt --to nanogpt` writes train.bin, one uint16 a token."""

from pathlib import Path

import numpy as np

length = 64
data = np.memmap(min(Path("out/nanogpt").glob("*.bin")), dtype=np.uint16, mode="r")
starts = np.random.default_rng(0).integers(0, len(data) - length, 4)
x = np.stack([data[i : i + length] for i in starts]).astype(np.int64)
y = np.stack([data[i + 1 : i + 1 + length] for i in starts]).astype(np.int64)
assert (x[:, 1:] == y[:, :-1]).all()
print(f"{len(data)} tokens, a batch of {x.shape}")
