"""`corpusmill.Recipe`: a recipe from Python values, with the messages that a YAML file gets."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from corpusmill.pipelines.recipe import model
from corpusmill.transforms.base import Transform
from corpusmill.transforms.errors import RecipeError
from corpusmill.transforms.sources.spec import SourceSpec

StepValue = Transform | str | Mapping[str, Any] | Callable[..., Any]
"""A step: an object of `corpusmill.steps`, its name, `{name: fields}`, or a function of a module."""


class Recipe(model.Recipe):
    """What a dataset is made of: sources, steps and an output.

    >>> from corpusmill.steps import Clean, Minhash
    >>> Recipe(
    ...     name="docs",
    ...     sources=[{"name": "texts", "path": "*.jsonl"}],
    ...     steps=[Clean(), "exact", Minhash(threshold=0.9)],
    ...     output="out/docs",
    ...     check_paths=False,
    ... )
    Recipe('docs': texts > clean > exact > minhash > out/docs)
    """

    def __init__(
        self,
        *,
        name: str,
        sources: Sequence[SourceSpec | Mapping[str, Any]],
        output: str | os.PathLike[str] | Mapping[str, Any],
        steps: Sequence[StepValue] = (),
        seed: int = 1,
        base_dir: str | os.PathLike[str] = ".",
        check_paths: bool = True,
        **sections: Any,
    ) -> None:
        """
        Args:
            base_dir: the folder that relative paths and the user's own modules are looked for in.
            check_paths: a local source that matches no file is a mistake.
            sections: `expect`, `schedule`, `train` and `privacy`, as mappings.

        Raises:
            RecipeError: lists every mistake.
        """
        values = {"name": name, "seed": seed, "sources": list(sources), "steps": list(steps), "output": output}
        recipe = from_mapping(values | sections, Path(base_dir), check_paths)
        super().__init__(**{field: getattr(recipe, field) for field in model.Recipe.model_fields})

    def __repr__(self) -> str:
        parts = [", ".join(s.name for s in self.sources), *(s.name for s in self.steps), self.output.path]
        return f"Recipe({self.name!r}: {' > '.join(parts)})"


def from_mapping(values: Mapping[str, Any], base_dir: Path, check_paths: bool = True) -> model.Recipe:
    """The recipe that a mapping describes as YAML would. Messages show the lines of that YAML.

    Raises:
        RecipeError: lists every mistake.
    """
    plain = dict(values)
    if isinstance(plain.get("output"), str | os.PathLike):
        plain["output"] = {"path": plain["output"]}
    if isinstance(plain.get("steps"), list | tuple):
        plain["steps"] = [_step(step) for step in plain["steps"]]
    try:
        text = yaml.safe_dump(_plain(plain), sort_keys=False, allow_unicode=True, width=110)
    except yaml.YAMLError as error:
        raise RecipeError(f"a recipe holds texts, numbers, lists and mappings: {error}") from None
    return model.loads(text, "recipe", base_dir.resolve(), check_paths=check_paths)


def _step(step: StepValue) -> Any:
    if isinstance(step, Transform):
        module = type(step).__module__
        key = step.name if module.startswith("corpusmill.") else _path_of(type(step))
        fields = step.model_dump(mode="json", exclude_defaults=True)
        return {key: fields} if fields else key
    return _path_of(step) if callable(step) else step


def _path_of(thing: Any) -> str:
    """`module:name` of a class or function, as a recipe names it."""
    if thing.__module__ == "__main__" or "." in thing.__qualname__:
        raise RecipeError(
            f"`{thing.__qualname__}` cannot be named in a recipe: workers import it, so write it at the top level of a "
            "module (a .py file) beside the recipe or installed"
        )
    return f"{thing.__module__}:{thing.__qualname__}"


def _plain(value: Any) -> Any:
    """`value` with paths as texts, models as mappings and tuples as lists."""
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    if isinstance(value, SourceSpec):
        return _plain(value.model_dump(mode="json", exclude_defaults=True, by_alias=True))
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    return [_plain(item) for item in value] if isinstance(value, list | tuple) else value
