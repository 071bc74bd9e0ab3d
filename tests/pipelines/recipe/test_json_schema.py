"""The JSON schema accepts what the recipe accepts, and refuses what it refuses."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from corpusmill.pipelines.recipe.json_schema import recipe_schema
from corpusmill.pipelines.recipe.model import load
from corpusmill.pipelines.recipe.registry import usable
from corpusmill.pipelines.recipe.starter import starter

jsonschema = pytest.importorskip("jsonschema")
RECIPES = sorted((Path(__file__).parents[3] / "pipelines" / "recipes").glob("*.yaml"))


@pytest.fixture(scope="module")
def validator():
    schema = recipe_schema()
    jsonschema.Draft202012Validator.check_schema(schema)
    return jsonschema.Draft202012Validator(schema)


@pytest.mark.parametrize("file", RECIPES)
def test_recipes_that_come_with_corpusmill(validator, file: Path) -> None:
    load(file, check_paths=False)
    assert list(validator.iter_errors(yaml.safe_load(file.read_text()))) == []


def test_the_starter(validator) -> None:
    assert list(validator.iter_errors(yaml.safe_load(starter("corpus")))) == []


def recipe(**changes):
    good = {"name": "a", "sources": [{"name": "s", "path": "x"}], "steps": ["exact"], "output": {"path": "o"}}
    return good | changes


@pytest.mark.parametrize(
    "steps",
    [
        ["exact", "exact@1", {"exact": None}, {"minhash": {"threshold": 0.9}}],
        [{"my.module:Cls": {"a": 1}}, "m:C@2"],
        [],
    ],
)
def test_good_steps(validator, steps) -> None:
    assert list(validator.iter_errors(recipe(steps=steps))) == []


@pytest.mark.parametrize(
    "changes",
    [
        {"name": "a b"},
        {"seed": "x"},
        {"train": {"stpes": 3}},
        {"steps": ["minhahs"]},
        {"steps": [{"minhash": {"treshold": 1}}]},
        {"steps": [{"minhash": {"threshold": 1.7}}]},
        {"steps": [{"minhash": None, "exact": None}]},
        {"sources": []},
        {"output": {}},
    ],
)
def test_bad_recipes(validator, changes) -> None:
    assert list(validator.iter_errors(recipe(**changes)))


def test_every_transform_and_field_is_described() -> None:
    definitions = recipe_schema()["$defs"]
    for name, cls in usable().items():
        assert definitions[name]["title"] == f"{name}@{cls.version}"
        assert definitions[name]["description"]
        for field, schema in definitions[name].get("properties", {}).items():
            assert schema.get("description"), f"{name}.{field} has no description"
    for model in ("source", "output"):
        for field, schema in definitions[model]["properties"].items():
            assert schema.get("description"), f"{model}.{field} has no description"
