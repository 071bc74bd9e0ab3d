"""Measures a model on rows that it was not trained on: loss, accuracy and bits per byte, in total and by domain.

Bits per byte = sum of losses / (ln 2 * UTF-8 bytes of the target tokens). It compares models with different tokenizers.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
from torch import nn

from corpusmill.training.data import Rows, in_order
from corpusmill.training.objective_table import objective_class
from corpusmill.training.objectives import IGNORE, NO_TARGETS, Objective, row_losses
from corpusmill.training.parallel import Parallel
from corpusmill.training.settings import TrainSettings
from corpusmill.training.vocabulary import Vocabulary
from corpusmill.transforms.errors import DatasetError
from corpusmill.transforms.progress import Meter, Tell


@torch.no_grad()
def measure(
    model: nn.Module,
    objective: Objective,
    data: Rows,
    vocabulary: Vocabulary,
    parallel: Parallel,
    settings: TrainSettings,
    tell: Tell | None = None,
) -> dict[str, Any]:
    """{loss, accuracy, targets, bits_per_byte, bytes, domains: {source: the same}} over `data`; of a classifier also {macro_f1,
    classes: {name: {targets, precision, recall, f1}}}.

    loss: nats a target. accuracy: share of targets that are the most likely label. Masked language models and
    encoder-decoders are scored on their targets only, so their bits per byte are of the hidden text. Each process takes
    a part of the rows. The figures do not depend on the batch size beyond rounding. tell: takes reports of progress. Raises
    DatasetError where the rows have no target: a loss of 0 would be the best there is.
    """
    count = min(len(data), settings.evaluation.rows or len(data))
    # spread over all rows: the first ones are often of one source
    mine = (np.arange(count) * len(data) // max(count, 1))[parallel.rank :: parallel.world]
    rows = settings.batch.micro_rows or max(1, settings.batch.rows // parallel.world)
    lengths = vocabulary.bytes_of_tokens()
    domains = len(data.sources)
    sums = np.zeros((domains + 1, 4))  # losses, targets, right ones, bytes; the last line: rows of several sources
    names: list[str] = getattr(data, "classes", [])
    confusion = np.zeros((len(names), len(names)))  # [class, what the model says]
    was = model.training
    model.eval()
    # every process makes as many passes as the first: sharded models gather parameters in each
    passes = -(-len(np.arange(count)[:: parallel.world]) // rows)
    with Meter(tell, "eval", len(mine), "row") as meter:
        for part, batch in _padded(in_order(data, objective, mine, rows), passes, data, objective):
            tensors = parallel.put(batch)
            with parallel.autocast():
                logits = objective.logits(model, tensors)
            labels = tensors["labels"]
            losses, targets = row_losses(logits, labels)
            said = logits.argmax(-1)
            right = ((said == labels) & (labels != IGNORE)).reshape(len(labels), -1)
            if not len(part):
                continue
            if names:
                known = batch["labels"] != IGNORE
                np.add.at(confusion, (batch["labels"][known], said.cpu().numpy()[known]), 1)
            wanted = batch["labels"].reshape(len(part), -1)
            text = lengths[np.where((wanted < 0) | (wanted >= len(lengths)), 0, wanted)] * (wanted != IGNORE)
            columns = (losses, targets, right.sum(1))
            figures = [column.double().cpu().numpy() for column in columns] + [text.sum(1).astype(np.float64)]
            place = data.source_of[part]
            np.add.at(sums, np.where(place < 0, domains, place), np.stack(figures, 1))
            meter.add(len(part), tokens=int(figures[1].sum()))
    model.train(was)
    sums = np.array(parallel.sum(*sums.ravel().tolist())).reshape(sums.shape)
    if names:
        confusion = np.array(parallel.sum(*confusion.ravel().tolist())).reshape(confusion.shape)
    if not sums[:, 1].sum():
        where = getattr(data, "path", "the rows")
        raise DatasetError(
            f"{where}: {NO_TARGETS.format(settings.objective.name)} Measure on longer documents, or more."
        )
    is_text = not objective_class(settings.objective.name).classes
    result = _figures(sums.sum(0), is_text) | (_of_classes(confusion, names) if names else {})
    named = {name: _figures(sums[i], is_text) for i, name in enumerate(data.sources) if name and sums[i, 1]}
    return result | {"domains": named} if named else result


def _figures(sums: np.ndarray, is_text: bool) -> dict[str, Any]:
    losses, targets, right, size = sums.tolist()
    out = {"loss": losses / max(targets, 1), "accuracy": right / max(targets, 1), "targets": int(targets)}
    if is_text and size:
        out |= {"bits_per_byte": losses / math.log(2) / size, "bytes": int(size)}
    return out


def _of_classes(confusion: np.ndarray, names: list[str]) -> dict[str, Any]:
    """Precision, recall and their harmonic mean of each class, and the plain mean of the last over classes that occur."""
    right, of, said = np.diag(confusion), confusion.sum(1), confusion.sum(0)
    precision, recall = right / np.maximum(said, 1), right / np.maximum(of, 1)
    f1 = 2 * right / np.maximum(of + said, 1)
    classes = {
        name: {"targets": int(of[i]), "precision": precision[i].item(), "recall": recall[i].item(), "f1": f1[i].item()}
        for i, name in enumerate(names)
    }
    return {"macro_f1": f1[(of + said) > 0].mean().item(), "classes": classes}


def _padded(batches: Any, passes: int, data: Rows, objective: Objective) -> Any:
    """The batches, followed by batches of row 0 that do not count, until there are `passes`."""
    done = 0
    for item in batches:
        done += 1
        yield item
    for _ in range(passes - done):
        yield np.empty(0, np.int64), objective.prepare(data.rows(np.zeros(1, np.int64)), np.zeros(1, np.uint64))
