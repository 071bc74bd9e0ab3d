"""The teacher's pass: writes the teacher's distribution over every next token, in shards aligned with the packed data.

    OUT/part-00000.arrow      n_tokens int32, and the columns of `corpusmill.training.distill`, one row for each row of the
    data, in order OUT/teacher.json          digests of teacher, tokenizer and data; kind, draws, temperature, seed; the files
    with SHA-256;
                              what is known of the private text behind the teacher (`corpusmill.training.provenance`)

A shard is written atomically and never made twice: a killed pass continues with the next shard. Draws are keyed
by (seed, the row's tokens, place in the row), so neither the sharding nor the batches change them.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import pyarrow as pa

from corpusmill.training import provenance
from corpusmill.training.data import Rows
from corpusmill.training.distill import COLUMNS, Kind, token_counts
from corpusmill.training.noised_copies import NoisedCopies, row_keys
from corpusmill.transforms.errors import DatasetError, RecipeError
from corpusmill.transforms.generate.model import open_model
from corpusmill.transforms.hashing import GOLDEN, mix64_array
from corpusmill.transforms.storage import TEMPORARY, write_atomic
from corpusmill.transforms.tokens.tokenizer import token_dtype

if TYPE_CHECKING:
    from torch import Tensor

    from corpusmill.training.vocabulary import Vocabulary

SHARD_ROWS = 2048


class Teacher(Protocol):
    """What a pass needs of a model: `LocalModel` and `Ensemble` are teachers."""

    spec: str
    digest: str
    rows: int
    classes: list[str]
    vocabulary: Vocabulary

    @property
    def is_causal(self) -> bool:
        """Whether each token is told from those before it alone."""

    def log_probabilities(self, inputs: dict[str, np.ndarray], temperature: float) -> Tensor:
        """log of the probabilities of each next token, float32 [n, T, V]."""


def teach(
    data: Rows,
    teacher: str,
    out: str | Path,
    kind: Kind = "sampled",
    draws: int = 12,
    top_k: int = 16,
    temperature: float = 1.0,
    seed: int = 1,
    shard_rows: int = SHARD_ROWS,
    copies: int = 1,
    noise: float = 0.0,
) -> dict[str, Any]:
    """Write the teacher's shards for all rows of `data`, those that are not there yet; returns the manifest.

    copies, noise: with `noise`, the teacher reads each row that often, each time with other random tokens in that share of the
    places (`corpusmill.training.noised_copies`).

    Raises:
        DatasetError: the teacher reads another tokenizer than the data, or `out` holds the shards of another pass.
        RecipeError: the teacher is no decoder.
    """
    import corpusmill.training.serving.openers  # noqa: F401

    opened: Any = open_model(teacher)
    if not hasattr(opened, "log_probabilities"):
        raise RecipeError(f"{teacher}: gives no distribution over tokens; name a local decoder as teacher.")
    model: Teacher = opened
    _decoder(model)
    known = getattr(data, "tokenizer_digest", "")
    if known and known != model.vocabulary.digest:
        raise DatasetError(
            f"{teacher}: reads another tokenizer ({model.vocabulary.digest[:12]}) than the data ({known[:12]}). Tokens would "
            "not mean the same: train the teacher on this tokenizer, or pack with the teacher's."
        )
    noised = {"copies": copies, "noise": noise, "ids": model.vocabulary.size} if noise else {}
    origin = data.digest
    if noise:
        data = NoisedCopies(data, copies, noise, model.vocabulary.size, seed)
    size = {"sampled": draws, "top-k": top_k, "full": 0}[kind]
    about = {
        "teacher": model.digest,
        "tokenizer": model.vocabulary.digest,
        "data": origin,
        "kind": kind,
        "size": size,
        "temperature": temperature,
        "seed": seed,
        "rows": len(data),
        "shard_rows": shard_rows,
    } | noised
    request = hashlib.sha256(json.dumps(about, sort_keys=True).encode()).hexdigest()
    folder = Path(out)
    folder.mkdir(parents=True, exist_ok=True)
    files = []
    for number, first in enumerate(range(0, len(data), shard_rows)):
        path = folder / f"part-{number:05}.arrow"
        index = np.arange(first, min(first + shard_rows, len(data)))
        if not path.exists():
            table = _shard(model, data, index, about, request)
            sink = pa.BufferOutputStream()
            with pa.ipc.new_file(sink, table.schema) as writer:
                writer.write_table(table)
            write_atomic(str(path), sink.getvalue().to_pybytes(), fsync=False)
        elif _request_of(path) != request:
            raise DatasetError(
                f"{path}: was made by another pass (other teacher, data or settings). Name another folder, or delete it."
            )
        with path.open("rb") as f:
            sha = hashlib.file_digest(f, "sha256").hexdigest()
        files.append({"path": path.name, "rows": len(index), "size": path.stat().st_size, "sha256": sha})
    manifest = about | {"files": files, "provenance": provenance.of(teacher).model_dump()}
    write_atomic(
        str(folder / provenance.MANIFEST), json.dumps(manifest, indent=1, sort_keys=True).encode(), fsync=False
    )
    for left in folder.glob(f"{TEMPORARY}*"):
        left.unlink(missing_ok=True)
    return manifest


def _request_of(path: Path) -> str:
    with pa.memory_map(str(path)) as source:
        request = (pa.ipc.open_file(source).schema.metadata or {}).get(b"request", b"")
    return request.decode()


def _shard(model: Teacher, data: Rows, index: np.ndarray, about: dict[str, Any], request: str) -> pa.Table:
    parts: list[dict[str, np.ndarray]] = []
    counts = []
    for batch in _passes(data, index, model.rows):
        counts.append(token_counts(batch))
        parts.append(columns(model, batch, about["kind"], about["size"], about["temperature"], about["seed"]))
    names = COLUMNS[about["kind"]]
    arrays: dict[str, pa.Array] = {"n_tokens": pa.array(np.concatenate(counts).astype(np.int32))}
    for name in names:
        flat = np.concatenate([part[name].reshape(len(part[name]), -1) for part in parts])
        arrays[name] = pa.FixedSizeListArray.from_arrays(pa.array(flat.reshape(-1)), flat.shape[1])
    return pa.table(arrays).replace_schema_metadata({"request": request})


def _passes(data: Rows, index: np.ndarray, rows: int) -> Iterator[dict[str, np.ndarray]]:
    for i in range(0, len(index), rows):
        yield data.rows(index[i : i + rows])


def columns_of_rows(
    model: Teacher, batch: dict[str, np.ndarray], kind: Kind, size: int, temperature: float, seed: int
) -> dict[str, np.ndarray]:
    """`columns` of any number of rows."""
    starts = range(0, max(len(batch["input_ids"]), 1), model.rows)
    parts = [
        columns(model, {k: v[i : i + model.rows] for k, v in batch.items()}, kind, size, temperature, seed)
        for i in starts
    ]
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def columns(
    model: Teacher, batch: dict[str, np.ndarray], kind: Kind, size: int, temperature: float, seed: int
) -> dict[str, np.ndarray]:
    """The teacher's columns for packed rows: `teacher_draws` or `teacher_ids` uint16 or int32 [n, T, K], `teacher_logp`
    float16 [n, T, K]. Every pass has the same number of rows, so a row's columns do not depend on its neighbours."""
    _decoder(model)
    n = len(batch["input_ids"])
    fill = np.arange(model.rows) % max(n, 1)
    read: dict[str, np.ndarray] = {
        k: batch[k][fill] if n else np.zeros((model.rows, *batch[k].shape[1:]), np.int64)
        for k in ("input_ids", "segment_ids", "position_ids")
        if k in batch
    }
    logp = model.log_probabilities(read, temperature)[:n]
    if kind == "sampled":
        return {"teacher_draws": sample(logp, row_keys(batch, seed), size)}
    if kind == "full":
        return {"teacher_logp": logp.half().cpu().numpy()}
    values, ids = logp.topk(min(size, logp.shape[-1]), dim=-1)
    dtype = token_dtype(logp.shape[-1])
    return {"teacher_ids": ids.cpu().numpy().astype(dtype), "teacher_logp": values.half().cpu().numpy()}


