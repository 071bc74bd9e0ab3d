"""What Megatron-LM maps into memory, read with numpy as its IndexedDataset does: `corpusmill export out/rows out/megatron --to
megatron` writes PREFIX.bin and PREFIX.idx; give PREFIX to `--data-path`."""

import struct
from pathlib import Path

import numpy as np

index = min(Path("out/megatron").glob("*.idx"))  # one pair of files a shard
data = index.read_bytes()
assert data[:9] == b"MMIDIDX\x00\x00"
version, code, sequences, documents = struct.unpack_from("<QBQQ", data, 9)
dtype = {4: np.int32, 8: np.uint16}[code]
lengths = np.frombuffer(data, np.int32, sequences, 34)
pointers = np.frombuffer(data, np.int64, sequences, 34 + 4 * sequences)
tokens = np.memmap(index.with_suffix(".bin"), dtype, mode="r")
first = tokens[: lengths[0]]
assert pointers[0] == 0
assert tokens.size == lengths.sum()
print(f"{sequences} sequences, {tokens.size} tokens, the first begins {first[:5].tolist()}")
