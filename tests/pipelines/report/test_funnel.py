"""The funnel: its sums, its table, and advice on what drops most."""

from __future__ import annotations

from typing import Any

from corpusmill.pipelines.report.funnel import advice, render, total


def funnel(**last: Any) -> dict[str, Any]:
    step = {"name": "fineweb", "kind": "filter", "rows_in": 990, "rows_out": 13, "derived": 0, "bytes_out": 5_000}
    return {
        "sources": [{"name": "web", "rows": 1000, "bytes": 123_456, "quarantined": 10}],
        "steps": [step | {"dropped": {"max_short_lines": 900, "min_ended_lines": 77}} | last],
        "rows_in": 1000,
        "rows_out": 13,
        "quarantined": 10,
    }


def test_golden_table() -> None:
    assert render(funnel()) == (
        "                        in  dropped  out     kept    text\n"
        "source web           1,000       10  990   99.0 %  123 kB  ███████████▉\n"
        "    quarantined                  10        -1.0 %\n"
        "fineweb                990      977   13    1.3 %  5.0 kB  ▏\n"
        "    max_short_lines             900       -90.9 %\n"
        "    min_ended_lines              77        -7.8 %\n"
        "\n"
        "1,000 read - 10 quarantined - 977 dropped = 13 documents (1.3 %)\n"
        "! fineweb drops 98.7 %, most of them by max_short_lines: its thresholds are made for web pages; "
        "with `keep_scores: true` on it, `corpusmill plan RECIPE --what-if` shows other thresholds."
    )


def test_a_step_that_drops_half_is_not_pointed_out() -> None:
    assert advice(funnel(rows_in=100, rows_out=50, dropped={"a": 50})) == []
    assert len(advice(funnel(rows_in=100, rows_out=49, dropped={"a": 51}))) == 1


def test_advice_fits_the_step() -> None:
    assert "corpusmill why" in advice(funnel(name="minhash", kind="group"))[0]
    assert "missing in `keep`" in advice(funnel(name="language#2"))[0]
    assert "keep_scores" not in advice(funnel(name="mine", kind="group"))[0]
    assert advice(funnel(name="sample")) == []


def test_derived_rows_stand_in_the_sum() -> None:
    found = funnel(name="noise", kind="expand", rows_out=1980, derived=990, dropped={}) | {"rows_out": 1980}
    assert total(found) == "1,000 read - 10 quarantined - 0 dropped + 990 derived = 1,980 documents (198.0 %)"
    assert "+ 990 derived" in render(found)


def test_empty_funnels() -> None:
    empty = {"sources": [{"name": "a", "rows": 0, "bytes": 0, "quarantined": 0}], "steps": []}
    empty |= {"rows_in": 0, "rows_out": 0, "quarantined": 0}
    assert "hold no document" in render(empty)
    assert "No document is left" in render(funnel(rows_out=0, dropped={"a": 990}) | {"rows_out": 0})
