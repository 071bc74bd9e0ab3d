"""What MosaicML's StreamingDataset reads: `corpusmill export out/rows out/mds --to mds` writes shards and index.json. With the
package mosaicml-streaming: `StreamingDataset(local="out/mds", batch_size=8)`."""

import json
from pathlib import Path

index = json.loads(Path("out/mds/index.json").read_text())
columns = index["shards"][0]["column_names"]
samples = sum(shard["samples"] for shard in index["shards"])
sizes = {shard["raw_data"]["basename"]: shard["raw_data"]["bytes"] for shard in index["shards"]}
assert all((Path("out/mds") / name).stat().st_size == size for name, size in sizes.items())
print(f"{samples} samples in {len(sizes)} shards, columns {columns}")
