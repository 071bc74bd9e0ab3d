"""corpusmill: training data for language models, from raw text to packed shards.

    import corpusmill
    from corpusmill.steps import Clean, Exact, GopherQuality, Minhash

    result = corpusmill.run("corpus.yaml")                  # or a mapping, or a Recipe
    corpus = corpusmill.open("out/docs")                    # what a run published
    corpus.to_polars(), corpus.funnel, corpus.why("doc-17")
    texts = Clean()(["a text", "another"])                  # a step on data in memory

Every module is importable below this name: `corpusmill.transforms` (what is done to documents), `corpusmill.pipelines`
(recipes, datasets, engine, command line), `corpusmill.training` and `corpusmill.privacy`. Importing `corpusmill` alone imports
neither Beam, torch, pyarrow nor numba: each name loads what it needs when it is first used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from corpusmill.dataset import Dataset, open
    from corpusmill.private_engine import PrivacyEngine
    from corpusmill.recipe import Recipe
    from corpusmill.runs import RunResult, run
    from corpusmill.transforms.errors import CorpusmillError

__all__ = ["CorpusmillError", "Dataset", "PrivacyEngine", "Recipe", "RunResult", "open", "run"]

_MODULES = {
    "CorpusmillError": "corpusmill.transforms.errors",
    "Dataset": "corpusmill.dataset",
    "PrivacyEngine": "corpusmill.private_engine",
    "Recipe": "corpusmill.recipe",
    "RunResult": "corpusmill.runs",
    "open": "corpusmill.dataset",
    "run": "corpusmill.runs",
}


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module 'corpusmill' has no attribute {name!r}; it has: {', '.join(__all__)}")
    return getattr(importlib.import_module(_MODULES[name]), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
