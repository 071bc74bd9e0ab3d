"""Rectangles whose areas are sizes."""

import numpy as np

from corpusmill.pipelines.coverage.treemap import squarify, tiles


def test_areas_are_in_proportion_fill_the_box_and_do_not_overlap():
    sizes = [6, 6, 4, 3, 2, 2, 1]
    boxes = squarify(sizes, (0, 0, 6, 4))
    assert np.allclose([w * h for *_, w, h in boxes], sizes)
    assert all(x >= 0 and y >= 0 and x + w <= 6 + 1e-9 and y + h <= 4 + 1e-9 for x, y, w, h in boxes)
    points = np.random.default_rng(0).random((500, 2)) * (6, 4)
    inside = [
        (points[:, 0] > x) & (points[:, 0] < x + w) & (points[:, 1] > y) & (points[:, 1] < y + h)
        for x, y, w, h in boxes
    ]
    assert (np.sum(inside, axis=0) == 1).all()
    assert max(max(w / h, h / w) for *_, w, h in boxes) < 3


def test_clusters_of_one_topic_lie_beside_each_other_and_empty_ones_are_left_out():
    found = tiles(np.array([10, 5, 0, 5]), np.array([0, 0, 1, 2]), 100, 50)
    assert [c for c, *_ in found] == [0, 1, 3]
    areas = {c: w * h for c, _, _, w, h in found}
    assert np.allclose([areas[0], areas[1], areas[3]], [2500, 1250, 1250])
    assert not squarify([], (0, 0, 1, 1))
    assert not tiles(np.zeros(2, np.int64), np.zeros(2, np.int32), 10, 10)
