"""`expect.diversity` blocks a snapshot that is less diverse than asked."""

import pytest

from corpusmill.pipelines.coverage.map import make_map
from corpusmill.transforms.embed.diversity import FIGURES
from corpusmill.transforms.errors import ExpectationError, RecipeError
from tests.pipelines.coverage.corpus import make, rows


def test_every_figure_is_that_of_the_map_and_is_bounded(tmp_path):
    documents = rows({0: 120, 1: 60, 2: 60})
    found = {f.name: f.value for f in make_map(make(tmp_path / "a", documents)).figures}
    near = {key: [found[name] - 1e-6, found[name] + 1e-6] for key, name in FIGURES.items()}
    assert make(tmp_path / "b", documents, files=3, expect={"diversity": near})
    above = {key: [found[name] + 0.001, None] for key, name in FIGURES.items()}
    with pytest.raises(ExpectationError, match="at least") as refused:
        make(tmp_path / "c", documents, expect={"diversity": above})
    assert all(f"diversity: {key} is " in str(refused.value) for key in FIGURES)
    with pytest.raises(ExpectationError, match=r"biggest is 0\..*, at most 0.1 is expected"):
        make(tmp_path / "d", documents, expect={"diversity": {"biggest": [None, 0.1]}})


def test_wrong_names_and_bounds_are_told(tmp_path):
    with pytest.raises(RecipeError, match="vendi"):
        make(tmp_path, rows({0: 9}), expect={"diversity": {"vendy": [1, 2]}})
    with pytest.raises(RecipeError, match="least, most"):
        make(tmp_path, rows({0: 9}), expect={"diversity": {"vendi": [2, 1]}})
