"""Labels unlabelled documents with a teacher, and drops those that it is not sure of."""

from __future__ import annotations

import functools
import json
import os
from typing import ClassVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pydantic import Field, model_validator

from corpusmill.transforms.arrow import set_column
from corpusmill.transforms.base import Filter, Stability, Verdict
from corpusmill.transforms.columns import labels
from corpusmill.transforms.errors import RecipeError
from corpusmill.transforms.generate.calibrate import fit_temperature, predict, threshold
from corpusmill.transforms.generate.model import digest_of, open_model
from corpusmill.transforms.generate.step import ModelStep
from corpusmill.transforms.random import Keyed


class PseudoLabel(ModelStep, Filter):
    """Gives documents without a label the teacher's, with its confidence, and drops those below a confidence.

    Source: pseudo-labels (Lee 2013) with calibrated confidence (Guo et al. 2017): softmax(logits / T), where T and, with
    `min_precision`, the threshold come from the labels of `held_out`. Columns: `label`; `confidence` float64, null where the
    label was there before; `labelled_by`, JSON of the teacher's digest and T. Documents that have a label pass as they are.
    Equally many of each class: the step `class-balance` behind it. Rounds of teacher and student: `corpusmill selftrain`.

    Raises:
        RecipeError: the model is no classifier; `held_out` has no columns text and label, or no label that the teacher knows.

    >>> PseudoLabel(model="linear:runs/intents", min_confidence=0.9).temperature
    1.0
    """

    name: ClassVar[str] = "pseudo-label"
    version: ClassVar[int] = 1
    stability: ClassVar[Stability] = "record"
    example: ClassVar[str] = "{model: runs/teacher}"

    model: str = Field(
        min_length=1, description="the teacher: a run of a classifier, linear:FOLDER or hf-classifier:FOLDER"
    )
    min_confidence: float = Field(
        0.0, ge=0, le=1, description="documents of which the teacher is less sure are dropped"
    )
    temperature: float = Field(1.0, gt=0, description="of the softmax; found from `held_out` where that is given")
    held_out: str | None = Field(None, description="Parquet file with columns text and label, which calibrates")
    min_precision: float | None = Field(
        None, gt=0, le=1, description="drop below the confidence from which this share of `held_out` is labelled right"
    )

    @model_validator(mode="after")
    def _calibrated(self) -> PseudoLabel:
        if self.min_precision is not None and self.held_out is None:
            raise ValueError("`min_precision` needs labels to measure it on; name a file in `held_out`")
        return self

    def files(self) -> list[str]:
        return [self.held_out] if self.held_out else []

    def calibration(self) -> tuple[float, float]:
        """(temperature, least confidence), from `held_out` where there is one."""
        if self.held_out is None:
            return self.temperature, self.min_confidence
        stat = os.stat(self.held_out)
        temperature, limit = _calibrate(
            self.model, digest_of(self.model), self.held_out, stat.st_mtime_ns, self.min_precision
        )
        return temperature, max(limit, self.min_confidence)

    def judge(self, batch: pa.RecordBatch, rng: Keyed) -> Verdict:
        n = batch.num_rows
        before = labels(batch, "label", "pseudo-label") if "label" in batch.schema.names else pa.nulls(n, pa.string())
        asked = np.flatnonzero(before.is_null().to_numpy(zero_copy_only=False))
        teacher = open_model(self.model)
        temperature, limit = self.calibration()
        texts = pc.fill_null(batch.column("text"), "").take(pa.array(asked)).to_pylist()
        classes, sure = predict(teacher.classify(texts), temperature)
        confidence = np.full(n, np.nan)
        confidence[asked] = sure
        names: list[str | None] = before.to_pylist()
        for row, c in zip(asked.tolist(), classes.tolist()):
            names[row] = teacher.classes[c]
        given = pa.array(np.isin(np.arange(n), asked))
        about = json.dumps({"transform": self.name, "model": teacher.digest, "temperature": round(temperature, 6)})
        out = set_column(batch, "label", pa.array(names, pa.string()))
        nothing = pa.nulls(n, pa.float64())
        out = set_column(out, "confidence", pc.if_else(given, pa.array(confidence), nothing))
        out = set_column(out, "labelled_by", pc.if_else(given, about, pa.nulls(n, pa.string())))
        low = np.nan_to_num(confidence, nan=np.inf) < limit
        codes = np.where(low, 0, -1).astype(np.int16)
        return Verdict(("min_confidence",), codes, np.where(low, confidence, np.nan), {"confidence": confidence}, out)


@functools.lru_cache(8)
def _calibrate(model: str, digest: str, path: str, stamp: int, min_precision: float | None) -> tuple[float, float]:
    import pyarrow.parquet as pq

    try:
        table = pq.read_table(path)
    except (pa.ArrowException, OSError) as error:
        raise RecipeError(f"{path}: held_out cannot be read as Parquet ({error})") from error
    if not {"text", "label"} <= set(table.column_names):
        raise RecipeError(f"{path}: held_out needs columns text and label; it has {', '.join(table.column_names)}")
    teacher = open_model(model)
    if not teacher.classes:
        raise RecipeError(f"{model}: is no classifier; name a run of one, linear:FOLDER or hf-classifier:FOLDER")
    place = {name: i for i, name in enumerate(teacher.classes)}
    wanted = np.array([place.get(str(x), -1) for x in table["label"].to_pylist()])
    if not (wanted >= 0).any():
        raise RecipeError(f"{path}: none of its labels is one of the teacher's: {', '.join(teacher.classes[:5])}, ...")
    logits = teacher.classify(table["text"].to_pylist())[wanted >= 0]
    wanted = wanted[wanted >= 0]
    temperature = fit_temperature(logits, wanted)
    classes, confidence = predict(logits, temperature)
    return temperature, 0.0 if min_precision is None else threshold(confidence, classes == wanted, min_precision)
