"""fastText's own module: reads texts from Parquet and writes their scores. Runs in an environment with fasttext-numpy2-wheel, or
with fasttext-turbo.

python fasttext_predict.py MODEL INPUT OUTPUT
"""

import sys
from pathlib import Path

import fasttext
import pyarrow as pa
import pyarrow.parquet as pq

if __name__ == "__main__":
    model, source, target = sys.argv[1:]
    classifier = fasttext.load_model(model)
    Path(target).mkdir(parents=True)
    for file in sorted(Path(source).glob("*.parquet")):
        for number, batch in enumerate(pq.ParquetFile(file).iter_batches(4096, columns=["id", "text"])):
            texts = [t.replace("\n", " ") for t in batch.column("text").to_pylist()]
            labels, chances = classifier.predict(texts, k=-1)
            scores = [
                dict(zip(names, row, strict=True)).get("__label__like", 0.0)
                for names, row in zip(labels, chances, strict=True)
            ]
            table = pa.table({"id": batch.column("id"), "score": pa.array(map(float, scores))})
            pq.write_table(table, f"{target}/{file.stem}-{number}.parquet")
