"""Prompt templates of instruction tuning, from a YAML file:

    - prompt: "{instruction}\n\n{input}\n\n"
      answer: "{output}"
      needs: [input]          # used for documents where these columns are not empty
    - prompt: "{instruction}\n\n"
      answer: "{output}"

A document is rendered by one of the templates whose needs it meets (of those with the most needs), drawn by its id.
"""

from __future__ import annotations

import string
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError, field_validator

from corpusmill.transforms.errors import RecipeError
from corpusmill.transforms.random import Keyed


class Template(BaseModel):
    """One way to write a prompt and its answer. Fields are column names in braces; `{{` is a brace."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    prompt: str
    answer: str = "{output}"
    needs: tuple[str, ...] = ()

    @field_validator("prompt", "answer")
    @classmethod
    def _plain_fields(cls, text: str) -> str:
        for _, name, spec, conversion in string.Formatter().parse(text):
            if name is not None and (not name.isidentifier() or spec or conversion):
                raise ValueError(f"{{{name}}} is not a column name in braces")
        return text

    def render(self, values: Mapping[str, Any]) -> tuple[str, str]:
        """(prompt, answer) of one document. A column that is null there is an empty text."""
        filled = {name: "" if value is None else value for name, value in values.items()}
        return self.prompt.format_map(filled), self.answer.format_map(filled)


DEFAULT = (
    Template(prompt="{instruction}\n\n{input}\n\n", needs=("input",)),
    Template(prompt="{instruction}\n\n"),
)


def load(path: str | Path | None) -> tuple[Template, ...]:
    """The templates in a YAML file; instruction, input and output as they are where there is none."""
    if path is None:
        return DEFAULT
    try:
        return TypeAdapter(tuple[Template, ...]).validate_python(yaml.safe_load(Path(path).read_text(encoding="utf-8")))
    except OSError as error:
        raise RecipeError(f"{path}: cannot be read ({error.strerror}). Correct objective.templates.") from error
    except (yaml.YAMLError, ValidationError, ValueError) as error:
        raise RecipeError(f"{path}: is not a list of templates with `prompt` and `answer`: {error}") from error


def render(templates: tuple[Template, ...], values: Mapping[str, Any], rng: Keyed) -> tuple[str, str]:
    """(prompt, answer) of one document, by the template drawn for its id.

    >>> render(DEFAULT, {"id": "a", "instruction": "Add.", "input": "1 + 1", "output": "2"}, Keyed())
    ('Add.\\n\\n1 + 1\\n\\n', '2')
    """
    usable = [t for t in templates if all(values.get(name) for name in t.needs)]
    if not usable:
        raise RecipeError(f"document {values.get('id')}: no template's needs are met. Add one without `needs`.")
    most = max(len(t.needs) for t in usable)
    best = [t for t in usable if len(t.needs) == most]
    try:
        return best[rng.key(str(values.get("id"))) % len(best)].render(values)
    except KeyError as error:
        raise RecipeError(f"document {values.get('id')}: has no column {error} that its template names.") from None
