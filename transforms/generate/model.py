"""The interface between steps and models: requests, the protocol of a model, and openers by scheme.

`transforms` has no models. The program that runs steps registers openers: `pipelines` registers those of `training`, and users
may register their own. A specification is `scheme:rest`, or a path, whose scheme is the empty string.

    register("mine", "my_package.models:open_mine")    # open_mine(spec: str) -> Model; open_mine.digest(spec) -> str
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib
import json
import threading
from collections.abc import Iterator, Sequence
from contextvars import ContextVar
from dataclasses import asdict, dataclass
from typing import Any, Protocol

import numpy as np

from corpusmill.transforms.errors import RecipeError


@dataclass(frozen=True)
class Sampling:
    """How text is drawn. temperature 0: the most likely token; top_k 0: all tokens; top_p 1: all of the probability."""

    max_tokens: int = 128
    temperature: float = 0.8
    top_k: int = 0
    top_p: float = 0.95


@dataclass(frozen=True)
class Request:
    """One text asked of a model. record: the id of the document that it is for; key: uint64, the stream of its draws."""

    prompt: str
    key: int
    record: str = ""
    sampling: Sampling = Sampling()

    def payload(self, model: str) -> bytes:
        """Digest of all that decides the answer of the model with digest `model`; the record's id is not part of it."""
        request = [model, "complete", self.prompt, self.key, asdict(self.sampling)]
        return hashlib.sha256(json.dumps(request, ensure_ascii=False).encode()).digest()


class Model(Protocol):
    """The calls that steps make. A model that cannot answer one raises RecipeError, which says what kind of model it is."""

    digest: str
    classes: list[str]

    def complete(self, requests: Sequence[Request]) -> list[str]:
        """One text a request; the same request has the same answer whatever else is asked."""

    def classify(self, texts: Sequence[str]) -> np.ndarray:
        """Logits float64 [n, classes], before any temperature."""

    def score(self, texts: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
        """(negative log-likelihood in nats, UTF-8 bytes it is of), float64 [n] each."""


ENSEMBLE = "ensemble:"
_OPENERS: dict[str, str] = {}
_OPEN: dict[str, Model] = {}
_LOCK = threading.RLock()
_CACHE: ContextVar[str | None] = ContextVar("corpusmill_request_cache", default=None)


def register(scheme: str, opener: str) -> None:
    """Name the opener of specifications `scheme:...`: an import path `package.module:function`, imported on first use."""
    _OPENERS[scheme] = opener


def scheme_of(spec: str) -> str:
    """The registered scheme that a specification begins with; "" for a path, which may hold a colon, too."""
    head, colon, _ = spec.partition(":")
    return head if colon and head in _OPENERS else ""


def members_of(spec: str) -> list[str]:
    """The specifications behind one: those of an ensemble's members, or itself.

    >>> members_of("ensemble:runs/a,runs/b")
    ['runs/a', 'runs/b']
    """
    return spec[len(ENSEMBLE) :].split(",") if spec.startswith(ENSEMBLE) else [spec]


def _opener(spec: str) -> Any:
    scheme = scheme_of(spec)
    if scheme not in _OPENERS:
        known = ", ".join(sorted(f"{s}:" for s in _OPENERS if s)) or "none"
        raise RecipeError(
            f"model {spec!r}: nothing here opens it; openers: {known}. Run the step through a recipe, or call "
            "corpusmill.transforms.generate.model.register first."
        )
    module, _, name = _OPENERS[scheme].partition(":")
    return getattr(importlib.import_module(module), name)


def digest_of(spec: str) -> str:
    """Digest of the model behind `spec`, without loading it.

    Raises:
        RecipeError, DatasetError: there is no such model.
    """
    digest: str = _opener(spec).digest(spec)
    return digest


def open_model(spec: str) -> Model:
    """The model behind `spec`: one copy a process, whatever the number of steps and threads that use it."""
    key = f"{spec}\0{digest_of(spec)}"
    with _LOCK:
        if key not in _OPEN:
            _OPEN[key] = _opener(spec)(spec)
        return _OPEN[key]


@contextlib.contextmanager
def cache_in(path: str | None) -> Iterator[None]:
    """While it lasts, this thread's steps keep answers in the request cache `path` and never ask for them again."""
    token = _CACHE.set(path)
    try:
        yield
    finally:
        _CACHE.reset(token)


def ask(model: Model, requests: Sequence[Request]) -> list[str]:
    """Answers to `requests`, from the current cache where it has them; each new one is kept as it comes."""
    path = _CACHE.get()
    if path is None:
        return model.complete(requests)
    from corpusmill.transforms.generate.cache import RequestCache

    return RequestCache.at(path).complete(model, requests)
