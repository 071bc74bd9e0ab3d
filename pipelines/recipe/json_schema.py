"""The JSON schema of a whole recipe, for editors: one entry a transform, with each field's description and bounds.

This is the one place that imports every transform. In VS Code and other editors with a YAML language server, save it as
`recipe.schema.json` and start a recipe with `# yaml-language-server: $schema=recipe.schema.json`.
"""

from __future__ import annotations

import inspect
from typing import Any

from pydantic import BaseModel

from corpusmill.pipelines.recipe.expect import Expect
from corpusmill.pipelines.recipe.model import SLUG, Head, Output
from corpusmill.pipelines.recipe.privacy_section import PrivacySection
from corpusmill.pipelines.recipe.registry import usable
from corpusmill.pipelines.recipe.schedule import Schedule
from corpusmill.pipelines.recipe.train_section import TrainSection
from corpusmill.transforms.sources.spec import SourceSpec

IMPORT_PATH = r"^[A-Za-z_][\w.]*:[A-Za-z_]\w*(@[1-9]\d*)?$"


def recipe_schema() -> dict[str, Any]:
    """The schema (JSON Schema 2020-12) of a recipe, as JSON data."""
    definitions: dict[str, Any] = {}
    steps: dict[str, Any] = {}
    bare: list[str] = []
    for name, cls in usable().items():
        reference = _define(cls, name, definitions)
        definitions[name]["title"] = f"{name}@{cls.version}"
        definitions[name]["description"] = inspect.cleandoc(cls.__doc__ or name).split("\n\n")[0].replace("\n", " ")
        for key in (name, f"{name}@{cls.version}"):
            needs_fields = bool(definitions[name].get("required"))
            steps[key] = reference if needs_fields else {"anyOf": [reference, {"type": "null"}]}
            bare += [] if needs_fields else [key]
    head = Head.model_json_schema()["properties"]
    step = {
        "anyOf": [
            {"enum": bare},
            {"type": "string", "pattern": IMPORT_PATH},
            {
                "type": "object",
                "properties": steps,
                "patternProperties": {IMPORT_PATH: {"type": ["object", "null"]}},
                "additionalProperties": False,
                "minProperties": 1,
                "maxProperties": 1,
            },
        ]
    }
    properties = {
        "name": head["name"] | {"pattern": SLUG},
        "seed": head["seed"],
        "sources": {
            "description": "Where documents come from.",
            "type": "array",
            "items": _define(SourceSpec, "source", definitions),
            "minItems": 1,
        },
        "steps": {"description": "What is done to them, in this order.", "type": "array", "items": step},
        "output": _define(Output, "output", definitions),
        "expect": _define(Expect, "expect", definitions),
        "schedule": _define(Schedule, "schedule", definitions),
        "train": {"oneOf": [(train := _define(TrainSection, "train", definitions)), {"type": "array", "items": train}]},
        "privacy": _define(PrivacySection, "privacy", definitions),
    }
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "corpusmill recipe",
        "type": "object",
        "properties": properties,
        "required": ["name", "sources", "output"],
        "additionalProperties": False,
        "$defs": definitions,
    }


def _define(model: type[BaseModel], name: str, definitions: dict[str, Any]) -> dict[str, str]:
    """Add `model` and the models inside it to `definitions`; a reference to it."""
    schema = model.model_json_schema(ref_template=f"#/$defs/{name}.{{model}}")
    for inner, definition in schema.pop("$defs", {}).items():
        definitions[f"{name}.{inner}"] = definition
    definitions[name] = schema
    return {"$ref": f"#/$defs/{name}"}
