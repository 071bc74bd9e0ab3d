"""The sections of a recipe, read from YAML data."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from corpusmill.pipelines.recipe.sections import sources_of, step_classes, step_names, steps_of, train_of
from corpusmill.transforms.settings import yaml_positions
from corpusmill.transforms.settings.mistakes import Mistakes


def read(text: str) -> tuple[dict[str, Any], Mistakes]:
    marked = yaml_positions.parse(text.encode(), "recipe")
    return marked.value, Mistakes(marked)


def said(mistakes: Mistakes) -> list[tuple[int, str]]:
    return [(p.spot.line, p.what) for p in mistakes.ordered()]


def test_step_names() -> None:
    assert step_names(["a", "b", "a", "a"]) == ["a", "b", "a#2", "a#3"]


def test_steps_keep_their_positions_beside_wrong_ones(tmp_path: Path) -> None:
    raw, mistakes = read("steps:\n- clean\n- no-such\n- minhash: {threshold: 2}\n- exact\n")
    entries = step_classes(raw, mistakes, tmp_path)
    assert [name for _, name, _ in entries] == ["clean", "no-such", "minhash", "exact"]
    assert [(i, t.name) for i, t in steps_of(raw, tmp_path, mistakes, entries)] == [(0, "clean"), (3, "exact")]
    assert [line for line, _ in said(mistakes)] == [3, 4]


def test_a_function_of_a_text_gets_its_call(tmp_path: Path) -> None:
    (tmp_path / "edits_of_sections.py").write_text("def shout(text: str) -> str:\n    return text.upper()\n")
    raw, mistakes = read("steps:\n- edits_of_sections:shout\n")
    ((cls, name, key),) = step_classes(raw, mistakes, tmp_path)
    assert cls is not None
    assert (cls.name, name, key) == ("text-map", "shout", "edits_of_sections:shout")
    assert raw["steps"] == [{key: {"call": key}}]
    assert not mistakes.problems


@pytest.mark.parametrize(
    ("text", "line", "what"),
    [
        ("steps: clean\n", 1, "`steps` is a list"),
        ("steps:\n- clean: {}\n  exact: {}\n", 3, "a second key, `exact`"),
        ("steps:\n- pack: {tokenizer: t.json, length: 8}\n- clean\n", 2, "makes rows that are no documents"),
    ],
)
def test_wrong_steps_have_their_line(tmp_path: Path, text: str, line: int, what: str) -> None:
    raw, mistakes = read(text)
    steps_of(raw, tmp_path, mistakes, step_classes(raw, mistakes, tmp_path))
    ((at, words),) = said(mistakes)
    assert at == line
    assert what in words


def test_of_two_sources_of_one_name_the_second_is_a_mistake() -> None:
    raw, mistakes = read("sources:\n- {name: a, path: x}\n- {name: a, path: y}\n- {name: b, path: z}\n")
    assert [(i, s.name) for i, s in sources_of(raw, mistakes)] == [(0, "a"), (2, "b")]
    assert said(mistakes) == [(3, "two sources are called `a`")]


@pytest.mark.parametrize(
    ("text", "what"), [("seed: 1\n", "names no sources"), ("sources: []\n", "at least one source")]
)
def test_a_recipe_needs_sources(text: str, what: str) -> None:
    raw, mistakes = read(text)
    assert sources_of(raw, mistakes) == []
    assert what in said(mistakes)[0][1]


def test_a_recipe_without_train_has_no_section() -> None:
    raw, mistakes = read("seed: 1\n")
    assert train_of(raw, mistakes, [], "parquet") is None
    assert not mistakes.problems
