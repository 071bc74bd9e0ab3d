"""Histograms and shares."""

import numpy as np

from corpusmill.pipelines.report.charts import BINS, HEIGHT, histogram, line, shares


def test_a_histogram_shows_both_sides_of_a_threshold():
    drawn = histogram(np.arange(1000.0), "max_x", 900.0)
    assert len(drawn.bars) == BINS
    assert {b.lost for b in drawn.bars if b.x > drawn.limit} == {True}
    assert {b.lost for b in drawn.bars if b.x + 1 < drawn.limit} == {False}
    assert "99 of them are beyond max_x = 900" in drawn.about
    assert max(b.height for b in drawn.bars) == HEIGHT
    least = histogram(np.arange(1000.0), "min_x", 100.0)
    assert "100 of them are beyond min_x = 100" in least.about


def test_values_that_are_equal_missing_or_far_away():
    assert histogram(np.array([np.nan, np.inf])) is None
    assert len(histogram(np.ones(5)).bars) == 1
    far = histogram(np.array([1.0] * 999 + [1e9]), "max_x", 2.0)
    assert far.high <= 2.0
    assert sum(b.height > 0 for b in far.bars) == len(far.bars)


def test_a_line_and_shares():
    assert line([0, 5, 10]).split() == ["0.0,80.0", "150.0,42.0", "300.0,4.0"]
    rows = shares({str(i): i for i in range(30)}, most=3)
    assert [r["name"] for r in rows] == ["29", "28", "27", "27 more"]
    assert sum(r["part"] for r in rows) == 1
    assert shares({}) == []
