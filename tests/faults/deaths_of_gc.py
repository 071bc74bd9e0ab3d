"""A collection of garbage that dies on its way."""

import pytest

from corpusmill.pipelines.operations import gc


def killed_collection(dataset: str, removals: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """All but one snapshot of a dataset are collected, and the process dies behind so many removals."""
    left, real = iter(range(removals)), gc.storage.remove

    def dying(path: str) -> None:
        return real(path) if next(left, None) is not None else 1 / 0

    with monkeypatch.context() as patched:
        patched.setattr(gc.storage, "remove", dying)
        with pytest.raises(ZeroDivisionError):
            gc.collect(dataset, keep=1)
