"""What `why` prints."""

from __future__ import annotations

from corpusmill.pipelines.report.document import render_why


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
