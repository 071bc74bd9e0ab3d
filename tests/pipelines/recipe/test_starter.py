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


def _given(folder, source):
    found = loads(starter("c", source, folder), base_dir=folder)
    shown = [(s.format, s.path, s.columns) for s in found.sources]
    return shown, found.steps[0].name


def test_it_goes_by_what_the_files_are(tmp_path) -> None:
    for name in ("html", "mixed", "repo/.git"):
        (tmp_path / name).mkdir(parents=True)
    page = "<html><title>T</title><p>Hi</p></html>"
    rows = 'ID;Titel;Inhalt\n1;A;"Ein Text; lang genug"\n'
    for name, text in {
        "a.csv": rows,
        "html/a.html": page,
        "html/odd.xyz": "x",
        "mixed/a.csv": rows,
        "mixed/b.html": page,
        "mixed/c.txt": "text",
        "repo/a.py": "x = 1",
    }.items():
        (tmp_path / name).write_text(text)
    columns = {"id": "ID", "text": "Inhalt"}
    assert _given(tmp_path, "a.csv") == ([("csv", "a.csv", columns)], "clean")
    assert _given(tmp_path, "html") == ([("auto", "html", {})], "extract")
    assert _given(tmp_path, "repo") == ([("code", "repo", {})], "clean")
    mixed = [("csv", "mixed/**/*.csv", columns), ("auto", "mixed/**/*.html", {}), ("auto", "mixed/**/*.txt", {})]
    assert _given(tmp_path, "mixed") == (mixed, "extract")
