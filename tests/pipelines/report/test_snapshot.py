"""What `log`, `show`, `diff` and `why` print."""

from __future__ import annotations

from corpusmill.pipelines.report.snapshot import render_diff, render_log, render_why


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


def test_why_of_every_outcome() -> None:
    dropped = {"outcome": "dropped", "source": "web", "step": "minhash", "reason": "near-duplicate", "value": 0.91234}
    dropped |= {"survivor": "d2", "passed": ["clean"]}
    kept = {"outcome": "kept", "source": "web", "passed": [], "row": 3, "file": "data/a", "bytes": 10}
    derived = {"outcome": "derived", "child": "c", "derived_by": "noise", "file": "data/a"}
    told = [{"id": f"d{i}", "step": "exact", "value": None} for i in range(25)]

    def say(outcome: str, *history: dict, **more: object) -> list[str]:
        return render_why(
            {"id": "d1", "snapshot": 4, "outcome": outcome, "history": list(history), **more}
        ).splitlines()

    assert say("dropped", dropped) == [
        "d1: dropped in snapshot 4",
        "  from web: dropped by minhash for near-duplicate (0.9123) after passing clean; the survivor is d2",
    ]
    assert say("dropped", {**dropped, "value": float("nan"), "survivor": None})[1].endswith(
        "near-duplicate after passing clean"
    )
    assert say("kept", {**kept, "parent": "p", "derived_by": "noise"})[1] == (
        "  from web: kept, row 3 of data/a, 10 B, derived from p by noise"
    )
    assert say("replaced", derived)[1] == "  c is derived from it by noise, in data/a"
    bad = {"outcome": "quarantined", "source": "web", "file": "a.jsonl", "position": 7, "reason": "null-text"}
    assert say("quarantined", {**bad, "detail": "column 'text' is null"}) == [
        "d1: quarantined in snapshot 4",
        "  from web: null-text, column 'text' is null (position 7 of a.jsonl)",
    ]
    assert say("quarantined", {**bad, "detail": ""})[1] == "  from web: null-text (position 7 of a.jsonl)"
    lines = say("kept", kept, survivor_of=told)
    assert lines[2] == "  it stands for 25 dropped documents:"
    assert lines[-1] == "    and 5 more"
    assert "no document of this id" in say("unknown")[0]
