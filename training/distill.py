"""Distillation: a teacher's distribution over each next token, stored beside the rows, and losses that learn from it.

    kind      kept for each token                                       loss of the student q against the teacher p
    sampled   `draws` token ids drawn from p (Anshumann et al. 2025)    -1/n sum_j log q(x_j), in expectation -sum_v p_v log q_v
    top-k     the k likeliest ids and log p of each                     sum_k p_k log(p_k / q_k) + p_tail log(p_tail / q_tail)
    full      log p of every id, float16                                sum_v p_v log(p_v / q_v)

The tail of top-k is one event with the remaining probability, 1 - sum_k p_k. Renormalised top-k teaches that nothing
else can follow; it was worse than no teacher and is not offered. p and q are taken at temperature T (Hinton et al.
2015). The loss is T^2 times the above, so that gradients keep their size. With `hard` h, the student's loss is h *
cross-entropy on the text + (1 - h) * that. If it is switched on, `hidden` * the loss of
`corpusmill.training.hidden_states` is added.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pyarrow as pa

from corpusmill.training.data import Rows, Shards, _open
from corpusmill.training.hidden_states import Teacher, relation_losses, with_states
from corpusmill.training.noised_copies import NoisedCopies
from corpusmill.training.objectives import IGNORE, INPUTS, Batch, Causal, label_losses
from corpusmill.training.provenance import MANIFEST
from corpusmill.transforms.errors import BadFileError, DatasetError

if TYPE_CHECKING:
    from torch import Tensor

    from corpusmill.training.settings import TrainSettings
    from corpusmill.training.vocabulary import Vocabulary

Kind = Literal["sampled", "top-k", "full"]
COLUMNS = {"sampled": ("teacher_draws",), "top-k": ("teacher_ids", "teacher_logp"), "full": ("teacher_logp",)}


class TeacherRows:
    """Rows of training data with the teacher's columns beside them; implements `corpusmill.training.data.Rows`.

    folder: what `corpusmill.training.serving.teach.teach` wrote. Columns of a batch: `teacher_draws` or `teacher_ids` int64
    [n, T, K], `teacher_logp` float32 [n, T, K].

    Raises:
        DatasetError: the teacher's rows were made of other data or with another tokenizer, or a row's token count
        differs.
    """

    def __init__(self, data: Rows, folder: str | Path, tokenizer_digest: str = "") -> None:
        self.data, self.folder = data, Path(folder)
        path = self.folder / MANIFEST
        try:
            self.about: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            raise DatasetError(
                f"{path}: there is none; the teacher's pass has not been run, or was not finished."
            ) from None
        except ValueError as error:
            raise BadFileError(str(path), f"is not JSON ({error})", "run the teacher's pass again") from None
        todo = "Run the teacher's pass again over this data."
        copies = self.about.get("copies", 1)
        if self.about["data"] != data.digest or self.about["rows"] != len(data) * copies:
            raise DatasetError(
                f"{folder}: was made of other rows ({self.about['rows']:,}, {self.about['data'][:12]}) than the training data "
                f"({len(data):,}, {data.digest[:12]}). {todo}"
            )
        if tokenizer_digest and self.about["tokenizer"] != tokenizer_digest:
            raise DatasetError(
                f"{folder}: was made with another tokenizer ({self.about['tokenizer'][:12]}, now {tokenizer_digest[:12]}). {todo}"
            )
        if self.about.get("noise"):
            noise, ids, seed = self.about["noise"], self.about["ids"], self.about["seed"]
            self.data = data = NoisedCopies(data, copies, noise, ids, seed)
        self.sources, self.source_of = data.sources, data.source_of
        self.length = getattr(data, "length", 0)
        # provenance of the teacher changes no row
        description = json.dumps({k: v for k, v in self.about.items() if k != "provenance"}, sort_keys=True)
        self.digest = hashlib.sha256(f"{data.digest}\0{description}".encode()).hexdigest()
        self._parts: list[dict[str, np.ndarray]] = []
        for file in self.about["files"]:
            self._parts.append(_views(self.folder / file["path"], file["rows"], COLUMNS[self.about["kind"]]))
        self._starts = np.concatenate(([0], np.cumsum([f["rows"] for f in self.about["files"]]))).astype(np.int64)
        if self._starts[-1] != len(data):
            raise DatasetError(f"{folder}: holds {self._starts[-1]:,} rows for {len(data):,}. {todo}")

    def __len__(self) -> int:
        return len(self.data)

    def rows(self, index: np.ndarray) -> Batch:
        batch = self.data.rows(index)
        places = np.searchsorted(self._starts, index, side="right") - 1
        within = index - self._starts[places]
        counted = token_counts(batch)
        expected = np.array([self._parts[p]["n_tokens"][r] for p, r in zip(places, within)])
        for i in np.flatnonzero(counted != expected):
            file = self.about["files"][places[i]]["path"]
            raise DatasetError(
                f"{self.folder / file}, row {within[i]}: the teacher read {expected[i]} tokens, the training row has {counted[i]}. "
                "The two are not of one row: run the teacher's pass again."
            )
        tokens = batch["input_ids"].shape[1]
        for name in COLUMNS[self.about["kind"]]:
            flat = np.stack([self._parts[p][name][r] for p, r in zip(places, within)])
            kind = np.float32 if name == "teacher_logp" else np.int64
            batch[name] = flat.reshape(len(index), tokens, -1).astype(kind)
        return batch


def token_counts(batch: Batch) -> np.ndarray:
    """Tokens of each row, padding excluded: int64 [n]."""
    ids = batch["input_ids"]
    if "segment_ids" not in batch:
        return np.full(len(ids), ids.shape[1], np.int64)
    return (batch["segment_ids"] != 0).sum(axis=1)


def _views(path: Path, rows: int, names: tuple[str, ...]) -> dict[str, np.ndarray]:
    """Columns of a mapped shard as numpy views: n_tokens [rows], the others [rows, T * K]."""
    try:
        with pa.memory_map(str(path)) as source:
            table = pa.ipc.open_file(source).read_all()
    except (OSError, pa.ArrowInvalid) as error:
        raise BadFileError(str(path), f"is not a whole Arrow file ({error})", "run the teacher's pass again") from None
    if table.num_rows != rows:
        raise BadFileError(
            str(path), f"holds {table.num_rows} rows, {MANIFEST} says {rows}", "run the teacher's pass again"
        )
    out = {"n_tokens": table.column("n_tokens").to_numpy()}
    for name in names:
        column = table.column(name).combine_chunks()
        column = column.chunk(0) if isinstance(column, pa.ChunkedArray) else column
        out[name] = column.values.to_numpy().reshape(rows, -1)
    return out


def check_temperature(path: Path, recorded: float | None, student: float) -> None:
    """Raise DatasetError where the teacher's shards were made at another temperature than the student's."""
    if recorded is not None and recorded != student:
        raise DatasetError(
            f"{path}: the teacher's temperature was {recorded:g}, and the student's is {student:g}. Set objective.temperature to "
            f"{recorded:g}, or run the teacher's pass again."
        )


class OwnTeacherRows:
    """Rows of shards that contain the teacher's columns (the step `distill`); implements
    `corpusmill.training.data.Rows`.

    Raises:
        DatasetError: the shards hold no such columns.
    """

    def __init__(self, data: Shards) -> None:
        self.data, self.length = data, data.length
        self.sources, self.source_of = data.sources, data.source_of
        self.digest = data.digest
        files = [_open(file) for file in data.files]
        self._batches = [f.get_batch(i) for f in files for i in range(f.num_record_batches) if f.get_batch(i).num_rows]
        named = self._batches[0].schema.names
        self.names = next((c for c in COLUMNS.values() if all(n in named for n in c)), ())
        if not self.names:
            raise DatasetError(
                f"{data.path}: has no teacher's columns. End its recipe with `distill`, or name shards in objective.teacher."
            )

    def __len__(self) -> int:
        return len(self.data)

    def rows(self, index: np.ndarray) -> Batch:
        batch = self.data.rows(index)
        tokens = batch["input_ids"].shape[1]
        places = np.searchsorted(self.data.starts, index, side="right") - 1
        within = index - self.data.starts[places]
        for name in self.names:
            kind = np.float32 if name == "teacher_logp" else np.int64
            values = [self._batches[p].column(name)[int(r)].values.to_numpy() for p, r in zip(places, within)]
            batch[name] = np.stack(values).reshape(len(index), tokens, -1).astype(kind)
        return batch


class Distillation(Causal):
    """A causal language model that learns from a teacher's distribution over the next token, and from the text.

    Rows without the teacher's columns (validation) are plain causal rows. hard, temperature: as the module says. hidden: weight
    of `corpusmill.training.hidden_states`, whose teacher is `states_of`, a run or checkpoint that runs beside the student.
    """

    taught = True
    transformers_class = ""

    @classmethod
    def of(cls, settings: TrainSettings, vocabulary: Vocabulary) -> Distillation:
        task = settings.objective
        about = (task.temperature, task.hard, task.hidden, task.states_of or "", vocabulary.digest)
        return cls(*about, noise=task.noise, size=vocabulary.size)

    def __init__(
        self,
        temperature: float = 1.0,
        hard: float = 0.0,
        hidden: float = 0.0,
        states_of: str = "",
        tokenizer: str = "",
        noise: float = 0.0,
        size: int = 0,
    ) -> None:
        super().__init__(noise, size)
        self.temperature, self.hard, self.hidden = temperature, hard, hidden
        self.teacher = Teacher(states_of, tokenizer) if hidden else None

    def prepare(self, rows: Batch, keys: np.ndarray) -> Batch:
        return super().prepare(rows, keys) | {name: rows[name] for name in rows if name.startswith("teacher_")}

    def loss(self, model: Any, batch: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
        labels = batch["labels"]
        counts = (labels != IGNORE).sum()
        if not any(name.startswith("teacher_") for name in batch):
            return label_losses(self.logits(model, batch), labels).sum(), counts
        if self.teacher is None:
            logits = self.logits(model, batch)
        else:
            logits, states = with_states(model, lambda: self.logits(model, batch))
        soft = teacher_losses(logits, batch, self.temperature)
        losses = self.hard * label_losses(logits, labels) + (1 - self.hard) * soft
        if self.teacher is not None:
            inputs = {name: batch[name] for name in INPUTS if name in batch}
            losses = losses + self.hidden * relation_losses(
                states, self.teacher.states(inputs), batch.get("segment_ids")
            )
        return losses.masked_fill(labels == IGNORE, 0.0).sum(), counts


def teacher_losses(logits: Tensor, teacher: dict[str, Tensor], temperature: float) -> Tensor:
    """The loss of each token against the teacher: float32 [B, T].

    logits: the student's, [B, T, V]; teacher: `teacher_draws` [B, T, n], or `teacher_logp` [B, T, K] with `teacher_ids` for
    top-k and without for the full distribution. T^2 times what the module's table says.
    """
    log_q = (logits.float() / temperature).log_softmax(dim=-1)
    square = temperature * temperature
    if "teacher_draws" in teacher:
        return -log_q.gather(-1, teacher["teacher_draws"]).mean(dim=-1) * square
    log_p = teacher["teacher_logp"]
    p = log_p.exp()
    if "teacher_ids" not in teacher:
        return (p * (log_p - log_q).masked_fill(p == 0, 0.0)).sum(dim=-1) * square
    of_student = log_q.gather(-1, teacher["teacher_ids"])
    head = (p * (log_p - of_student)).sum(dim=-1)
    # both tails as 1 - sum, kept away from 0, where rounding could make them negative
    tail_p = (1.0 - p.sum(dim=-1)).clamp(min=1e-6)
    tail_q = (1.0 - of_student.exp().sum(dim=-1)).clamp(min=1e-6)
    return (head + tail_p * (tail_p.log() - tail_q.log())) * square


def teacher_size(batch: Batch) -> int:
    """How many ids a student needs for the teacher's columns of a batch; 0 without them."""
    ids = [int(batch[name].max(initial=-1)) + 1 for name in ("teacher_draws", "teacher_ids") if name in batch]
    full_size = batch["teacher_logp"].shape[-1] if "teacher_logp" in batch and not ids else 0
    return max([full_size, *ids])
