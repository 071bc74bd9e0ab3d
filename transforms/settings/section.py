"""The base of every section of a settings file, and paths that are relative to that file."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict


class Section(BaseModel):
    """A part of a settings file. Unknown keys are errors, values cannot change, and numbers are finite."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class IsPath:
    """Marks a field that holds paths, as in `Annotated[str, IsPath()]`. `with_paths` finds it."""


AnySection = TypeVar("AnySection", bound=BaseModel)


def with_paths(settings: AnySection, resolve: Callable[[str], str]) -> AnySection:
    """A copy of `settings` whose paths are replaced by `resolve(path)`, in inner sections too. Empty ones stay."""

    def replaced(value: Any) -> Any:
        if isinstance(value, str):
            return resolve(value) if value else value
        return tuple(map(replaced, value)) if isinstance(value, tuple) else value

    changes: dict[str, Any] = {}
    for name, field in type(settings).model_fields.items():
        value = getattr(settings, name)
        if any(isinstance(mark, IsPath) for mark in field.metadata):
            changes[name] = replaced(value)
        elif isinstance(value, Section):
            changes[name] = with_paths(value, resolve)
    return settings.model_copy(update=changes)
