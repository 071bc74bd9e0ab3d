"""`expect.max_disparity` blocks a snapshot whose steps drop a group of people more often."""

import pytest

from corpusmill.transforms.errors import ExpectationError
from tests.pipelines.coverage.corpus import make
from tests.pipelines.coverage.test_bias import documents


def test_a_rule_that_drops_a_dialect_blocks_the_commit_and_a_fair_one_does_not(tmp_path, monkeypatch):
    (tmp_path / "own_rule.py").write_text("def no_aye(text: str) -> bool:\n    return ' aye ' not in text\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    steps = [{"text-filter": {"call": "own_rule:no_aye"}}]
    with pytest.raises(ExpectationError, match=r"no-aye .* drops .* dialect\.scottish_english .* at most 1.5 times"):
        make(tmp_path / "a", documents(600), steps=steps, expect={"max_disparity": 1.5})
    assert not (tmp_path / "a/out/snapshots/000001.json").exists()
    assert make(tmp_path / "b", documents(600), steps=[{"sample": {"fraction": 0.7}}], expect={"max_disparity": 1.5})
