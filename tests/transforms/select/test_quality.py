"""Scores of a trained classifier as a column and a filter."""

import numpy as np
import pyarrow as pa
import pytest

from corpusmill.transforms.base import Keyed
from corpusmill.transforms.errors import RecipeError
from corpusmill.transforms.select._train import train
from corpusmill.transforms.select.quality import Quality
from tests.transforms.dedup.harness import documents
from tests.transforms.select.test_linear import data
from tests.transforms.select.test_select import COOKING, SPORT, texts


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> str:
    path = str(tmp_path_factory.mktemp("scorer") / "s.safetensors")
    train(*data(), ("like", "unlike"), 2, 1 << 12, 5).save(path)
    return path


def batch(lines: list[str]) -> pa.RecordBatch:
    return documents(lines).combine_chunks().to_batches()[0]


def test_the_score_is_a_column_and_drops_below_the_threshold(model):
    given = batch(texts(COOKING, 20, 31) + texts(SPORT, 20, 32))
    verdict = Quality(model=model, min_score=0.5).judge(given, Keyed())
    assert verdict.kept.tolist() == [True] * 20 + [False] * 20
    assert verdict.reasons == ("min_score",)
    scores = verdict.batch.column("quality").to_numpy()
    assert (scores[:20] > 0.5).all()
    assert (verdict.values[20:] == scores[20:]).all()
    assert (verdict.scores["score"] == scores).all()


def test_without_a_threshold_nothing_is_dropped(model):
    assert Quality(model=model)(batch(["", *texts(SPORT, 3, 1)])).num_rows == 4


def test_another_label_and_column(model):
    given = batch(texts(SPORT, 5, 1))
    out = Quality(model=model, label="unlike", column="sport")(given)
    assert (out.column("sport").to_numpy() > 0.5).all()
    with pytest.raises(RecipeError, match="no label `sports`; it has like, unlike"):
        Quality(model=model, label="sports")(given)


def test_scores_do_not_depend_on_the_batch(model):
    lines = texts(COOKING, 10, 3) + ["", "..."]
    whole = Quality(model=model)(batch(lines)).column("quality").to_numpy()
    one = [Quality(model=model)(batch([t])).column("quality")[0].as_py() for t in lines]
    assert whole.tolist() == one


def test_an_empty_batch_has_the_column(model):
    empty = batch(["a"]).slice(0, 0)
    assert Quality(model=model).judge(empty, Keyed()).batch.schema.field("quality").type == pa.float64()


def test_a_changed_model_changes_the_fingerprint(model, tmp_path):
    path = str(tmp_path / "s.safetensors")
    prints = set()
    for epochs in (1, 2):
        train(*data(60), ("like", "unlike"), 1, 64, epochs).save(path)
        prints.add(Quality(model=path).fingerprint())
        assert np.isfinite(Quality(model=path)(batch(["a b"])).column("quality")[0].as_py())
    assert len(prints) == 2
