"""Documents to fine-tune on: Parquet, Arrow or JSONL with the columns of the task, tokenised once into rows in memory; or the
newest (or a named) snapshot of a dataset of documents.

causal, masked, ... text                      one document a row, ended by the end token; private training only, others pack
classification   text, label                     one document a row, `label` the number of its class
text-to-text     text, target                    encoder reads text, decoder writes target; or one after the other
instruction      the columns that templates name  z = [instruction; input] -> y, loss on y only
"""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from corpusmill.privacy.certification import dataset_of, manifest_of
from corpusmill.training.data import pad
from corpusmill.training.finetune import templates
from corpusmill.training.objective_table import objective_class
from corpusmill.training.objectives import Batch
from corpusmill.training.settings import TrainSettings
from corpusmill.training.vocabulary import Vocabulary
from corpusmill.transforms.document import text_ids
from corpusmill.transforms.errors import DatasetError, RecipeError
from corpusmill.transforms.random import Keyed
from corpusmill.transforms.sources.items import read_items

MULTIPLE = 8
"""Rows are padded to a multiple of this: fewer shapes for compiled and fused kernels."""


def is_documents(path: str) -> bool:
    """Whether `path` is a file of documents or a dataset of them, not a folder of packed shards."""
    if not Path(path).is_dir():
        return Path(path).suffix in (".parquet", ".jsonl", ".arrow", ".feather", ".ipc")
    if dataset_of(path) != Path(path):
        return False
    names = [field["name"] for field in manifest_of(Path(path))[0].get("schema") or []]
    return "text" in names


def read_table(path: str, snapshot: int | None = None) -> pa.Table:
    """The table in a Parquet, Arrow IPC or JSONL file; the documents of a dataset's snapshot, the newest without a number."""
    if Path(path).is_dir():
        files = manifest_of(Path(path), snapshot)[0]["files"]
        if not files:
            raise DatasetError(f"{path}: the snapshot holds no documents.")
        return pa.concat_tables([read_table(str(Path(path) / f["path"])) for f in files], promote_options="permissive")
    if not Path(path).exists():
        raise DatasetError(f"{path}: there is no such file of documents. Correct the path that names it.")
    return read_items(path).table


