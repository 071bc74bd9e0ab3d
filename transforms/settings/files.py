"""Reads a file of settings into a model, with every mistake at once."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

from pydantic import BaseModel, ValidationError

from corpusmill.transforms.errors import RecipeError
from corpusmill.transforms.settings import yaml_positions
from corpusmill.transforms.settings.explain import explain
from corpusmill.transforms.settings.mistakes import Mistakes, render
from corpusmill.transforms.settings.overrides import apply_override
from corpusmill.transforms.settings.template import template
from corpusmill.transforms.settings.yaml_positions import Problem

Model = TypeVar("Model", bound=BaseModel)


@dataclass(frozen=True)
class SettingsFile(Generic[Model]):
    """A kind of settings file.

    model: what it holds. noun: what messages call that, such as "the job". option: that of `corpusmill init` which writes one.
    head: the first lines of the file that `init` writes. example: the values in that file. check: notes mistakes that the
    model itself does not find.
    """

    model: type[Model]
    noun: str
    option: str
    head: str
    example: Mapping[str, Any]
    check: Callable[[Model, Mistakes], None] | None = None

    def template(self) -> str:
        """A commented file: the example's values, and every other field with its default and description."""
        return template(self.model, self.example, self.head)

    def schema(self) -> dict[str, Any]:
        """The JSON schema (2020-12) of the file, for editors."""
        draft = {
            "$schema": "https://json-schema.org/draft/2020-12/schema",
            "title": f"{self.noun.removeprefix('the ')}",
        }
        return self.model.model_json_schema() | draft

    def load(self, path: str | Path, overrides: Iterable[str] = ()) -> Model:
        """The settings in a file. Paths in them are as written.

        Args:
            overrides: `field=value` or `section.field=value`, applied in their order; values are YAML.

        Raises:
            RecipeError: lists every mistake with its line, or says why the file cannot be read.
        """
        settings, problems = self.examine(path, overrides)
        if settings is None:
            raise RecipeError(render(problems, self.noun))
        return settings

    def examine(self, path: str | Path, overrides: Iterable[str] = ()) -> tuple[Model | None, list[Problem]]:
        """The settings in a file, or None, and their mistakes. Raises RecipeError if the file cannot be read."""
        marked = yaml_positions.parse(read(path, self.noun, self.option), str(path))
        mistakes = Mistakes(marked)
        if not isinstance(marked.value, dict):
            if not mistakes.problems:
                required = [f"`{name}:`" for name, field in self.model.model_fields.items() if field.is_required()]
                what = (
                    "the file is empty"
                    if marked.value is None
                    else f"{self.noun} is a mapping, `field: value` on each line"
                )
                advice = f"it needs at least {', '.join(required)}; `corpusmill init {self.option}` writes one"
                mistakes.add((), what, advice)
            return None, mistakes.ordered()
        for override in overrides:
            apply_override(override, marked, mistakes)
        mistakes.refuse_secrets()
        settings = mistakes.validate(self.model, marked.value, (), self.noun)
        if settings is not None and self.check is not None:
            self.check(settings, mistakes)
        return (None if mistakes.problems else settings), mistakes.ordered()


def read(path: str | Path, noun: str, option: str = "") -> bytes:
    """The bytes of a settings file, at most one more than the parser takes. Raises RecipeError with advice."""
    file = Path(path)
    init = " ".join(filter(None, ["corpusmill init", option, str(file)]))
    try:
        with file.open("rb") as stream:
            return stream.read(yaml_positions.MAX_BYTES + 1)
    except FileNotFoundError:
        raise RecipeError(f"{file}: there is no such file; `{init}` writes one to start from") from None
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) else error
        raise RecipeError(f"{file}: cannot be read: {why}; name the YAML file of {noun}") from None


def listed(model: type[BaseModel], error: ValidationError, where: str) -> str:
    """The mistakes of values that no file holds, one a line, each with its dotted field.

    Args:
        where: what the values are, such as "train".
    """
    lines = []
    for item in error.errors(include_url=False):
        complaint = explain(model, item, item["loc"], where)
        place = ": ".join(filter(None, [where, ".".join(map(str, item["loc"]))]))
        lines.append(f"{place}: {complaint.what}" + (f"; {complaint.advice}" if complaint.advice else ""))
    return "\n".join(lines)
