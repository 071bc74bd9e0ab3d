"""datatrove: MinHash deduplication in its four stages, 14 bands of 8 rows, Parquet to Parquet. In the peers' environment.

python datatrove_minhash.py INPUT OUTPUT
"""

import sys

from datatrove.executor import LocalPipelineExecutor
from datatrove.pipeline.dedup import MinhashDedupCluster, MinhashDedupFilter, MinhashDedupSignature
from datatrove.pipeline.dedup.minhash import MinhashConfig, MinhashDedupBuckets
from datatrove.pipeline.readers import ParquetReader
from datatrove.pipeline.writers import ParquetWriter

if __name__ == "__main__":
    source, target = sys.argv[1:]
    config = MinhashConfig(n_grams=5, num_buckets=14, hashes_per_bucket=8)
    stages = [
        [ParquetReader(source), MinhashDedupSignature(output_folder=f"{target}/signatures", config=config)],
        [MinhashDedupBuckets(input_folder=f"{target}/signatures", output_folder=f"{target}/buckets", config=config)],
        [MinhashDedupCluster(input_folder=f"{target}/buckets", output_folder=f"{target}/remove", config=config)],
        [
            ParquetReader(source),
            MinhashDedupFilter(input_folder=f"{target}/remove"),
            ParquetWriter(f"{target}/kept"),
        ],
    ]
    for number, stage in enumerate(stages):
        tasks = config.num_buckets if number == 1 else 1
        LocalPipelineExecutor(pipeline=stage, tasks=tasks, workers=1, logging_dir=f"{target}/logs/{number}").run()
