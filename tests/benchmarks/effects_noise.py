"""Noised copies of small data for `effects`: at the tokens with clean targets, and in the text."""

from __future__ import annotations

import time

import numpy as np
import pyarrow as pa

from corpusmill.training.data import Arrays
from corpusmill.transforms.noise.denoise import Denoise
from corpusmill.transforms.noise.noise import Noise
from corpusmill.transforms.noise.unigrams import build_unigrams, write_unigrams
from corpusmill.transforms.random import Keyed
from tests.benchmarks.effects_runs import LENGTH, Lab


def token_noise(tokens: np.ndarray, copies: int, size: int, rate: float = 0.1) -> Arrays:
    """Copies of the rows in which `rate` of the tokens are others, drawn by `denoise`; what is predicted stays clean."""
    rows = tokens[: len(tokens) // LENGTH * LENGTH].reshape(-1, LENGTH)
    many = np.tile(rows, (copies, 1))
    batch = pa.record_batch(
        {
            "id": [f"{copy}-{row}" for copy in range(copies) for row in range(len(rows))],
            "input_ids": pa.array(many.astype(np.int32).tolist(), pa.list_(pa.int32())),
        }
    )
    step = Denoise(objective="bert", rate=rate, shares=(0.0, 1.0), vocab_size=size, mask_id=0)
    noisy = step.map(batch, Keyed(1, "denoise")).column("input_ids").flatten().to_numpy().reshape(many.shape)
    return Arrays({"input_ids": noisy, "labels": many})


def text_noise(lab: Lab, text: str, copies: int, rate: float = 0.1) -> tuple[list[str], float]:
    """(noised copies of the text, CPU seconds): `rate` of the words replaced by others, drawn by their counts."""
    parts = text.split("<|endoftext|>") if "<|endoftext|>" in text else [text]
    table = lab.out / f"unigrams-{len(text)}.tsv"
    batch = pa.record_batch({"id": [str(i) for i in range(len(parts))], "text": parts, "source": ["s"] * len(parts)})
    write_unigrams(build_unigrams([batch.column("text")]), str(table))
    began = time.process_time()
    step = Noise(replace=rate, words=str(table), copies=copies, keep_originals=False)
    out = step.expand(batch, Keyed(1, "noise")).column("text").to_pylist()
    return out, time.process_time() - began