class Documents:
    """Rows made of documents (see `corpusmill.training.data.Rows`). `classes`: names of the labels, in order.

    A longer document is cut at `data.length` tokens; of a prompt too long for its answer the beginning is cut off, and
    `cut` counts both.
    """

    def __init__(
        self, path: str, settings: TrainSettings, vocabulary: Vocabulary, classes: list[str] | None = None
    ) -> None:
        self.path, self.cut = path, 0
        task, length = settings.objective.name, settings.data.length
        objective = objective_class(task)
        table = read_table(path, settings.data.snapshot if path == settings.data.train else None)
        for role, column in settings.data.columns.items():
            if column not in table.column_names:
                raise RecipeError(
                    f"data.columns.{role}: {path} has no column {column}, but {', '.join(table.column_names)}."
                )
            table = table.append_column(role, table.column(column)) if role not in table.column_names else table
        for name in objective.columns:
            if name not in table.column_names:
                raise RecipeError(f"{path}: {task} needs a column {name}. Name it in data.columns: {{{name}: YOURS}}.")
        if not len(table):
            raise DatasetError(f"{path}: holds no documents.")
        self.columns: dict[str, list[np.ndarray]] = {}
        self.labels: np.ndarray | None = None
        self.classes = classes or []
        if objective.classes:
            self._classify(table, vocabulary, length)
        elif not objective.pairs:
            ids, end = vocabulary.encode(_texts(table, "text", self.path)), np.array([vocabulary.end], np.int64)
            self.cut = sum(len(row) >= length for row in ids)
            self.columns["input_ids"] = [np.concatenate((row[: length - 1], end)) for row in ids]
        else:
            self._pairs(table, vocabulary, settings, length)
        domain = settings.data.domain
        domains = table.column(domain) if domain in table.column_names else pa.nulls(len(table), pa.string())
        coded = pa.array(pc.fill_null(pc.cast(domains, pa.string()), "").to_pylist()).dictionary_encode()
        self.sources: list[str] = coded.dictionary.to_pylist()
        self.source_of: np.ndarray = coded.indices.to_numpy().astype(np.int32)
        seen = hashlib.sha256()
        for rows in self.columns.values():
            for row in rows:
                seen.update(len(row).to_bytes(8, "little") + row.tobytes())
        self.digest = (
            seen.hexdigest()
            if self.labels is None
            else hashlib.sha256(seen.digest() + self.labels.tobytes()).hexdigest()
        )

    def __len__(self) -> int:
        return len(self.columns["input_ids"])

    def rows(self, index: np.ndarray) -> Batch:
        """The columns of rows `index`, int64 [n, T], padded to the longest; `label` int64 [n]."""
        out: Batch = {}
        for name, column in self.columns.items():
            out[name] = pad([column[i] for i in index], multiple=MULTIPLE)
        out["segment_ids"] = pad(
            [np.ones(len(self.columns["input_ids"][i]), np.int64) for i in index], multiple=MULTIPLE
        )
        if "target_ids" in self.columns:
            ones = [np.ones(len(self.columns["target_ids"][i]), np.int64) for i in index]
            out["target_segment_ids"] = pad(ones, multiple=MULTIPLE)
        if self.labels is not None:
            out["label"] = self.labels[index]
        return out

    def _classify(self, table: pa.Table, vocabulary: Vocabulary, length: int) -> None:
        ids = vocabulary.encode(_texts(table, "text", self.path))
        self.cut = sum(len(row) > length for row in ids)
        # a document without a token is read as one end token, so that every row has something to attend to
        self.columns["input_ids"] = [row[:length] if len(row) else np.array([vocabulary.end]) for row in ids]
        labels = table.column("label").to_pylist()
        if None in labels:
            raise DatasetError(
                f"{self.path}: row {labels.index(None) + 1} has no label. Remove rows without one, or label them."
            )
        names = [str(label) for label in labels]
        self.classes = self.classes or sorted(set(names))
        place = {name: i for i, name in enumerate(self.classes)}
        unknown = sorted(set(names) - set(place))
        if unknown:
            raise DatasetError(
                f"{self.path}: labels {', '.join(unknown[:5])} are not among the {len(place)} trained on."
            )
        self.labels = np.array([place[name] for name in names], np.int64)

    def _pairs(self, table: pa.Table, vocabulary: Vocabulary, settings: TrainSettings, length: int) -> None:
        columns = objective_class(settings.objective.name).columns
        if columns:
            prompts, answered = (_texts(table, name, self.path) for name in columns)
            pairs = list(zip(prompts, answered))
        else:
            kinds = templates.load(settings.objective.templates)
            rng = Keyed(settings.seed, "templates")
            if "id" not in table.column_names:
                texts = pa.array([str(row) for row in table.to_pylist()])
                table = table.append_column("id", text_ids(Path(self.path).name, texts))
            pairs = [templates.render(kinds, row, rng) for row in table.to_pylist()]
        asked = vocabulary.encode([prompt for prompt, _ in pairs])
        answers = vocabulary.encode([answer for _, answer in pairs])
        end = np.array([vocabulary.end], np.int64)
        answers = [np.concatenate((a[: length - 1], end)) for a in answers]
        if settings.model.kind == "encoder-decoder":
            self.cut = sum(len(x) > length for x in asked)
            self.columns["input_ids"] = [np.concatenate((x[: length - 1], end)) for x in asked]
            self.columns["target_ids"] = answers
            return
        room = [max(1, length - len(y)) for y in answers]
        self.cut = sum(len(x) > r for x, r in zip(asked, room))
        asked = [x[-r:] for x, r in zip(asked, room)]
        self.columns["input_ids"] = [np.concatenate((x, y)) for x, y in zip(asked, answers)]
        self.columns["loss_mask"] = [
            np.concatenate((np.zeros(len(x), np.int64), np.ones(len(y), np.int64))) for x, y in zip(asked, answers)
        ]


def _texts(table: pa.Table, name: str, path: str) -> list[str]:
    try:
        return pc.fill_null(pc.cast(table.column(name), pa.string()), "").to_pylist()
    except pa.ArrowException as error:
        kind = table.schema.field(name).type
        raise DatasetError(
            f"{path}: the column {name} is {kind}, not text. Name another one in data.columns."
        ) from error
