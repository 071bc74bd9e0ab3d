"""rensa: R-MinHash of 128 slots over word 5-grams and its LSH index, Parquet to Parquet. In the peers' environment.

python rensa_minhash.py INPUT OUTPUT

A document is dropped if it comes behind a document of one of its buckets whose estimated similarity reaches 0.8.
"""

import re
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from rensa import RMinHash, RMinHashLSH

WORDS = re.compile(r"\w+")


def sketch(text: str) -> RMinHash:
    """The sketch of a text's word 5-grams."""
    words = WORDS.findall(text.lower())
    made = RMinHash(128, 42)
    made.update([" ".join(words[i : i + 5]) for i in range(max(1, len(words) - 4))])
    return made


if __name__ == "__main__":
    source, target = Path(sys.argv[1]), Path(sys.argv[2])
    target.mkdir(parents=True, exist_ok=True)
    index, sketches, tables = RMinHashLSH(0.8, 128, 16), [], []
    for path in sorted(source.glob("*.parquet")):
        table = pq.read_table(path, use_threads=False)
        kept = []
        for text in table.column("text").to_pylist():
            number, mine = len(sketches), sketch(text)
            sketches.append(mine)
            kept.append(not any(sketches[other].jaccard(mine) >= 0.8 for other in index.query(mine)))
            index.insert(number, mine)
        pq.write_table(table.filter(pa.array(kept)), target / path.name, compression="zstd", compression_level=3)
