"""The recipe of `corpusmill init`: right as it is, and right with each default that it shows."""

from __future__ import annotations

import re

import pytest

from corpusmill.pipelines.recipe.model import loads
from corpusmill.pipelines.recipe.starter import ACTIVE, starter


def test_it_is_a_right_recipe() -> None:
    recipe = loads(starter("corpus"))
    assert recipe.name == "corpus"
    assert [s.name for s in recipe.steps] == list(ACTIVE)
    assert recipe.output.path == "out/corpus"


@pytest.mark.parametrize(
    "path", ["raw/*.parquet", "gs://bucket/a.jsonl", "hf://org/name", "daten/mit raum", "a: b", "'", "漢字/*"]
)
def test_it_reads_what_was_asked_for(path: str) -> None:
    assert loads(starter("c", path), check_paths=False).sources[0].path == path


def test_every_default_that_it_shows_is_right() -> None:
    """Taking the comment off any field changes nothing."""
    lines = starter("corpus").splitlines()
    plain = loads("\n".join(lines)).digest()
    fields = [i for i, line in enumerate(lines) if re.match(r" +# [a-z_0-9]+: ", line) and "(a long list)" not in line]
    fields = [i for i in fields if not re.match(r" +# (adapt|machine-docs|hf)\b", lines[i])]
    shown = [re.sub(r"# ", "", line, count=1) if i in fields else line for i, line in enumerate(lines)]
    assert len(fields) > 25
    assert loads("\n".join(shown)).digest() == plain


def test_lines_fit_a_screen() -> None:
    assert max(map(len, starter("corpus").splitlines())) <= 160
