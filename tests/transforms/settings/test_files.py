"""A settings file: every mistake at once with its line, and clear words where there is nothing to read."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import pytest
from pydantic import Field, ValidationError

from corpusmill.transforms.errors import RecipeError
from corpusmill.transforms.settings.files import SettingsFile, listed
from corpusmill.transforms.settings.section import IsPath, Section, with_paths


class Inner(Section):
    depth: int = Field(default=1, ge=1, description="how deep")
    at: Annotated[str | None, IsPath()] = None


class Outer(Section):
    name: str
    inner: Inner = Inner()
    files: Annotated[tuple[str, ...], IsPath()] = ()


FILE = SettingsFile(Outer, "the test", "--test", "A test.", {"name": "x"})


def mistakes_of(path: Path, text: str, *overrides: str) -> str:
    path.write_text(text)
    with pytest.raises(RecipeError) as caught:
        FILE.load(path, overrides)
    return str(caught.value)


def test_every_mistake_comes_at_once_with_line_caret_and_suggestion(tmp_path: Path) -> None:
    path = tmp_path / "a.yaml"
    lines = mistakes_of(path, "inner:\n  depht: 3\n  depth: 0\nnmae: x\n").splitlines()
    assert lines[0].startswith(f"{path}:1:1: the test lacks `name`")
    assert f"{path}:2:3: `inner` of the test has no field `depht`" in lines
    assert "      |   ^^^^^ did you mean `depth`?" in lines
    assert f"{path}:3:10: `depth` is 0: must be at least 1" in lines
    assert "      |          ^ how deep" in lines
    assert lines[-1] == "4 mistakes in the test"


def test_overrides_are_applied_and_shown_as_typed(tmp_path: Path) -> None:
    path = tmp_path / "a.yaml"
    path.write_text("name: x\n")
    assert FILE.load(path, ["inner.depth=4", "name=y"]) == Outer(name="y", inner=Inner(depth=4))
    said = mistakes_of(path, "name: x\n", "inner.depth=0")
    assert said.splitlines()[:2] == ["--set:1:13: `depth` is 0: must be at least 1", "    1 | inner.depth=0"]
    assert "`name` is a text and has no field `y`" in mistakes_of(path, "name: x\n", "name.y=1")


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("", "the file is empty"),
        ("- a", "the test is a mapping"),
        ("a: &x [1]", "the anchor `&x` is not allowed"),
        ("a: " + "[" * 60, "nested deeper than 50"),
        (f"inner: {{depth: {'9' * 5000}}}\nname: a", "a number or date of 5,000 characters"),
        ("inner: {depth: .inf}\nname: a", "`depth`: must be a whole number"),
    ],
)
def test_hostile_or_empty_files_get_a_clear_error(tmp_path: Path, text: str, what: str) -> None:
    said = mistakes_of(tmp_path / "a.yaml", text)
    assert what in said
    assert len(said) < 2000


def test_a_file_that_cannot_be_read_is_named_with_advice(tmp_path: Path) -> None:
    with pytest.raises(
        RecipeError, match=r"none\.yaml: there is no such file; `corpusmill init --test .*none\.yaml` writes"
    ):
        FILE.load(tmp_path / "none.yaml")
    with pytest.raises(RecipeError, match="cannot be read: Is a directory; name the YAML file of the test"):
        FILE.load(tmp_path)


def test_paths_are_resolved_in_every_section_and_empty_ones_stay() -> None:
    settings = Outer(name="x", inner=Inner(at="b"), files=("c", ""))
    assert with_paths(settings, "/d/".__add__) == Outer(name="x", inner=Inner(at="/d/b"), files=("/d/c", ""))
    assert with_paths(Outer(name="x"), "/d/".__add__) == Outer(name="x")


def test_values_without_a_file_are_named_by_their_dotted_field() -> None:
    with pytest.raises(ValidationError) as caught:
        Outer.model_validate({"name": "x", "inner": {"depth": 0, "dept": 1}})
    assert listed(Outer, caught.value, "test").splitlines() == [
        "test: inner.depth: `depth` is 0: must be at least 1; how deep",
        "test: inner.dept: `inner` of test has no field `dept`; did you mean `depth`?",
    ]
