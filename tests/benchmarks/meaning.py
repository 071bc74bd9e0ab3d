"""Near-duplicates by meaning in documents per CPU second, beside semhash on the same vectors.

    python -m tests.benchmarks.meaning FOLDER [--documents 50000] [--threshold 0.72] [--semhash PYTHON]

FOLDER: Parquet files with `id` and `text`. Vectors are made first and not counted; what counts is k-means, all pairs and their
confirmation. PYTHON: an interpreter that has semhash (`python -m venv sem; sem/bin/pip install semhash`).
"""

from __future__ import annotations

import argparse
import os
import subprocess
import tempfile
import time
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from corpusmill.transforms.embed.hierarchy import two_levels
from corpusmill.transforms.embed.kmeans import nearest
from corpusmill.transforms.embed.pairs import equal, near
from corpusmill.transforms.embed.semantic import Semantic
from corpusmill.transforms.embed.vectors import train
from corpusmill.transforms.hashing import hash64

SAMPLE = 16_384
PEER = """
import sys, time, numpy as np
from semhash import SemHash
v = np.load(sys.argv[1]).astype(np.float32)
v /= np.maximum(np.linalg.norm(v, axis=1, keepdims=True), 1e-9)
class Encoder:
    def encode(self, texts, **_):
        return v[[int(t) for t in texts]]
began = time.process_time()
found = SemHash.from_records([str(i) for i in range(len(v))], model=Encoder()).self_deduplicate(threshold=float(sys.argv[2]))
cpu = time.process_time() - began
print(f"semhash: {cpu:.1f} CPU s, {len(v) / cpu:,.0f} documents per CPU s, {len(found.selected):,} kept")
"""


def pairs_of(vectors: np.ndarray, content: np.ndarray, step: Semantic) -> int:
    """How many pairs `semantic` finds in the clusters that it learns."""
    coarse, fine = step.clusters(len(vectors))
    centres, _ = two_levels(vectors[:SAMPLE], content[:SAMPLE], coarse, fine, step.seed)
    which = nearest(vectors, centres, step.probes)[0]
    found: set[tuple[int, int]] = set()
    for cluster in range(len(centres)):
        rows = np.flatnonzero((which == cluster).any(axis=1))
        first = equal(vectors[rows], content[rows])
        lone = np.flatnonzero((first == np.arange(len(rows))) & vectors[rows].any(axis=1))
        a, b, _ = near(vectors[rows[lone]], step.threshold, step.block)
        found.update(zip(rows[lone[a]].tolist(), rows[lone[b]].tolist(), strict=True))
    return len(found)


def main() -> None:
    """Print both figures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--documents", type=int, default=50_000)
    parser.add_argument("--threshold", type=float, default=0.72)
    parser.add_argument("--semhash", metavar="PYTHON")
    options = parser.parse_args()
    tables = [pq.read_table(f, columns=["id", "text"]) for f in sorted(options.folder.glob("*.parquet"))]
    table = pa.concat_tables(tables).slice(0, options.documents).combine_chunks()
    texts = table["text"].combine_chunks()
    vectors = train(texts.slice(0, SAMPLE), 256).embed(texts, Semantic.pair_share)
    content = hash64(texts)
    step = Semantic(threshold=options.threshold)
    pairs_of(vectors[:1000], content[:1000], step)
    began = time.process_time()
    found = pairs_of(vectors, content, step)
    cpu = time.process_time() - began
    print(f"semantic: {cpu:.1f} CPU s, {len(vectors) / cpu:,.0f} documents per CPU s, {found:,} pairs")
    if options.semhash:
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "vectors.npy")
            np.save(path, vectors)
            subprocess.run([options.semhash, "-c", PEER, path, str(options.threshold)], check=True)


if __name__ == "__main__":
    main()
