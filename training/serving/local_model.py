"""Answers requests with one of our checkpoints or a Hugging Face one: text, classes, likelihoods.

A record's result does not depend on other records. Its draws come from its own stream. The shape of every pass through
the model depends on the record alone: its length rounded up to a bucket, and always `rows` rows, with repeats in empty
places. So results are equal to the last bit for batches of 1, 7 or 64. Buckets are at most a third wider than the row.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import threading
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from corpusmill.training import checkpoint
from corpusmill.training.serving.prompts import encode, shortened
from corpusmill.transforms.errors import DatasetError, MissingDependencyError, RecipeError

if TYPE_CHECKING:
    from torch import Tensor

    from corpusmill.transforms.generate.model import Request, Sampling

HF = "hf:"
ROWS = 16
CONTEXT = 2048
"""Longest row where neither the model nor its settings name one."""


@dataclass
class Usage:
    """Counters of a model: records, their tokens, tokens of the passes with padding, generated tokens."""

    records: int = 0
    tokens: int = 0
    padded: int = 0
    written: int = 0


def bucket(tokens: int) -> int:
    """The width of the pass for a row of so many tokens: 16, 24, 32, 48, 64, 96, ...

    >>> [bucket(n) for n in (0, 16, 17, 25, 100, 129)]
    [16, 16, 24, 32, 128, 192]
    """
    width = 16
    while width < tokens:
        width = width * 3 // 2 if width & (width - 1) == 0 else width * 4 // 3
    return width


def digest(spec: str) -> str:
    """Hexadecimal digest of a model's weights, tokenizer, shape and classes; imports no torch.

    Raises DatasetError if there is no model.
    """
    if spec.startswith(HF):
        folder = Path(spec[len(HF) :])
        about: list[Any] = [(folder / "config.json").read_text() if (folder / "config.json").exists() else ""]
    else:
        folder = checkpoint.find(spec)
        state = checkpoint.read_state(folder)
        about = [state["model"], state["classes"], state["train"]["tune"], state["digests"].get("base")]
    weights = sorted(f for f in folder.glob("*.safetensors") if f.name != "optimizer.safetensors")
    if not weights:
        raise DatasetError(f"{folder}: holds no weights (*.safetensors). Give a run, a checkpoint or hf:FOLDER.")
    for file in [*weights, folder / "tokenizer.json"]:
        if file.exists():
            about.append(_file_digest(str(file), file.stat().st_size, file.stat().st_mtime_ns))
    return hashlib.sha256(json.dumps(about, sort_keys=True).encode()).hexdigest()[:32]


_digests: dict[tuple[str, int, int], str] = {}


def _file_digest(path: str, size: int, stamp: int) -> str:
    if (path, size, stamp) not in _digests:
        with open(path, "rb") as f:
            _digests[path, size, stamp] = hashlib.file_digest(f, "sha256").hexdigest()
    return _digests[path, size, stamp]


_threads_lock = threading.Lock()
_threads_users = 0
_threads_before = 1


@contextlib.contextmanager
def _one_thread() -> Iterator[None]:
    """One torch thread while anyone is inside: sums are then of one order on any machine, and workers are the parallelism."""
    global _threads_users, _threads_before
    import torch

    with _threads_lock:
        if _threads_users == 0:
            _threads_before = torch.get_num_threads()
            torch.set_num_threads(1)
        _threads_users += 1
    try:
        yield
    finally:
        with _threads_lock:
            _threads_users -= 1
            if _threads_users == 0:
                torch.set_num_threads(_threads_before)


class LocalModel:
    """A model in this process. Implements `corpusmill.transforms.generate.model.Model`.

    spec: a run, a checkpoint, or hf:FOLDER with config.json, *.safetensors and tokenizer.json. rows: of one pass, always.
    task: what a Hugging Face folder is loaded for, `causal` or `classification`.

    Raises:
        DatasetError: there is no model, or it is damaged.
        MissingDependencyError: torch or transformers is not installed.
    """

    def __init__(self, spec: str, rows: int = ROWS, device: str = "auto", task: str = "causal") -> None:
        try:
            import torch
        except ImportError as error:
            raise MissingDependencyError("a model needs torch: pip install corpusmill[train]") from error
        from corpusmill.training import build, huggingface, special_tokens
        from corpusmill.training.vocabulary import Vocabulary

        self.spec, self.rows, self.usage = spec, rows, Usage()
        self.digest = digest(spec)
        self.classes: list[str] = []
        self.model: Any
        if spec.startswith(HF):
            folder = Path(spec[len(HF) :])
            self.kind, self.task = huggingface.kind_of(str(folder), task)
            self.vocabulary = Vocabulary(folder / "tokenizer.json", special_tokens.read(folder))
            self.model = huggingface.load(str(folder), self.task).eval()
            config = self.model.model.config
            if task == "classification":
                self.classes = [str(config.id2label[i]) for i in range(config.num_labels)]
            self.context = int(getattr(config, "max_position_embeddings", 0) or CONTEXT)
        else:
            loaded = build.load(spec)
            self.kind, self.task = loaded.settings.model.kind, loaded.settings.objective.name
            self.vocabulary, self.model, self.classes = loaded.vocabulary, loaded.model, loaded.classes
            self.context = int(loaded.settings.model.max_length or loaded.settings.data.length or CONTEXT)
        name = ("cuda" if torch.cuda.is_available() else "cpu") if device == "auto" else device
        self.device = torch.device(name)
        self.model.to(self.device)

    def complete(self, requests: Sequence[Request]) -> list[str]:
        """One text a request, drawn token by token from the request's own stream."""
        ids = encode(self.vocabulary, [r.prompt for r in requests], self.kind, self.task)
        groups: dict[tuple[int, Sampling], list[int]] = defaultdict(list)
        for i, request in enumerate(requests):
            if request.sampling.max_tokens >= self.context:
                raise RecipeError(
                    f"{self.spec}: max_tokens {request.sampling.max_tokens} leaves no room for a prompt: the model reads "
                    f"{self.context} tokens. Lower max_tokens."
                )
            ids[i] = shortened(self.vocabulary, ids[i], self.context - request.sampling.max_tokens)
            groups[bucket(len(ids[i])), request.sampling].append(i)
        out = [""] * len(requests)
        for (width, sampling), members in groups.items():
            for part in _parts(members, self.rows):
                keys = np.array([requests[i].key for i in part], np.uint64)
                new = self._write([ids[i] for i in part], keys, sampling, width)
                self._count(part, members, ids, width, sum(len(row) for row in new[: len(set(part))]))
                for i, row in zip(part, new):
                    out[i] = self.vocabulary.decode(row)
        return out

    def _write(self, prompts: list[np.ndarray], keys: np.ndarray, sampling: Sampling, width: int) -> list[np.ndarray]:
        from corpusmill.training.serving.generate import generate

        drawn = None if sampling.temperature == 0 else keys
        rest = (sampling.temperature, sampling.top_k, sampling.top_p, self.vocabulary.size)
        with self._pass():
            special = self.vocabulary.special
            return generate(
                self.model, prompts, sampling.max_tokens, special.ends, drawn, *rest, width, start=special.start
            )

    def classify(self, texts: Sequence[str]) -> np.ndarray:
        """Logits float64 [n, classes].

        Raises RecipeError for a model that is no classifier.
        """
        if not self.classes:
            raise RecipeError(f"{self.spec}: is no classifier. Train one with `objective: {{name: classification}}`.")
        out = np.zeros((len(texts), len(self.classes)))
        for part, logits, _ in self._passes(texts):
            out[part] = logits.double().cpu().numpy()
        return out

    def score(self, texts: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
        """(nats, bytes) of each text behind its first token, as far as the model reads. Raises RecipeError for a classifier."""
        if self.classes or not self.is_causal:
            raise RecipeError(f"{self.spec}: has no likelihood of text; only a decoder language model has.")
        from corpusmill.training.objectives import IGNORE, label_losses

        size = np.append(self.vocabulary.bytes_of_tokens(), 0)
        nats, counts = np.zeros(len(texts)), np.zeros(len(texts))
        for part, logits, ids in self._passes(texts):
            targets = ids["input_ids"].roll(-1, dims=1)
            targets[:, -1] = 0
            inside = ids["segment_ids"].roll(-1, dims=1).bool()
            inside[:, -1] = False
            nats[part] = label_losses(logits, targets.masked_fill(~inside, IGNORE)).double().sum(1).cpu().numpy()
            known = np.minimum(targets.cpu().numpy(), len(size) - 1)
            counts[part] = (size[known] * inside.cpu().numpy()).sum(1)
        return nats, counts

    def teach(
        self, batch: dict[str, np.ndarray], kind: Any, size: int, temperature: float, seed: int
    ) -> dict[str, np.ndarray]:
        """What this model says of each next token of packed rows int64 [n, T], any n: see `serving.teach.columns`."""
        from corpusmill.training.serving.teach import columns_of_rows

        return columns_of_rows(self, batch, kind, size, temperature, seed)

    def log_probabilities(self, inputs: dict[str, np.ndarray], temperature: float) -> Tensor:
        """log of the probabilities of each next token at a temperature, float32 [n, T, V]. inputs: int64 [n, T] each."""
        import torch

        with self._pass():
            given = {k: torch.from_numpy(np.ascontiguousarray(v)).to(self.device) for k, v in inputs.items()}
            return (self.model(**given).float() / temperature).log_softmax(dim=-1)

    @property
    def is_causal(self) -> bool:
        """Whether each token is predicted from earlier tokens alone."""
        if self.spec.startswith(HF):
            return self.kind == "decoder"
        base = getattr(self.model, "base", self.model)  # behind a soft prompt
        return base.config.kind == "decoder" if hasattr(base, "config") else bool(base.causal)

    def _passes(self, texts: Sequence[str]) -> Iterator[tuple[list[int], Any, dict[str, Any]]]:
        """(places, logits, inputs) of every pass; the repeats that fill a pass are among the places, with equal values."""
        import torch

        # a document without a token is read as one end token, so that every row has something to attend to
        read = self.vocabulary.read if self.classes else self.vocabulary.prompts
        ids = [row[: self.context] if len(row) else np.array([self.vocabulary.end]) for row in read(list(texts))]
        groups: dict[int, list[int]] = defaultdict(list)
        for i, row in enumerate(ids):
            groups[bucket(len(row))].append(i)
        for width, members in groups.items():
            for part in _parts(members, self.rows):
                filled, inside = np.zeros((2, self.rows, width), np.int64)
                for i, place in enumerate(part):
                    filled[i, : len(ids[place])] = ids[place]
                    inside[i, : len(ids[place])] = 1
                batch = {"input_ids": filled, "segment_ids": inside}
                inputs = {name: torch.from_numpy(column).to(self.device) for name, column in batch.items()}
                self._count(part, members, ids, width, 0)
                with self._pass():
                    logits = self.model(**inputs)
                yield part, logits, inputs

    def _count(self, part: list[int], members: list[int], ids: list[np.ndarray], width: int, written: int) -> None:
        own = set(part)
        self.usage.records += len(own)
        self.usage.tokens += sum(len(ids[i]) for i in own)
        self.usage.padded += width * self.rows
        self.usage.written += written

    @contextlib.contextmanager
    def _pass(self) -> Iterator[None]:
        import torch

        with torch.no_grad(), _one_thread() if self.device.type == "cpu" else contextlib.nullcontext():
            yield


def _parts(members: list[int], rows: int) -> Iterator[list[int]]:
    """Lists of exactly `rows` members; the last is filled up with repeats of its first."""
    for i in range(0, len(members), rows):
        part = members[i : i + rows]
        yield part + part[:1] * (rows - len(part))


def open_local(spec: str) -> LocalModel:
    """The opener of paths and `hf:`."""
    return LocalModel(spec)


def open_hf_classifier(spec: str) -> LocalModel:
    """The opener of `hf-classifier:`."""
    return LocalModel(HF + spec.partition(":")[2], task="classification")


open_local.digest = digest  # type: ignore[attr-defined]
open_hf_classifier.digest = lambda spec: digest(HF + spec.partition(":")[2])  # type: ignore[attr-defined]
