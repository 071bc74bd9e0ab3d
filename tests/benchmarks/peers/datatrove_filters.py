"""datatrove: the Gopher, C4 and FineWeb filters, Parquet to Parquet. Runs in the peers' environment.

python datatrove_filters.py INPUT OUTPUT
"""

import sys

from datatrove.executor import LocalPipelineExecutor
from datatrove.pipeline.filters import (
    C4QualityFilter,
    FineWebQualityFilter,
    GopherQualityFilter,
    GopherRepetitionFilter,
)
from datatrove.pipeline.readers import ParquetReader
from datatrove.pipeline.writers import ParquetWriter

if __name__ == "__main__":
    source, target = sys.argv[1:]
    LocalPipelineExecutor(
        pipeline=[
            ParquetReader(source),
            GopherQualityFilter(),
            GopherRepetitionFilter(),
            C4QualityFilter(filter_no_terminal_punct=False),
            FineWebQualityFilter(),
            ParquetWriter(f"{target}/kept"),
        ],
        tasks=1,
        logging_dir=f"{target}/logs",
    ).run()
