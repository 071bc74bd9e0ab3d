"""What `plan` prints."""

from __future__ import annotations

from corpusmill.pipelines.report.plan import render, render_what_if

PLAN = {
    "stages": [
        {
            "name": "pass 1 of 2: clean",
            "kind": "pass",
            "tasks": 4,
            "reused": 1,
            "bytes": 10_000_000,
            "reason": "new input",
        },
        {"name": "exact: decide", "kind": "decide", "tasks": None, "reused": 0, "bytes": None, "reason": "waits"},
    ],
    "documents": None,
    "bytes": 10_000_000,
    "memory": 700_000_000,
    "splits": 4,
    "nothing_new": False,
    "changes": ["seed: 1 -> 2"],
}


def test_plan() -> None:
    assert render(PLAN) == (
        "stage               tasks  reused  to do    input  why\n"
        "pass 1 of 2: clean      4       1      3  10.0 MB  new input\n"
        "exact: decide           ?              ?        ?  waits\n"
        "\n"
        "input      10.0 MB in 4 splits\n"
        "memory     about 700 MB at most\n"
        "because    seed: 1 -> 2"
    )


def test_nothing_new() -> None:
    text = render({**PLAN, "nothing_new": True, "changes": [], "documents": 5})
    assert "exit with 3" in text
    assert "documents  5" in text


def test_what_if() -> None:
    row = {"step": "q", "rule": "min_words", "documents": 10, "bytes": 2_000, "share": 0.5}
    text = render_what_if([{**row, "limit": 5.0, "current": False}, {**row, "limit": 50.0, "current": True}])
    assert text.splitlines()[1:3] == [
        "q.min_words      5         10  50.0 %  2.0 kB  ██████",
        "                50         10  50.0 %  2.0 kB  <- now",
    ]
    assert "keep_scores" in render_what_if([])
