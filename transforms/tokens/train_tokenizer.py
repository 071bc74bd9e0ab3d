"""Trains a byte-level BPE on a sample of documents (Sennrich et al. 2016, bytes as in Radford et al. 2019, section 2.2).

The sample is drawn by document id: the documents whose keyed draws are smallest, until `sample_bytes` are reached. So it
depends on the set of documents and the seed, not on the order of files or batches, and one pass that holds the sample is
enough. The same sample gives the same tokenizer.json, byte for byte.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections.abc import Iterable, Iterator

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from corpusmill.transforms.errors import MissingDependencyError, RecipeError
from corpusmill.transforms.progress import Meter, Tell
from corpusmill.transforms.random import Keyed, draw_array
from corpusmill.transforms.storage import write_atomic

SPECIAL = ("<|endoftext|>",)


def sample_documents(batches: Iterable[pa.RecordBatch], sample_bytes: int, rng: Keyed) -> pa.Array:
    """Texts of the documents with the smallest draws, in the order of their draws, about `sample_bytes` in all.

    The last document is the one that reaches the budget. batches: columns `id` and `text`.

    >>> batch = pa.record_batch({"id": ["a", "b", "c"], "text": ["x" * 5, "y" * 5, "z" * 5]})
    >>> len(sample_documents([batch], 6, Keyed(seed=1)))
    2
    """
    held = pa.table(
        {"draw": pa.array([], pa.uint64()), "id": pa.array([], pa.string()), "text": pa.array([], pa.string())}
    )
    waiting: list[pa.Table] = []
    size, limit = 0, np.uint64(2**64 - 1)
    for batch in batches:
        draws = draw_array(rng.keys(batch))
        part = pa.table({"draw": draws, "id": batch.column("id"), "text": batch.column("text").fill_null("")})
        part = part.filter(pa.array(draws <= limit))
        waiting.append(part)
        size += pc.sum(pc.binary_length(part["text"])).as_py() or 0
        if size > sample_bytes:
            held = _smallest(pa.concat_tables([held, *waiting]), sample_bytes)
            waiting, size = [], 0
            if pc.sum(pc.binary_length(held["text"])).as_py() >= sample_bytes:
                limit = np.uint64(held["draw"][-1].as_py())
    held = _smallest(pa.concat_tables([held, *waiting]), sample_bytes)
    texts = held["text"].combine_chunks()
    return texts if isinstance(texts, pa.Array) else pa.concat_arrays(texts.chunks)


def _smallest(table: pa.Table, sample_bytes: int) -> pa.Table:
    table = table.sort_by([("draw", "ascending"), ("id", "ascending")])
    sizes = np.cumsum(pc.binary_length(table["text"]).to_numpy(), dtype=np.int64)
    return table.slice(0, int(np.searchsorted(sizes, sample_bytes)) + 1).combine_chunks()


def train_tokenizer(
    batches: Iterable[pa.RecordBatch],
    path: str,
    vocab_size: int = 32_000,
    special_tokens: tuple[str, ...] = SPECIAL,
    sample_bytes: int = 64 << 20,
    min_count: int = 2,
    rng: Keyed | None = None,
    tell: Tell | None = None,
) -> str:
    """Train on a sample of `batches` (columns `id`, `text`) and write tokenizer.json to `path`; its SHA-256 is returned.

    Special tokens take the first ids, then the 256 bytes, then merges. `min_count`: rarer pairs are not merged. tell: takes
    reports of progress: counting words, then merging, which cannot be looked into.

    Raises:
        RecipeError: the vocabulary is too small for the bytes, or there is no text.
        MissingDependencyError: HF `tokenizers` is not installed.
    """
    if vocab_size < 256 + len(special_tokens):
        raise RecipeError(
            f"vocab_size: {vocab_size} is below {256 + len(special_tokens)}, all bytes and the special tokens"
        )
    try:
        from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    except ImportError as error:
        raise MissingDependencyError("training a tokenizer needs HF tokenizers: `pip install tokenizers`") from error
    texts = sample_documents(batches, sample_bytes, rng or Keyed(step="train-tokenizer"))
    if not (pc.sum(pc.binary_length(texts)).as_py() or 0):
        raise RecipeError("no text to train a tokenizer on: the sources gave no document with text")
    model = Tokenizer(models.BPE())
    model.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    model.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size,
        min_frequency=min_count,
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        special_tokens=list(special_tokens),
        show_progress=False,
    )
    with contextlib.ExitStack() as merging:

        def given() -> Iterator[list[str]]:
            with Meter(tell, "count words", len(texts), "document") as meter:
                for i in range(0, len(texts), 256):
                    part = texts[i : i + 256]
                    yield part.to_pylist()
                    meter.add(len(part), bytes=pc.sum(pc.binary_length(part)).as_py() or 0)
            meter = merging.enter_context(Meter(tell, "merge pairs", 1, "tokenizer", 0))
            merging.enter_context(meter.ticking())
            merging.callback(meter.add, 1)

        model.train_from_iterator(given(), trainer)
    data = model.to_str(pretty=True).encode()
    os.makedirs(os.path.dirname(path) or ".", exist_ok=True)
    write_atomic(path, data)
    return hashlib.sha256(data).hexdigest()
