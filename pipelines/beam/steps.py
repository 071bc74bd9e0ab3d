"""Steps as a PTransform over record batches, with type hints, display data and counters.

    batches | Steps(Clean(), GopherQuality(min_words=30), Noise(delete=0.05), seed=1)

It takes maps, filters and expands. Groups (deduplication, mixing) need keys of other shards and run only in recipes.
Draws and rows equal those of a recipe with the same seed and steps.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

import apache_beam as beam
import pyarrow as pa
from apache_beam.metrics import Metrics

from corpusmill.pipelines.beam.coder import register
from corpusmill.pipelines.engine.chain import Chain
from corpusmill.pipelines.recipe.model import Step, make_steps
from corpusmill.transforms.base import Expand, Filter, Map, Transform
from corpusmill.transforms.document import CORE
from corpusmill.transforms.errors import RecipeError


def check_alone(transform: Transform) -> None:
    """Raise RecipeError unless a transform works on single rows. Any other would pass all rows unchanged."""
    if not isinstance(transform, Map | Filter | Expand):
        raise RecipeError(
            f"{transform.name} needs rows of other shards, or a whole shard: run it in a recipe, not in a Beam "
            "pipeline of your own"
        )


class Steps(beam.PTransform):
    """Batches (columns `id`, `text`, `source`) to batches. Counters, in the namespace `corpusmill`: `<step>.rows_in`,
    `<step>.rows_out`, `<step>.derived`, `<step>.dropped.<reason>`. Like all of Beam's counters, they may count a
    retried bundle twice.

    Raises:
        RecipeError: a transform is not a map, filter or expand, or there is none.
    """

    def __init__(self, *transforms: Transform, seed: int = 1, folder: str = "") -> None:
        super().__init__()
        for transform in transforms:
            check_alone(transform)
        if not transforms:
            raise RecipeError("Steps() was given no transform")
        self._steps = make_steps([t.resolved(folder or os.getcwd()) for t in transforms])
        self._seed = seed

    def expand(self, batches: beam.PCollection) -> beam.PCollection:
        """One ParDo for all steps."""
        register()
        work = beam.ParDo(_Chain(self._steps, self._seed))
        return batches | "steps" >> work.with_input_types(pa.RecordBatch).with_output_types(pa.RecordBatch)

    def display_data(self) -> dict[str, Any]:
        """The seed, and each step with its version and the fields that differ from their defaults."""
        shown: dict[str, Any] = {"seed": self._seed}
        for step in self._steps:
            fields = step.transform.model_dump(mode="json", exclude_defaults=True)
            shown[step.name] = f"{step.key} {fields}" if fields else step.key
        return shown


class _Chain(beam.DoFn):
    def __init__(self, steps: list[Step], seed: int) -> None:
        self._steps, self._seed = steps, seed

    def process(self, batch: pa.RecordBatch) -> Iterator[pa.RecordBatch]:
        missing = [name for name in CORE if name not in batch.schema.names]
        if missing:
            raise RecipeError(f"a batch lacks the column `{missing[0]}`; it has: {', '.join(batch.schema.names)}")
        chain = Chain(self._steps, self._seed, "a batch of a Beam pipeline")
        out = chain.run(batch)
        chain.check()
        for count in chain.counts:
            numbers = {"rows_in": count.rows_in, "rows_out": count.rows_out, "derived": count.derived}
            numbers |= {f"dropped.{reason}": n for reason, n in count.dropped.items()}
            for name, number in numbers.items():
                Metrics.counter("corpusmill", f"{count.step}.{name}").inc(number)
        yield out
