"""`expect.mentions` blocks a snapshot that speaks of people otherwise."""

import json

import pytest

import corpusmill
from corpusmill.transforms.errors import ExpectationError, RecipeError


def run(tmp_path, **expect):
    texts = ["She left."] * 3 + ["He left."] * 6 + ["It rains."]
    lines = [json.dumps({"id": str(i), "text": t}) + "\n" for i, t in enumerate(texts)]
    (tmp_path / "a.jsonl").write_text("".join(lines))
    source = {"name": "t", "path": str(tmp_path / "a.jsonl"), "columns": {"id": "id"}}
    return corpusmill.run({"name": "t", "sources": [source], "output": str(tmp_path / "out"), "expect": expect})


def test_shares_and_ratios_are_bounded(tmp_path):
    with pytest.raises(ExpectationError, match=r"gender.female is in 0.3 of the documents, 0.4 to 1"):
        run(tmp_path, mentions={"gender.female": [0.4, 1]})
    with pytest.raises(ExpectationError, match=r"mentioned 0.5 times as often as gender.male"):
        run(tmp_path, mentions={"gender.female/gender.male": [0.8, 1.25]})
    assert run(tmp_path, mentions={"gender.female": [0.2, 0.4], "gender.female/gender.male": [0.4, 0.6]}).dataset


def test_an_unknown_group_and_wrong_bounds_are_told(tmp_path):
    with pytest.raises(ExpectationError, match=r"no lexicon has the group `gender.she`"):
        run(tmp_path, mentions={"gender.she": [0, 1]})
    with pytest.raises(RecipeError, match="least, most"):
        run(tmp_path, mentions={"gender.female": [1, 0]})
