"""Tables, numbers and bars."""

from __future__ import annotations

import pytest

from corpusmill.pipelines.report.terminal import Cell, Column, bar, cell_width, table
from corpusmill.pipelines.wording import count, duration, share, size


def test_plain_tables_are_aligned_and_without_colour() -> None:
    text = table(["name", Column("n", right=True)], [["漢字", "1"], [Cell("e\u0301", "loss"), "1,000"]], rich=False)
    assert text == "name      n\n漢字      1\ne\u0301     1,000"


def test_control_characters_do_not_reach_the_terminal() -> None:
    for rich in (False, True):
        assert "\x1b[2J" not in table(["id"], [["\x1b[2J"]], rich=rich)


def test_rich_tables_have_colour() -> None:
    assert "\x1b[" in table(["id"], [[Cell("a", "loss")]], rich=True)


@pytest.mark.parametrize(
    ("number", "text"),
    [(0, "0 B"), (999, "999 B"), (1_000, "1.0 kB"), (99_960, "100 kB"), (1_234_567, "1.2 MB"), (None, "?")],
)
def test_sizes(number: int | None, text: str) -> None:
    assert size(number) == text


def test_shares_never_round_to_none_or_all() -> None:
    assert [share(p, 100_000) for p in (0, 1, 50_000, 99_999, 100_000)] == [
        "0.0 %",
        "<0.1 %",
        "50.0 %",
        ">99.9 %",
        "100.0 %",
    ]
    assert share(0, 0) == "-"


def test_bars() -> None:
    assert bar(0, 10) == ""
    assert bar(1, 10**9) == "▏"
    assert bar(10, 10) == "█" * 12
    assert bar(20, 10) == "█" * 12
    assert bar(1, 2, 3) == "█▌"
    assert bar(1, 0) == "▏"


def test_words_for_numbers() -> None:
    assert count(1234567) == "1,234,567"
    assert count(None) == "?"
    assert [duration(s) for s in (0.04, 59.94, 61, 7_300)] == ["0.0 s", "59.9 s", "1 min 1 s", "2 h 1 min"]
    assert cell_width("a漢e\u0301") == 4
