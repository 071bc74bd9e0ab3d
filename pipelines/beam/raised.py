"""Errors of Beam's threads as they were raised. Beam passes errors on as texts, so that nobody could tell what kind they are."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from corpusmill.transforms.errors import CorpusmillError

_RAISED: list[Exception] = []


@contextlib.contextmanager
def noted() -> Iterator[None]:
    """In a function that Beam calls: keep the error of this block for `as_raised`, and raise it."""
    try:
        yield
    except (CorpusmillError, OSError) as error:
        _RAISED.append(error)
        raise


@contextlib.contextmanager
def as_raised() -> Iterator[None]:
    """Around a pipeline that runs in threads of this process: raise the first error that was noted, as it was raised."""
    _RAISED.clear()
    try:
        yield
    except Exception:
        if _RAISED:
            raise _RAISED[0] from None
        raise
