"""Opens what the step `quality` scores with: scorers, fastText models, and classifiers of the model handlers."""

from __future__ import annotations

import functools
import re
from typing import Any, Protocol

import numpy as np
import pyarrow as pa

from corpusmill.transforms.errors import RecipeError
from corpusmill.transforms.generate.model import digest_of, open_model
from corpusmill.transforms.select._linear import Scorer, log_odds, open_scorer, softmax
from corpusmill.transforms.select.fasttext.file import is_fasttext
from corpusmill.transforms.select.fasttext.model import open_fasttext
from corpusmill.transforms.versions import file_digest


class Classifier(Protocol):
    """What scores documents."""

    @property
    def labels(self) -> tuple[str, ...]:
        """Names of the classes."""

    def scored(self, texts: pa.Array, label: int) -> tuple[np.ndarray, np.ndarray]:
        """(probability of a label, its log odds), float64 [n] each."""


class Handled:
    """A classifier behind the model handlers. One with a single class, such as a regression of educational value, gives its
    value as it is."""

    def __init__(self, spec: str) -> None:
        self._model = open_model(spec)
        self.labels = tuple(self._model.classes)
        if not self.labels:
            raise RecipeError(f"{spec}: is no classifier; name a run of one, linear:FOLDER or hf-classifier:FOLDER")

    def scored(self, texts: pa.Array, label: int) -> tuple[np.ndarray, np.ndarray]:
        """(probability of a label, its log odds), float64 [n] each."""
        logits = np.asarray(self._model.classify(texts.fill_null("").to_pylist()), np.float64)
        if len(self.labels) == 1:
            return logits[:, 0], logits[:, 0]
        return softmax(logits)[:, label], log_odds(logits, label)


_HANDLED = re.compile(r"[a-z][a-z0-9+-]+:(?!//)")


def is_handled(spec: str) -> bool:
    """Whether a name is that of a model behind a handler, `scheme:rest`, and no path or address.

    >>> is_handled("hf-classifier:models/edu"), is_handled("s3://bucket/scorer"), is_handled("C:/scorer")
    (True, False, False)
    """
    return _HANDLED.match(spec) is not None


def digest(spec: str) -> str:
    """Digest of what `spec` names, without loading it."""
    return f"model:{digest_of(spec)}" if is_handled(spec) else f"sha256:{file_digest(spec)}"


def opened(spec: str) -> Classifier:
    """What `spec` names: the file of a scorer or of a fastText model, or a model of a handler such as hf-classifier:FOLDER.

    Raises:
        BadFileError: the file is damaged, or holds neither.
        RecipeError: the model is no classifier.
    """
    return _opened(spec, digest(spec))


@functools.lru_cache(8)
def _opened(spec: str, digest: str) -> Any:
    """digest: keeps a changed file from being taken for the one that was read before."""
    if is_handled(spec):
        return Handled(spec)
    return open_fasttext(spec) if is_fasttext(spec) else open_scorer(spec)


def label_of(spec: str, model: Classifier, wanted: str | None) -> int:
    """The place of the label whose probability is the score.

    Raises:
        RecipeError: there is no such label, or none is named and the model does not say which one it finds.
    """
    labels = model.labels
    shown = ", ".join(labels[:20])
    if wanted is not None:
        name = wanted.removeprefix("__label__")
        if name not in labels:
            raise RecipeError(f"quality.label: {spec} has no label `{wanted}`; it has {shown}")
        return labels.index(name)
    # our own scorers begin with the label that they were trained to find; nobody else promises an order
    if len(labels) > 1 and not isinstance(model, Scorer):
        raise RecipeError(f"quality.label: say which label of {spec} is the score; it has {shown}")
    return 0


def scored(spec: str, wanted: str | None, texts: pa.Array) -> tuple[np.ndarray, np.ndarray]:
    """(probability of a label, its log odds), float64 [n] each, rounded to six decimals."""
    model = opened(spec)
    return rounded(model.scored(texts, label_of(spec, model, wanted)))


def rounded(found: tuple[np.ndarray, np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Both to six decimals, which are the same on any machine."""
    return np.round(found[0], 6), np.round(found[1], 6)
