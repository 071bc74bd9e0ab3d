"""The base of all steps that ask a model: the model's digest is in the fingerprint, its path is relative to the recipe."""

from __future__ import annotations

import os
from typing import ClassVar, Self

from corpusmill.transforms.base import Transform
from corpusmill.transforms.generate.model import ENSEMBLE, digest_of, members_of


class ModelStep(Transform):
    """A step whose fields named in `specifications` are specifications of models (see `corpusmill.transforms.generate.model`)."""

    specifications: ClassVar[tuple[str, ...]] = ("model",)

    def fingerprint(self) -> str:
        """As for any transform, with the digest of a model instead of its path."""
        digests = {n: f"model:{digest_of(v)}" for n in self.specifications if (v := getattr(self, n)) is not None}
        return Transform.fingerprint(self.model_copy(update=digests))

    def resolved(self, folder: str) -> Self:
        """With the paths of files and of local models taken from `folder`, where they are relative."""
        out = super().resolved(folder)
        paths = {n: _at(folder, v) for n in self.specifications if (v := getattr(out, n)) is not None}
        return out.model_copy(update=paths)


def models_of(step: Transform) -> list[tuple[str, str]]:
    """(field, specification) of each model that a step names. Where `quality` names a scorer's file, that is no model."""
    found = []
    for name in getattr(step, "specifications", ()):
        value = getattr(step, name)
        found += [(name, spec) for spec in ((value,) if isinstance(value, str) else value or ())]
    files = set(step.files())
    return [(name, spec) for name, spec in found if spec not in files]


def _at(folder: str, spec: str) -> str:
    if len(members := members_of(spec)) > 1:
        return ENSEMBLE + ",".join(_at(folder, member) for member in members)
    scheme, colon, rest = spec.partition(":")
    if not colon:
        return os.path.join(folder, os.path.expanduser(spec))
    path = os.path.join(folder, os.path.expanduser(rest))
    return f"{scheme}:{path}" if os.path.exists(path) else spec
