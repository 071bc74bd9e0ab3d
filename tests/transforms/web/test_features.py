import numpy as np
import pytest

from corpusmill.transforms.web.blocks import cut
from corpusmill.transforms.web.features import WIDTH, features

pytest.importorskip("resiliparse")
from corpusmill.transforms.web.page import parse

_HTML = (
    "<nav><a href=a>Home</a></nav><h1>Rain in May</h1>"
    "<p>It rained, and nobody minded. Not one!</p><p>It rained.</p><p>It rained.</p>"
)


def rows(html: str) -> np.ndarray:
    page = parse(html)
    return features(cut(page.html), page.title)


def test_there_is_a_row_for_each_block_without_gaps() -> None:
    x = rows(_HTML)
    assert x.shape == (5, WIDTH)
    assert np.isfinite(x).all()
    assert rows("").shape == (0, WIDTH)


def test_links_length_and_repetition_tell_blocks_apart() -> None:
    x = rows(_HTML)
    assert x[:, 1].tolist() == [1, 0, 0, 0, 0]  # share of linked bytes
    assert x[2, 0] > x[1, 0]
    assert x[:, 16].tolist() == [1, 1, 1, 2, 2]  # how often a text stands on the page


def test_blocks_before_and_behind_the_title_are_told_apart() -> None:
    x = rows("<title>Rain in May - News</title>" + _HTML)
    assert x[:, 24].tolist() == [-1, 0, 1, 2, 3]


def test_the_same_page_has_the_same_numbers() -> None:
    assert np.array_equal(rows(_HTML), rows(_HTML))
