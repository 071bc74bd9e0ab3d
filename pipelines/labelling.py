"""A teacher labels shards of documents through RunInference: an element is a shard, its labels are one file, made once."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from apache_beam.ml.inference.base import ModelHandler, PredictionResult

import training.openers  # noqa: F401
from transforms.generate.calibrate import predict
from transforms.generate.model import Model, digest_of, open_model
from transforms.storage import write_atomic


class ShardLabeller(ModelHandler[dict[str, str], PredictionResult, Model]):
    """Elements: {"texts": Parquet file with a column text, "labels": file to write}. A shard whose labels exist is skipped.

    The labels: `class` int32 (the place in the teacher's classes) and `confidence` float64 at `temperature`, in the order of
    the texts.
    """

    def __init__(self, teacher: str, temperature: float) -> None:
        self._teacher, self._temperature = teacher, temperature
        super().__init__()

    def load_model(self) -> Model:
        return open_model(self._teacher)

    def run_inference(
        self, batch: Sequence[dict[str, str]], model: Model, inference_args: dict[str, Any] | None = None
    ) -> Iterable[PredictionResult]:
        for shard in batch:
            if not os.path.exists(shard["labels"]):
                texts = pq.read_table(shard["texts"], columns=["text"]).column("text").to_pylist()
                classes, confidence = predict(model.classify(texts), self._temperature)
                table = pa.table({"class": pa.array(classes, pa.int32()), "confidence": confidence})
                sink = pa.BufferOutputStream()
                pq.write_table(table, sink)
                write_atomic(shard["labels"], sink.getvalue().to_pybytes(), fsync=False)
            yield PredictionResult(shard["labels"], True, model.digest)

    def batch_elements_kwargs(self) -> dict[str, Any]:
        return {"min_batch_size": 1, "max_batch_size": 1}


def label(
    shards: Sequence[str], teacher: str, temperature: float, folder: str, workers: int = 1
) -> tuple[np.ndarray, np.ndarray]:
    """(class int64 [n], confidence float64 [n]) of all documents of `shards`, in order; shards labelled before are not asked.

    folder: where the labels of this teacher's round lie, one Parquet file a shard.
    """
    import apache_beam as beam
    from apache_beam.ml.inference.base import RunInference
    from apache_beam.options.pipeline_options import PipelineOptions
    from apache_beam.runners.portability.fn_api_runner import FnApiRunner

    os.makedirs(folder, exist_ok=True)
    stem = f"{digest_of(teacher)[:16]}-{temperature.hex()}"
    named = [{"texts": s, "labels": os.path.join(folder, f"{stem}-{os.path.basename(s)}")} for s in shards]
    pending = [s for s in named if not os.path.exists(s["labels"])]
    if pending:
        options = PipelineOptions([f"--direct_num_workers={workers}", "--direct_running_mode=in_memory"])
        pipeline = beam.Pipeline(runner=FnApiRunner(), options=options)
        _ = pipeline | beam.Create(pending) | beam.Reshuffle() | RunInference(ShardLabeller(teacher, temperature))
        pipeline.run().wait_until_finish()
    tables = [pq.read_table(s["labels"]) for s in named]
    if not tables:
        return np.zeros(0, np.int64), np.zeros(0)
    whole = pa.concat_tables(tables)
    return whole["class"].to_numpy().astype(np.int64), whole["confidence"].to_numpy()
