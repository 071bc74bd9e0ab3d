"""Input of the benchmarks: real text as Parquet shards, and the same again with edits."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numba import njit

from corpusmill.transforms.arrow import set_column, string_array, string_buffers
from corpusmill.transforms.hashing import GOLDEN, U, mix64
from tests.benchmarks.measure import ROOT

SHARED = ROOT / "../shared/data/corpus"
WORDS_AN_EDIT = 50
"""In a near copy one word in so many is another, and at least one a document."""


def corpus(scratch: Path) -> Path:
    """Folder of Parquet shards with `id` and `text`: the shared corpus, else the documentation found on this machine."""
    if any(SHARED.glob("*.parquet")):
        return SHARED.resolve()
    import yaml

    from corpusmill.pipelines.recipe.model import load
    from corpusmill.pipelines.run import run

    print(f"{SHARED} is absent: measuring on the documentation of this machine instead")
    recipe = scratch / "machine.yaml"
    out = scratch / "machine"
    source = {"name": "machine", "format": "machine-docs", "limit": 8000}
    recipe.write_text(yaml.safe_dump({"name": "machine", "sources": [source], "output": {"path": str(out)}}))
    run(load(recipe))
    return out / "data"


@njit(nogil=True, cache=True)
def _edit(offsets: Any, data: Any, copy: Any, every: Any) -> None:
    """Overwrite words of ASCII letters with other letters, and Han characters with others, in place.

    every > 0: one word in `every`, by its place, and at least one a document. every = 0: each long word and Han character
    by its own hash, half of them; equal texts stay equal.
    """
    for row in range(len(offsets) - 1):
        begin, end = offsets[row], offsets[row + 1]
        seed = mix64(U(end - begin) + U(row) * GOLDEN) + copy * GOLDEN
        edited = False
        word = U(0)
        i = begin
        while i < end:
            byte = data[i]
            letter = (byte | 32) >= 97 and (byte | 32) <= 122
            han = byte >= 0xE5 and byte <= 0xE8 and i + 2 < end
            if not (letter or han):
                i += 1
                continue
            stop = i + 3 if han else i
            while stop < end and not han and (data[stop] | 32) >= 97 and (data[stop] | 32) <= 122:
                stop += 1
            if every:
                word += U(1)
                draw = mix64(seed + word * GOLDEN)
                chosen = draw % every == U(0) or (not edited and stop - i >= 3 and draw % U(4) == U(0))
            else:
                draw = copy
                for j in range(i, stop):
                    draw = mix64(draw ^ U(data[j]))
                chosen = (han or stop - i >= 5) and draw % U(2) == U(0)
            if chosen:
                edited = True
                if han:  # still a Han character: U+5000 to U+8FFF
                    data[i] = 0xE5 + (draw >> U(8)) % U(4)
                    data[i + 1] = 0x80 + (draw >> U(16)) % U(64)
                    data[i + 2] = 0x80 + (draw >> U(24)) % U(64)
                else:
                    for j in range(i, stop):
                        draw = mix64(draw)
                        data[j] = 97 + draw % U(26)
            i = stop


def edited(batch: pa.RecordBatch, copy: int, near: bool) -> pa.RecordBatch:
    """The batch with ids of its own and, but for copy 0, with edits: see `repeated`."""
    if copy == 0:
        return batch
    offsets, data = string_buffers(batch.column("text"))
    begin = int(offsets[0])
    data = data[begin : int(offsets[-1])].copy()
    offsets = (offsets - begin).astype(np.int32)
    _edit(offsets, data, U(copy), U(WORDS_AN_EDIT if near else 0))
    text = string_array(offsets, data)
    text.validate(full=True)
    ids = pa.array([f"{i}#{copy}" for i in batch.column("id").to_pylist()], pa.string())
    return set_column(set_column(batch, "text", text), "id", ids)


def repeated(source: Path, target: Path, times: int, near: bool) -> Path:
    """The shards of a folder `times` times over, each copy with other edits; written once.

    near: documents of all copies are near-duplicates of each other. Otherwise a copy is other text with the same
    duplicates within, as if the corpus were so many times larger.
    """
    done = target / "done"
    if done.exists():
        return target / "shards"
    shutil.rmtree(target, ignore_errors=True)
    (target / "shards").mkdir(parents=True)
    for copy in range(times):
        for path in sorted(source.glob("*.parquet")):
            file = pq.ParquetFile(path)
            if copy == 0:
                (target / "shards" / f"0-{path.name}").symlink_to(path)
                continue
            with pq.ParquetWriter(
                target / "shards" / f"{copy}-{path.name}",
                file.schema_arrow,
                compression="zstd",
                use_dictionary=[f.name for f in file.schema_arrow if f.name not in ("id", "text")],
            ) as writer:
                for batch in file.iter_batches(4096, use_threads=False):
                    writer.write_batch(edited(batch, copy, near))
    done.touch()
    return target / "shards"
