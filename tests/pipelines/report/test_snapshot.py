"""What `log`, `show`, `diff` and `why` print."""

from __future__ import annotations

from corpusmill.pipelines.report.snapshot import render_diff, render_log


def test_log() -> None:
    one = {
        "number": 1,
        "created": "2026-01-01T00:00:00Z",
        "documents": 10,
        "bytes": 1_000,
        "shards": 1,
        "recipe": "a" * 32,
    }
    two = {**one, "number": 2, "documents": 7, "created": None}
    assert render_log([one, two]) == (
        "snapshot  created               documents  change    text  shards  recipe\n"
        "       1  2026-01-01T00:00:00Z         10          1.0 kB       1  aaaaaaaaaaaa\n"
        "       2  ?                             7      -3  1.0 kB       1  aaaaaaaaaaaa"
    )
    assert render_log([]).startswith("snapshot")


def test_diff() -> None:
    found = {"a": 1, "b": 2, "documents": [10, 9], "added": {"web": 1}, "removed": {"web": 2}, "changed": {}}
    found |= {
        "reasons": {"exact: exact-duplicate": 2},
        "recipe_changed": True,
        "examples": {"added": ["x\x1b[2J"], "removed": []},
    }
    text = render_diff(found)
    assert text.splitlines()[0] == "snapshot 1 -> 2: 10 -> 9 documents (-1); the recipe changed"
    assert "exact: exact-duplicate          2" in text
    assert "\x1b" not in text
