"""`--set`: fields by name, values as YAML, mistakes in the words that were typed."""

from __future__ import annotations

import pytest

from corpusmill.pipelines.recipe.model import Recipe, loads
from corpusmill.transforms.errors import RecipeError

TEXT = """\
name: a
sources:
  - {name: web, format: machine-docs}
steps:
  - exact
  - minhash: {threshold: 0.8}
  - gopher-quality:
  - exact
output: {path: o}
"""


def given(*overrides: str) -> Recipe:
    return loads(TEXT, "r.yaml", overrides=overrides, check_paths=False)


def test_values_are_yaml() -> None:
    assert given("seed=9").seed == 9
    assert given("steps.minhash.threshold=0.9").steps[1].transform.threshold == 0.9
    assert given("steps.gopher-quality.stop_words=[a, b]").steps[2].transform.stop_words == ("a", "b")
    assert given("steps.gopher-quality.min_words=null").steps[2].transform.min_words is None
    assert given("sources.web.columns={text: body}").sources[0].columns == {"text": "body"}
    assert given("sources.web.columns.text=body").sources[0].columns == {"text": "body"}
    assert given("output.path=x=y").output.path == "x=y"
    assert given("name=漢-1".replace("漢-", "n")).name == "n1"


def test_steps_are_addressed_by_name() -> None:
    recipe = given("steps.exact.keep=longest", "steps.exact#2.keep=newest")
    assert [recipe.steps[i].transform.keep for i in (0, 3)] == ["longest", "newest"]


def test_the_last_one_wins() -> None:
    assert given("seed=2", "seed=3").seed == 3
    assert given("output={path: x, level: 5}", "output.level=6").output.level == 6


def test_a_mistake_in_the_file_can_be_overridden() -> None:
    text = TEXT.replace("0.8", "8")
    assert loads(text, overrides=["steps.minhash.threshold=0.5"], check_paths=False).steps[1].transform.threshold == 0.5


@pytest.mark.parametrize(
    ("override", "what"),
    [
        ("seed", "--set:1:1: `seed` sets nothing"),
        ("=3", "--set:1:1: `=3` sets nothing"),
        ("seed=x", '--set:1:6: `seed`: must be a whole number, not a text ("x")'),
        ("seed=", "--set:1:6: `seed`: must be a whole number, not nothing (null)"),
        ("sed=1", "--set:1:1: a recipe has no section `sed`"),
        ("steps.minhsh.rows=1", "--set:1:1: the recipe has no step `minhsh`"),
        ("steps.exact#3.keep=first", "--set:1:1: the recipe has no step `exact#3`"),
        ("steps.minhash=1", "--set:1:1: `steps.minhash` names no field"),
        ("steps=[]", "--set:1:1: `steps` names no field"),
        ("steps.minhash.treshold=0.9", "--set:1:1: the step `minhash` has no field `treshold`"),
        ("steps.minhash.threshold=2", "--set:1:25: `threshold` is 2: must be at most 1"),
        ("sources.wob.path=x", "--set:1:1: the recipe has no source `wob`"),
        ("sources.web.columns={txt: x}", "--set:1:22: `txt`: must be one of"),
        ("name.x=1", "--set:1:1: `name` is a text and has no field `x`"),
        ("name.x.y=1", "--set:1:1: `name` is a text and has no field `y`"),
        ("seed=[1", "--set:1:8: not valid YAML"),
        ("seed=*x", "--set:1:6: the alias `*x` is not allowed"),
        ("seed=!!int 3", "--set:1:6: the tag"),
    ],
)
def test_mistakes(override: str, what: str) -> None:
    with pytest.raises(RecipeError) as caught:
        given(override)
    lines = str(caught.value).splitlines()
    assert lines[0].startswith(what), lines[0]
    assert lines[1] == f"    1 | {override}"
    assert lines[-1] == "1 mistake in the recipe"
