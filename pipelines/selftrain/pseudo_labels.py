"""What a teacher says of unlabelled documents, made fit to learn from: calibrated, evened, and spread between similar texts.

1. shares of the classes p = softmax(logits / T), T from the held-out labels;
2. p brought to the shares of classes that the documents most likely have (`corpusmill.transforms.generate.select.class_shares`);
3. spread over the graph of similar texts, with the given labels (`corpusmill.training.serving.neighbours`), and calibrated
and brought again.

Held-out documents lie in the graph, too, but what is said of them is the teacher's word: their labels only calibrate.
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
class Said:
    """Shares of the classes: of the unlabelled documents and of the held-out ones, float64 [n, K]; the held-out ones' places
    among the classes, -1 where the teacher does not know the label; the temperature, and the estimated shares of the classes."""

    shares: np.ndarray
    held: np.ndarray
    wanted: np.ndarray
    temperature: float
    class_shares: np.ndarray


class Documents:
    """The texts that labels spread over: one graph for each shard of unlabelled ones, so that time grows with their number.

    labelled, held: columns text and label; unlabelled: column text; rows: of a shard.
    """

    def __init__(self, labelled: pa.Table, held: pa.Table, unlabelled: pa.Table, rows: int) -> None:
        self.labelled, self.held, self.unlabelled, self.rows = labelled, held, unlabelled, rows

    @cached_property
    def graphs(self) -> list[Neighbours]:
        """Made when they are first needed: labelled texts, then the shard's, then the held-out ones."""
        before, behind = (t["text"].to_pylist() for t in (self.labelled, self.held))
        shards = (self.unlabelled["text"].slice(i, self.rows) for i in range(0, len(self.unlabelled), self.rows))
        return [Neighbours(before + shard.to_pylist() + behind) for shard in shards]

    def say(
        self, classes: Sequence[str], logits: np.ndarray, held_logits: np.ndarray, evenness: float, spread: float
    ) -> Said:
        """What a teacher's logits come to. Raises RecipeError where the teacher knows no held-out label."""
        place = {name: i for i, name in enumerate(classes)}
        wanted, given = (
            np.array([place.get(label, -1) for label in t["label"].to_pylist()]) for t in (self.held, self.labelled)
        )
        temperature = _fit(held_logits, wanted)
        p, held = (np.exp(log_softmax(z, temperature)) for z in (logits, held_logits))
        shares = class_shares(p, evenness)
        p = brought_to(p, shares)
        if not spread or not len(p):
            return Said(p, held, wanted, temperature, shares)
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
        return Said(brought_to(p, shares), np.exp(log_softmax(held, sharper)), wanted, temperature, shares)


def _fit(logits: np.ndarray, wanted: np.ndarray) -> float:
    return fit_temperature(logits[wanted >= 0], wanted[wanted >= 0])
