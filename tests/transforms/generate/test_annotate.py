"""A judge's scores: the sample, what can be read of answers, the second pass, and a scorer from them."""

import hashlib
import json

import numpy as np
import pyarrow as pa
import pytest

import corpusmill
from corpusmill.pipelines.operations.scorer_data import labelled
from corpusmill.pipelines.operations.train_scorer import train_scorer
from corpusmill.transforms.errors import BadFileError, RecipeError
from corpusmill.transforms.generate import model as models
from corpusmill.transforms.generate.annotate import Annotate
from corpusmill.transforms.generate.rubrics import answer
from corpusmill.transforms.select._features import Grams
from corpusmill.transforms.select._train import Training
from tests.transforms.select.test_select import COOKING, SPORT, texts

ASKED: list[str] = []


class Judge:
    """Likes cooking; answers that cannot be read come for texts that hold `mute`."""

    digest, classes = "judge", []

    def complete(self, requests):
        out = []
        for request in requests:
            ASKED.append(request.record)
            if "mute" in request.prompt:
                out.append("I would rather not say.")
                continue
            score = 4 if "onions" in request.prompt or "sauce" in request.prompt else 1
            moved = hashlib.sha256(f"{request.key}".encode()).digest()[0] % 4 == 0
            out.append(f'Well. {{"reason": "{len(request.prompt)} characters", "score": {score + moved}}}')
        return out


def open_judge(spec):
    return Judge()


open_judge.digest = lambda spec: "judge"


@pytest.fixture(autouse=True)
def judge(monkeypatch):
    monkeypatch.setattr(models, "_OPENERS", dict(models._OPENERS))
    monkeypatch.setattr(models, "_OPEN", {})
    models.register("judge", f"{__name__}:open_judge")
    ASKED.clear()


def table(number: int = 60, **more: list) -> pa.Table:
    lines = texts(COOKING, number, 1) + texts(SPORT, number, 2)
    columns = {"id": [f"d{i}" for i in range(2 * number)], "text": lines, "source": ["s"] * (2 * number)}
    return pa.table(columns | more)


def test_the_sample_is_exact_even_over_strata_and_independent_of_order():
    given = table(lang=["en"] * 100 + ["de"] * 15 + ["fr"] * 5)
    step = Annotate(model="judge:x", sample=30, by="lang", second=0)
    kept = step(given)
    counts = {c["values"]: c["counts"] for c in kept["lang"].value_counts().to_pylist()}
    assert counts["fr"] == 5 and counts["en"] + counts["de"] == 25 and abs(counts["en"] - counts["de"]) <= 1  # noqa: PT018
    mixed = step(given.take(np.random.default_rng(0).permutation(120)))
    assert sorted(mixed["id"].to_pylist()) == sorted(kept["id"].to_pylist())
    assert len(ASKED) == 60
    whole = Annotate(model="judge:x", sample=30, others="keep")(given)
    assert whole.num_rows == 120
    assert whole["score"].null_count == 90


def test_answers_without_a_score_are_asked_again_and_dropped():
    given = table(5).append_column("n", pa.array(range(10)))
    given = given.set_column(1, "text", pa.array(["mute", *given["text"].to_pylist()[1:]]))
    kept = Annotate(model="judge:x", tries=3, second=0)(given)
    assert kept["id"].to_pylist() == [f"d{i}" for i in range(1, 10)]
    assert ASKED.count("d0") == 3
    assert set(kept["score"].to_pylist()) <= {1.0, 2.0, 4.0, 5.0}
    assert kept["reason"][0].as_py().endswith("characters")


def test_what_is_read_of_an_answer():
    assert answer('{"a": 1} {"score": "3.5", "reason": null}', 0, 5) == (3.5, "")
    assert answer("**Score:** 2 of 5", 0, 5) == (2.0, "")
    for said in ("", "no", '{"score": true}', '{"score": 6}', '{"score": "high"}', '{"score": NaN}', "score: -1"):
        assert answer(said, 0, 5) is None


def test_a_rubric_of_the_users_own(tmp_path):
    path = tmp_path / "rubric.txt"
    path.write_text("Is it about food? Text:\n{text}\n")
    step = Annotate(model="judge:x", rubric=str(path), second=0)
    assert step(table(3)).num_rows == 6
    before = step.fingerprint()
    path.write_text("Is it?")
    assert step.fingerprint() != before
    with pytest.raises(BadFileError, match=r"the rubric has no \{text\}"):
        step(table(3))
    with pytest.raises(RecipeError, match="give a range of scores"):
        Annotate(model="judge:x", lowest=5)


def test_a_run_is_cached_and_a_scorer_learns_from_it(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    rows = table(150).select(["id", "text"]).to_pylist()
    for part in range(2):
        (tmp_path / f"{part}.jsonl").write_text("".join(json.dumps(r) + "\n" for r in rows[part::2]))
    recipe = {"name": "t", "sources": [{"name": "s", "path": "*.jsonl"}]}
    step = {"annotate": {"model": "judge:x", "sample": 250, "second": 0.2}}
    made = [corpusmill.run(recipe | {"steps": [step], "output": f"out{w}"}, workers=w).dataset for w in (1, 2)]
    assert made[0].manifest["content"] == made[1].manifest["content"]
    assert len(ASKED) == 600  # two runs of 250 and 50
    corpusmill.run(recipe | {"steps": [step, "exact"], "output": "out1"}, workers=1)
    assert len(ASKED) == 600
    given = labelled((), (), ("out1",), label="score", at_least=3)
    scorer = train_scorer(given, Training(Grams(1, 4096)))
    assert scorer.card["held_out"]["auc"] == 1.0
    assert scorer.card["judge"]["documents"] == 50
    assert scorer.card["judge"]["kappa"] > 0.8
