"""Labels shards of documents with a teacher model through RunInference. An element is a shard; its labels are one file."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from apache_beam.ml.inference.base import ModelHandler, PredictionResult

import corpusmill.training.serving.openers  # noqa: F401
from corpusmill.pipelines.beam.raised import as_raised, noted
from corpusmill.transforms.errors import BadFileError
from corpusmill.transforms.generate.model import Model, digest_of, open_model
from corpusmill.transforms.tables import save_table


class ShardLabeller(ModelHandler[dict[str, str], PredictionResult, Model]):
    """Elements: {"texts": Parquet file with a column text, "labels": file to write}. A shard whose labels exist is skipped.

    A file of labels has a column `logits`: float32 [classes of the teacher] for each text, in the order of the texts.
    """

    def __init__(self, teacher: str) -> None:
        self._teacher = teacher
        super().__init__()

    def load_model(self) -> Model:
        return open_model(self._teacher)

    def run_inference(
        self, batch: Sequence[dict[str, str]], model: Model, inference_args: dict[str, Any] | None = None
    ) -> Iterable[PredictionResult]:
        for shard in batch:
            with noted():
                if not os.path.exists(shard["labels"]):
                    texts = _table(shard["texts"]).column("text").to_pylist()
                    logits = model.classify(texts).astype(np.float32)
                    column = pa.FixedSizeListArray.from_arrays(pa.array(logits.ravel()), logits.shape[1])
                    save_table(shard["labels"], pa.table({"logits": column}), fsync=False)
            yield PredictionResult(shard["labels"], True, model.digest)

    def batch_elements_kwargs(self) -> dict[str, Any]:
        return {"min_batch_size": 1, "max_batch_size": 1}


def label(shards: Sequence[str], teacher: str, folder: str, workers: int = 1) -> np.ndarray:
    """The teacher's logits of all documents of `shards`, in order: float64 [n, classes]. Labels that exist are read.

    folder: holds the labels of this round, one Parquet file for each shard.
    """
    import apache_beam as beam
    from apache_beam.ml.inference.base import RunInference
    from apache_beam.options.pipeline_options import PipelineOptions
    from apache_beam.runners.portability.fn_api_runner import FnApiRunner

    os.makedirs(folder, exist_ok=True)
    stem = digest_of(teacher)[:16]
    named = [{"texts": s, "labels": os.path.join(folder, f"{stem}-{os.path.basename(s)}")} for s in shards]
    pending = [s for s in named if not os.path.exists(s["labels"])]
    if pending:
        options = PipelineOptions([f"--direct_num_workers={workers}", "--direct_running_mode=in_memory"])
        pipeline = beam.Pipeline(runner=FnApiRunner(), options=options)
        _ = pipeline | beam.Create(pending) | beam.Reshuffle() | RunInference(ShardLabeller(teacher))
        with as_raised():
            pipeline.run().wait_until_finish()
    columns = [_table(s["labels"])["logits"].combine_chunks() for s in named]
    parts = [c.flatten().to_numpy().reshape(len(c), c.type.list_size).astype(np.float64) for c in columns]
    return np.concatenate(parts) if parts else np.zeros((0, len(open_model(teacher).classes)))


def _table(path: str) -> pa.Table:
    """A file of a round, with its checksums checked.

    Raises:
        BadFileError: it is damaged.
    """
    try:
        return pq.read_table(path, page_checksum_verification=True)
    except FileNotFoundError:
        raise
    except (OSError, pa.ArrowInvalid) as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise
        raise BadFileError(path, f"is damaged ({error})", "remove it; the same command makes it again") from error