def _decoder(model: Teacher) -> None:
    """Raise for a model that has seen the token which it would have to tell, or tells none."""
    if model.classes or not model.is_causal:
        raise RecipeError(
            f"{model.spec}: is no language model that predicts the next token; name a decoder as teacher."
        )


def sample(logits: Tensor, keys: np.ndarray, draws: int) -> np.ndarray:
    """`draws` ids a token from softmax(logits [n, T, V]), ascending: uint16 or int32 [n, T, draws].

    Systematic sampling: the points (u + j) / draws, j = 0 ... draws - 1, under one uniform u a token. The expected number of
    draws of an id is draws * p(id), as with independent ones, and it is never off by one or more: less noise for the same bytes.
    """
    import torch

    tokens, size = logits.shape[1:]
    with np.errstate(over="ignore"):
        places = mix64_array(np.arange(1, tokens + 1, dtype=np.uint64) * GOLDEN)
        bits = mix64_array(keys[:, None] ^ places[None, :])
    uniform = (bits >> np.uint64(11)).astype(np.float64) * (1.0 / 9007199254740992.0)
    ends = logits.double().softmax(dim=-1).cumsum(dim=-1)
    points = (torch.from_numpy(uniform).to(ends)[..., None] + torch.arange(draws).to(ends)) / draws * ends[..., -1:]
    ids = torch.searchsorted(ends, points, right=True).clamp(max=size - 1)
    return ids.cpu().numpy().astype(token_dtype(size))
