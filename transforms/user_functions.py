"""Functions of a user's own that a recipe names as `package.module:function`, and what is said when one goes wrong."""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import re
import traceback
from collections.abc import Callable
from typing import Any, get_type_hints

import pyarrow as pa
from pydantic import Field, field_validator

from corpusmill.transforms.base import Transform
from corpusmill.transforms.errors import RecipeError
from corpusmill.transforms.versions import file_digest

_PATH = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*", re.ASCII)
KINDS: dict[type, str] = {bool: "text-filter", float: "text-filter", int: "text-filter", str: "text-map"}
"""What a function of a text returns -> the step that calls it."""


class CallsFunction(Transform):
    """Base of steps that call a user's function. The content of its module's file is part of the fingerprint, so that an
    edited function runs again; the function must depend on nothing but its arguments."""

    call: str = Field(description="the function, as package.module:function, beside the recipe or installed")
    options: dict[str, Any] = Field(default_factory=dict, description="keyword arguments of the function")

    @field_validator("call")
    @classmethod
    def _importable_name(cls, value: str) -> str:
        if not _PATH.fullmatch(value):
            raise ValueError(f"call is {value!r}: write it as package.module:function")
        return value

    def fingerprint(self) -> str:
        """As of any step, with the content of the function's module."""
        digests = [file_digest(path) for path in self.files()]
        return hashlib.sha256(" ".join([super().fingerprint(), *digests]).encode()).hexdigest()[:32]

    def files(self) -> list[str]:
        """The module's file."""
        module = self.call.partition(":")[0]
        try:
            spec = importlib.util.find_spec(module)
        except (ImportError, ValueError):
            spec = None
        if spec is None:
            raise RecipeError(f"{self.name}: no module `{module}`; put it beside the recipe, or install it")
        return [spec.origin] if spec.origin and spec.has_location else []

    def modules(self) -> list[str]:
        """The function's module."""
        return [self.call.partition(":")[0]]

    def function(self) -> Callable[..., Any]:
        """The function.

        Raises:
            RecipeError: there is none of this name.
        """
        module, name = self.call.split(":")
        try:
            found = getattr(importlib.import_module(module), name, None)
        except ImportError as error:
            message = f"{self.name}: `{module}` cannot be imported ({error}); put it beside the recipe, or install it"
            raise RecipeError(message) from error
        if not callable(found):
            raise RecipeError(f"{self.name}: module `{module}` has no function `{name}`")
        called: Callable[..., Any] = found
        return called

    def wrong(self, problem: str, wanted: str, error: Exception | None = None) -> RecipeError:
        """The error that a function is told by: its file and line, what came of it, and what is wanted."""
        function = self.function()
        code = getattr(function, "__code__", None)
        file, line = (code.co_filename, code.co_firstlineno) if code else (self.call, 1)
        for frame in traceback.extract_tb(error.__traceback__) if error else ():
            if frame.filename == file:
                line = frame.lineno or line
        return RecipeError(f"{file}:{line}: `{self.call.partition(':')[2]}` {problem}; {wanted}")


class CallsOnTexts(CallsFunction):
    """Base of steps whose function takes one text at a time."""

    @property
    def step_name(self) -> str:
        """The function's name, as a step is called: `no_ads` -> `no-ads`."""
        name = self.call.partition(":")[2].strip("_").lower().replace("_", "-")
        return name if re.fullmatch(r"[a-z][a-z0-9]*(-[a-z0-9]+)*", name) else self.name

    def answers(self, batch: pa.RecordBatch, types: tuple[type, ...], wanted: str) -> list[Any]:
        """What the function returns for each text; None for a null text.

        Raises:
            RecipeError: it raised an error, or returned something else than `types`.
        """
        function = self.function()
        answers: list[Any] = []
        for row, text in enumerate(batch.column("text").to_pylist()):
            if text is None:
                answers.append(None)
                continue
            try:
                answer = function(text, **self.options)
            except Exception as error:
                what = f"raised {type(error).__name__}: {error} for document {batch.column('id')[row]}"
                raise self.wrong(what, "mend it, and run the same command again", error) from error
            if not isinstance(answer, types):
                shown = repr(answer) if len(repr(answer)) <= 60 else repr(answer)[:57] + "..."
                what = f"returned {shown} ({type(answer).__name__}) for document {batch.column('id')[row]}"
                raise self.wrong(what, f"it must return {wanted}")
            answers.append(answer)
        return answers


def step_for(function: Callable[..., Any], path: str) -> str:
    """The name of the step that calls a function of a text, by what the function says that it returns.

    Raises:
        RecipeError: it does not say, or another type than bool, float, int or str.
    """
    try:
        returned = get_type_hints(function).get("return")
    except (NameError, TypeError):  # a name that only type checkers know
        returned = None
    kind = KINDS.get(returned) if isinstance(returned, type) else None
    if kind is None:
        name = path.partition(":")[2]
        raise RecipeError(
            f"`{path}` is a function that does not say what it returns; annotate it: `def {name}(text: str) -> bool` keeps or "
            "drops, `-> float` scores (with `min_score` or `max_score`), `-> str` edits"
        )
    return kind
