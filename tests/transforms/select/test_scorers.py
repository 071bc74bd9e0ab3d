"""Models behind handlers in `quality`, and what privacy and `check` make of them."""

import json

import numpy as np
import pyarrow as pa
import pytest

from corpusmill.pipelines.recipe.judge import judge_step
from corpusmill.pipelines.recipe.model import loads
from corpusmill.privacy.certification import Certification
from corpusmill.transforms.errors import BadFileError, RecipeError
from corpusmill.transforms.generate import model as models
from corpusmill.transforms.select.quality import Quality


class Given:
    """A classifier whose logits are told."""

    digest = "given"

    def __init__(self, classes, logits):
        self.classes, self.logits = classes, logits

    def classify(self, texts):
        return np.array([self.logits] * len(texts), np.float64)


def open_given(spec):
    return Given(**json.loads(spec.partition(":")[2]))


open_given.digest = lambda spec: spec


@pytest.fixture(autouse=True)
def given(monkeypatch):
    monkeypatch.setattr(models, "_OPENERS", dict(models._OPENERS))
    monkeypatch.setattr(models, "_OPEN", {})
    models.register("given", f"{__name__}:open_given")


def spec(classes, logits) -> str:
    return "given:" + json.dumps({"classes": classes, "logits": logits})


BATCH = pa.record_batch({"id": ["d1", "d2"], "text": ["a", "b"], "source": ["s", "s"]})


def test_a_classifier_gives_its_probability_and_a_regression_its_value():
    two = Quality(model=spec(["no", "yes"], [0.0, np.log(3)]), label="yes")
    assert two(BATCH).column("quality").to_pylist() == [0.75, 0.75]
    one = Quality(model=spec(["LABEL_0"], [3.25]), min_score=3)
    assert one(BATCH).column("quality").to_pylist() == [3.25, 3.25]
    assert Quality(model=spec(["LABEL_0"], [2.5]), min_score=3)(BATCH).num_rows == 0


def test_scores_that_are_no_numbers_and_missing_labels_are_told():
    with pytest.raises(RecipeError, match="gives the document d1 a score that is no number"):
        Quality(model='given:{"classes": ["x"], "logits": [NaN]}')(BATCH)
    with pytest.raises(RecipeError, match="say which label"):
        Quality(model=spec(["no", "yes"], [0, 1]))(BATCH)
    with pytest.raises(RecipeError, match="is no classifier"):
        Quality(model=spec([], []))(BATCH)


def test_files_that_are_no_scorers_are_told(tmp_path):
    for name, content in (("a.safetensors", b"{}"), ("b.bin", b"\0" * 64), ("c", b"not a model"), ("d", b"")):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(BadFileError, match="no scorer"):
            Quality(model=str(tmp_path / name))(BATCH)
    with pytest.raises(RecipeError, match="cannot be read"):
        Quality(model=str(tmp_path / "absent/"))(BATCH)


def test_check_and_certification_see_models_behind_handlers(tmp_path):
    certification = Certification("document")
    judge_step("quality", Quality(model=("given:one", "given:two"), label="x"), "steps", (), certification)
    said = " ".join(certification.assumptions)
    assert "the model given:one was trained on public data only" in said
    assert "the model given:two" in said
    (tmp_path / "s.jsonl").write_text('{"text": "a"}\n')
    recipe = {"name": "t", "sources": [{"name": "s", "path": "s.jsonl"}], "output": {"path": "out"}}
    absent = {"quality": {"model": "linear:nowhere", "label": "x"}}
    with pytest.raises(RecipeError, match="there is no linear classifier"):
        loads(json.dumps(recipe | {"steps": [absent]}), base_dir=tmp_path)


def test_check_knows_the_sources_that_steps_name(tmp_path):
    (tmp_path / "s.jsonl").write_text('{"text": "a"}\n')
    recipe = {"name": "t", "sources": [{"name": "crawl", "path": "s.jsonl"}], "output": {"path": "out"}}
    for step, field in (
        ({"quality": {"like": ["manuals"], "unlike": ["crawl"]}}, "like"),
        ({"select": {"like_source": "manuals", "share": 0.5}}, "like_source"),
        ({"perplexity": {"like_source": "manuals"}}, "like_source"),
    ):
        with pytest.raises(RecipeError, match=f"`{field}`: no source of this recipe is called `manuals`"):
            loads(json.dumps(recipe | {"steps": [step]}), base_dir=tmp_path)
