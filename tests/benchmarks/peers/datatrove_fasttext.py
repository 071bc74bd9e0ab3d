"""datatrove: its filter by a fastText model, Parquet to Parquet. Runs in the peers' environment.

python datatrove_fasttext.py MODEL INPUT OUTPUT
"""

import sys

from datatrove.executor import LocalPipelineExecutor
from datatrove.pipeline.filters import FastTextClassifierFilter
from datatrove.pipeline.readers import ParquetReader
from datatrove.pipeline.writers import ParquetWriter

if __name__ == "__main__":
    model, source, target = sys.argv[1:]
    LocalPipelineExecutor(
        pipeline=[
            ParquetReader(source),
            FastTextClassifierFilter(model, keep_labels=[("like", 0.5)]),
            ParquetWriter(f"{target}/kept"),
        ],
        tasks=1,
        logging_dir=f"{target}/logs",
    ).run()
