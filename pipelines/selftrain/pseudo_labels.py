"""Turns a teacher's logits for unlabelled documents into class probabilities that a student can learn from.

1. Calibrate: p = softmax(logits / T), with T fitted on the held-out labels.
2. Match p to the class shares that the documents most likely have (`corpusmill.transforms.generate.select.class_shares`).
3. Spread p over the graph of similar texts, together with the given labels (`corpusmill.training.serving.neighbours`), then
   calibrate and match again.

Held-out documents are in the graph with the teacher's probabilities; their labels are used for calibration only.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pyarrow as pa

from corpusmill.training.serving.neighbours import Neighbours
from corpusmill.transforms.generate.calibrate import fit_temperature, log_softmax
from corpusmill.transforms.generate.select import brought_to, class_shares


@dataclass(frozen=True)
class Probabilities:
    """Class probabilities of documents.

    shares: of the unlabelled documents, float64 [n, K]. held: of the held-out documents, float64 [h, K]. wanted: the class of
    each held-out label, -1 if the teacher lacks it. temperature: of the calibration. class_shares: estimated, float64 [K].
    """

    shares: np.ndarray
    held: np.ndarray
    wanted: np.ndarray
    temperature: float
    class_shares: np.ndarray


class Documents:
    """The texts that labels spread over. Each shard of unlabelled texts has its own graph, so time grows linearly.

    Args:
        labelled: table with columns text and label.
        held: the same, held out.
        unlabelled: table with a column text.
        rows: unlabelled texts in a shard.
    """

    def __init__(self, labelled: pa.Table, held: pa.Table, unlabelled: pa.Table, rows: int) -> None:
        self.labelled, self.held, self.unlabelled, self.rows = labelled, held, unlabelled, rows

    @cached_property
    def graphs(self) -> list[Neighbours]:
        """One graph for each shard: labelled texts, then the shard's, then the held-out ones."""
        before, behind = (t["text"].to_pylist() for t in (self.labelled, self.held))
        shards = (self.unlabelled["text"].slice(i, self.rows) for i in range(0, len(self.unlabelled), self.rows))
        return [Neighbours(before + shard.to_pylist() + behind) for shard in shards]

    def probabilities(
        self, classes: Sequence[str], logits: np.ndarray, held_logits: np.ndarray, evenness: float, spread: float
    ) -> Probabilities:
        """Probabilities from a teacher's logits. Raises RecipeError if the teacher knows none of the held-out labels."""
        place = {name: i for i, name in enumerate(classes)}
        wanted, given = (
            np.array([place.get(label, -1) for label in t["label"].to_pylist()]) for t in (self.held, self.labelled)
        )
        temperature = _fit(held_logits, wanted)
        p, held = (np.exp(log_softmax(z, temperature)) for z in (logits, held_logits))
        shares = class_shares(p, evenness)
        p = brought_to(p, shares)
        if not spread or not len(p):
            return Probabilities(p, held, wanted, temperature, shares)
        known = np.eye(len(classes))[given]
        found = [
            np.log(np.maximum(graph.spread(np.concatenate((known, p[i : i + self.rows], held)), spread), 1e-12))
            for i, graph in zip(range(0, len(p), self.rows), self.graphs)
        ]
        n, h = len(known), len(held)
        wanted = np.tile(wanted, len(found))
        held = np.concatenate([f[len(f) - h :] for f in found])
        sharper = _fit(held, wanted)
        p = np.exp(log_softmax(np.concatenate([f[n : len(f) - h] for f in found]), sharper))
        shares = class_shares(p, evenness)
        return Probabilities(brought_to(p, shares), np.exp(log_softmax(held, sharper)), wanted, temperature, shares)


def _fit(logits: np.ndarray, wanted: np.ndarray) -> float:
    return fit_temperature(logits[wanted >= 0], wanted[wanted >= 0])
