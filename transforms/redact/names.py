"""Finds names of persons with Microsoft Presidio (an optional dependency)."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np
import pyarrow as pa

from corpusmill.transforms.arrow import string_buffers
from corpusmill.transforms.errors import MissingDependencyError
from corpusmill.transforms.redact.rules import Match


@functools.lru_cache(maxsize=1)
def _analyzer() -> Any:
    try:
        from presidio_analyzer import AnalyzerEngine  # type: ignore[import-not-found]
    except ImportError:
        raise MissingDependencyError(
            "`names: true` needs Presidio. Run: pip install presidio-analyzer && python -m spacy download en_core_web_lg"
        ) from None
    return AnalyzerEngine()


def detect_names(texts: pa.Array, language: str, min_score: float) -> list[Match]:
    """The names in all rows, in order. Slow: a model reads every document.

    Raises MissingDependencyError, which names the command, without Presidio.
    """
    engine = _analyzer()
    offsets, _ = string_buffers(texts)
    out = []
    for row, text in enumerate(texts.to_pylist()):
        if not text:
            continue
        results = [r for r in engine.analyze(text=text, entities=["PERSON"], language=language) if r.score >= min_score]
        if not results:
            continue
        where = np.zeros(len(text) + 1, np.int64)
        np.cumsum([len(c.encode()) for c in text], out=where[1:])
        last = 0
        for r in sorted(results, key=lambda r: (r.start, -r.end)):
            if r.start >= last:
                begin = int(offsets[row])
                value = " ".join(text[r.start : r.end].casefold().split())
                out.append(Match(row, begin + int(where[r.start]), begin + int(where[r.end]), "person", value))
                last = r.end
    return out
