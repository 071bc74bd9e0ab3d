"""gaoya: a MinHash index over word 5-grams, 16 bands of 8, Parquet to Parquet. Runs in the peers' environment.

python gaoya_minhash.py INPUT OUTPUT

A document is dropped if the index, queried with it, gives a document that came before.
"""

import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from gaoya.minhash import MinHashStringIndex

if __name__ == "__main__":
    source, target = Path(sys.argv[1]), Path(sys.argv[2])
    target.mkdir(parents=True, exist_ok=True)
    files = sorted(source.glob("*.parquet"))
    index = MinHashStringIndex(32, 0.8, 16, 8, None, "word", True, (5, 5))
    first = 0
    tables = [pq.read_table(path, use_threads=False) for path in files]
    for table in tables:
        texts = table.column("text").to_pylist()
        index.par_bulk_insert_docs(list(range(first, first + len(texts))), texts)
        first += len(texts)
    first = 0
    for path, table in zip(files, tables):
        texts = table.column("text").to_pylist()
        found = index.par_bulk_query(texts)
        kept = [min(ids, default=first + i) >= first + i for i, ids in enumerate(found)]
        pq.write_table(table.filter(pa.array(kept)), target / path.name, compression="zstd", compression_level=3)
        first += len(texts)
