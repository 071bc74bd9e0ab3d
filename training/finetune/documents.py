"""Documents to fine-tune on: Parquet, Arrow or JSONL with the columns of the task, tokenised once into rows in memory; or the
newest (or a named) snapshot of a dataset of documents.

causal, masked, ... text                      one document a row, ended by the end token; private training only, others pack
classification   text, label                     one document a row, `label` the number of its class
text-to-text     text, target                    encoder reads text, decoder writes target; or one after the other
instruction      the columns that templates name  z = [instruction; input] -> y, loss on y only
                 or messages                     conversations, loss on what the assistant writes
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from corpusmill.privacy.certification import dataset_of, manifest_of
from corpusmill.training.data import pad
from corpusmill.training.finetune import pairs
from corpusmill.training.finetune.fitting import Fitting
from corpusmill.training.finetune.packing import MULTIPLE
from corpusmill.training.finetune.texts import texts_of
from corpusmill.training.objective_table import objective_class
from corpusmill.training.objectives import Batch
from corpusmill.training.settings import TrainSettings
from corpusmill.training.splits import note_of, split_rows
from corpusmill.training.vocabulary import Vocabulary
from corpusmill.transforms.errors import DatasetError, RecipeError
from corpusmill.transforms.mix.split import SPLIT, TRAIN
from corpusmill.transforms.sources.items import read_items


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

    parts, must: of documents with a column `split`; see `corpusmill.training.splits.split_rows`. `part`: the split that was taken.
    `kept`: numbers of the documents in the file that rows were made of. `notes`: what was cut or left out, in sentences; see
    `corpusmill.training.finetune.fitting`.
    """

    def __init__(
        self,
        path: str,
        settings: TrainSettings,
        vocabulary: Vocabulary,
        classes: list[str] | None = None,
        parts: Sequence[str] = (TRAIN,),
        must: bool = True,
    ) -> None:
        self.path = path
        task = settings.objective.name
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
        splits = table.column(SPLIT) if SPLIT in table.column_names else None
        chosen = split_rows(splits, parts, path, must)
        self.part: str | None = None
        numbers: np.ndarray = np.arange(len(table))
        if chosen is not None and splits is not None:
            self.part, numbers = chosen
            table = table.take(pa.array(numbers))
        self.labels: np.ndarray | None = None
        self.class_weights: np.ndarray | None = None
        self.classes = classes or []
        fitting = Fitting(settings.data.length, settings.data.truncate, path)
        note = ""
        self.conversations = objective.pairs and pairs.is_chat(table, settings)
        self.columns: dict[str, list[np.ndarray]]
        if objective.pairs:
            self.columns, kept, note = pairs.rows_of(table, path, settings, vocabulary, fitting)
        else:
            self.columns, kept = self._read(table, vocabulary, fitting, objective.classes)
        fitting.check()
        self.cut, self.left_out = fitting.cut, len(table) - len(kept)
        divided = note_of(splits, self.part, path) if splits is not None and self.part else ""
        self.notes = [text for text in (fitting.note(), note, divided) if text]
        mine: np.ndarray = np.array(kept, np.int64)
        self.kept: np.ndarray = numbers[mine]
        if objective.classes:
            self.labels = self._labels(table)[mine]
            if settings.objective.class_weights == "balanced" and path == settings.data.train:
                counts = np.bincount(self.labels, minlength=len(self.classes))
                self.class_weights = (len(self.labels) / (len(counts) * np.maximum(counts, 1))).astype(np.float32)
        domain = settings.data.domain
        domains = table.column(domain) if domain in table.column_names else pa.nulls(len(table), pa.string())
        named = pc.fill_null(pc.cast(domains, pa.string()), "").take(pa.array(mine))
        coded = pa.array(named.to_pylist(), pa.string()).dictionary_encode()
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
            if self.class_weights is not None:
                out["weight"] = self.class_weights[out["label"]]
        return out

    def _read(
        self, table: pa.Table, vocabulary: Vocabulary, fitting: Fitting, framed: bool
    ) -> tuple[dict[str, list[np.ndarray]], list[int]]:
        """(columns, documents kept) of single texts. framed: between the model's special tokens, else ended by the end token."""
        end, special = np.array([vocabulary.end], np.int64), vocabulary.special
        before, after = np.array(special.before, np.int64), np.array(special.after, np.int64)
        rows, kept = [], []
        for i, ids in enumerate(vocabulary.encode(texts_of(table, "text", self.path))):
            row = fitting.text(ids, before, after) if framed else fitting.ended(ids, end)
            if row is not None:
                # a document without a token is read as one end token, so that every row has something to attend to
                rows.append(row if len(row) else end)
                kept.append(i)
        return {"input_ids": rows}, kept

    def _labels(self, table: pa.Table) -> np.ndarray:
        """The number of each document's class; the classes are its own where none are given."""
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
        return np.array([place[name] for name in names], np.int64)
