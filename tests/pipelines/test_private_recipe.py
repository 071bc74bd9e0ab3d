"""From a recipe with a section `privacy` to a model with a guarantee; what breaks it is refused before anything runs."""

import json
import random
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from click.testing import CliRunner

from corpusmill.pipelines.cli import cli
from corpusmill.pipelines.dataset.snapshot import Dataset
from corpusmill.pipelines.recipe import certify
from corpusmill.pipelines.recipe.model import load
from corpusmill.pipelines.recipe.privacy_section import begin
from corpusmill.pipelines.recipe.train_section import settings_of
from corpusmill.pipelines.run import run
from corpusmill.privacy.ledger import Ledger
from corpusmill.training import commands
from corpusmill.transforms.errors import DatasetError, PrivacyError, RecipeError
from tests.corpora import WORDS

pytest.importorskip("torch", reason="torch is not installed (extra `train`)")
pytest.importorskip("opacus", reason="opacus is not installed (extra `privacy`)")

PRIVACY = {"population": "callers", "unit": "user", "units": 40, "epsilon": 4.0, "delta": 1e-3}
TRAIN = {
    "steps": 4,
    "model": {"layers": 1, "width": 16, "heads": 2},
    "batch": {"rows": 10, "micro_rows": 16},
    "data": {"length": 24},
    "runtime": {"tensorboard": False},
    "privacy": {"sigma": 4.0, "max_rows": 3},
}


@pytest.fixture(scope="module")
def corpus(tmp_path_factory) -> Path:
    """120 documents of 40 users, and a tokenizer made of public text."""
    from corpusmill.transforms.tokens.train_tokenizer import train_tokenizer

    folder, rng = tmp_path_factory.mktemp("private"), random.Random(0)
    texts = [" ".join(rng.choices(WORDS, k=12)) for _ in range(120)]
    users = [f"u{i % 40:02}" for i in range(120)]
    (folder / "raw").mkdir()
    pq.write_table(
        pa.table({"id": [f"d{i}" for i in range(120)], "text": texts, "user": users}), folder / "raw/a.parquet"
    )
    public = pa.record_batch(
        {"id": [str(i) for i in range(50)], "text": [" ".join(rng.choices(WORDS, k=12)) for _ in range(50)]}
    )
    train_tokenizer([public], str(folder / "tokenizer.json"), vocab_size=300)
    return folder


@pytest.fixture
def make(corpus, tmp_path):
    """make(steps, **sections): the path of a recipe in the test's own folder."""
    for name in ("raw", "tokenizer.json"):
        (tmp_path / name).symlink_to(corpus / name)

    def write(steps=(), form="parquet", private=True, **sections):
        source = {"name": "mail", "path": "raw/*.parquet", "private": private, "columns": {"id": "id", "user": "user"}}
        train = {**TRAIN, "data": {**TRAIN["data"], "tokenizer": "tokenizer.json"}}
        recipe = {
            "name": "letters",
            "sources": [source],
            "steps": list(steps),
            "output": {"path": "out", "format": form},
        }
        recipe |= {"privacy": PRIVACY, "train": train, **sections}
        recipe = {k: v for k, v in recipe.items() if v is not None}
        path = tmp_path / "letters.yaml"
        path.write_text(yaml.safe_dump(recipe, sort_keys=False))
        return path

    return write


def corpusmill(*args: object):
    return CliRunner().invoke(cli, [*map(str, args)])


def test_run_goes_from_private_text_to_a_model_with_a_guarantee(make, tmp_path):
    path = make([{"clean": {}}, {"bound-units": {"by": "user", "max_rows": 3}}])
    checked = corpusmill("check", path)
    assert "certified for the unit `user`" in checked.output
    planned = corpusmill("plan", path).output
    assert "certified for the unit `user`" in planned
    assert "a new run of `train` brings epsilon of callers from 0.00 to " in planned
    assert not (tmp_path / "out" / "privacy.jsonl").exists()
    done = corpusmill("run", path, "--workers", "1", "--json")
    assert done.exit_code == 0, done.output
    trained = json.loads(done.stdout)["train"]
    assert trained["certified"]
    ledger = Ledger(tmp_path / "out")
    assert {k: ledger.budget[k] for k in PRIVACY} == PRIVACY
    state = json.loads((Path(trained["checkpoint"]) / "state.json").read_text())
    found = state["guarantee"]
    assert (found["population"], found["unit"], found["certified"]) == ("callers", "user", True)
    assert found["epsilon"] == pytest.approx(ledger.spent()) == pytest.approx(trained["epsilon"])
    assert any("number of units" in a or "tokenizer.json was made from public" in a for a in found["assumptions"])
    # the data's digest would tell whoever knows all documents but one whether a guess at that one is right
    files = Dataset(tmp_path / "out").files()
    assert state["digests"]["data"] not in json.dumps([json.dumps(f) for f in files])
    assert corpusmill("run", path, "--workers", "1").exit_code == 3
    more = corpusmill("plan", path, "--set", "train.privacy.sigma=0.5", "--json")
    assert "it would be refused" in json.loads(more.stdout)["privacy"][1]
    assert len(ledger.entries()) == 1


@pytest.mark.parametrize("step", ["exact", "minhash", "lines"])
def test_a_step_between_units_is_refused_by_every_verb_before_anything_runs(make, tmp_path, step):
    path = make([{"clean": {}}, {step: {}}])
    line = 1 + path.read_text().splitlines().index(f"- {step}: {{}}")
    for verb in ("check", "plan", "run"):
        found = corpusmill(verb, path)
        assert found.exit_code == 78
        assert f"letters.yaml:{line}:3: `{step}` (cross): " in found.output
        assert "^ " in found.output  # the way out stands beside the caret
    assert "or run it on public data" in found.output or "leave it out" in found.output
    assert not (tmp_path / "out").exists()
    with pytest.raises(RecipeError, match=rf"`{step}` \(cross\).*To go on: "):
        run(load(path, check_privacy=False), workers=1)
    assert not (tmp_path / "out").exists()
    assert corpusmill("privacy", "certify", path).exit_code == 1
    listed = json.loads(corpusmill("privacy", "certify", path, "--json").stdout.split("\nthis data")[0])
    assert not listed["certified"]


def test_what_training_takes_besides_gradients_is_refused_with_its_line(make):
    train = {
        **TRAIN,
        "evaluation": {"patience": 2},
        "data": {"validation": "raw/a.parquet", "tokenizer": "tokenizer.json"},
    }
    found = corpusmill("check", make(train=train))
    assert found.exit_code == 78
    assert "`evaluation.patience` (cross): the step at which training stops" in found.output


def test_figures_of_private_text_are_not_written(make, tmp_path):
    run(load(make([{"clean": {}}], train=None)), workers=1)
    train = {**TRAIN, "data": {"validation": "out", "tokenizer": "tokenizer.json"}}
    found = corpusmill("check", make([{"clean": {}}], train=train))
    assert found.exit_code == 78
    assert "`data.validation` (cross): its figures are written without noise" in found.output


def test_where_no_source_is_marked_all_are_taken_for_private(make):
    assert corpusmill("check", make([{"exact": {}}], private=False)).exit_code == 78
    assert corpusmill("check", make([{"exact": {}}], private=False, privacy=None, train=None)).exit_code == 0


def test_training_on_a_snapshot_of_an_uncertified_recipe_is_refused_and_the_switch_says_what_it_does(make, tmp_path):
    """The recipe that made the snapshot says nothing of training; the run on it does."""
    run(load(make([{"exact": {}}], privacy=None, train=None)), workers=1)
    Ledger.create(tmp_path / "out", "callers", "user", 4.0, 1e-3)
    data = {"train": str(tmp_path / "out"), "tokenizer": str(tmp_path / "tokenizer.json"), "length": 24}
    section = {"ledger": str(tmp_path / "out"), "unit": "user", "units": 40, "sigma": 4.0, "max_rows": 3}
    (tmp_path / "train.yaml").write_text(yaml.safe_dump({**TRAIN, "output": "run", "data": data, "privacy": section}))
    refused = corpusmill("train", tmp_path / "train.yaml")
    assert refused.exit_code == 1
    assert "`exact` (cross): one document decides" in refused.output
    assert not Ledger(tmp_path / "out").entries()
    allowed = corpusmill("train", tmp_path / "train.yaml", "--set", "privacy.allow_uncertified=true")
    assert allowed.exit_code == 0, allowed.output
    assert "NOT certified: the figure bounds nothing" in allowed.output
    assert Ledger(tmp_path / "out").entries()[0][0]["what"] == "private training (not certified)"
    (state,) = (tmp_path / "run" / "checkpoints").glob("*/state.json")
    assert not json.loads(state.read_text())["guarantee"]["certified"]
    # nor is it laundered by training on from there
    more = {**TRAIN, "output": "more", "data": data, "privacy": section, "tune": {"base": str(tmp_path / "run")}}
    (tmp_path / "train.yaml").write_text(yaml.safe_dump(more))
    assert "by steps without a certificate" in corpusmill("train", tmp_path / "train.yaml").output


def test_python_cannot_go_around_the_certificate(make, tmp_path):
    recipe = load(make([{"clean": {}}]))
    run(recipe, workers=1)
    settings = settings_of(recipe, 1)
    with pytest.raises(PrivacyError, match="needs a certification"):
        commands.train(settings)
    found = certify.of_training(settings)
    found.data = "another"
    with pytest.raises(PrivacyError, match="another snapshot"):
        commands.train(settings, certification=found)
    of_another = certify.of_training(settings)
    of_another.unit = "document"
    with pytest.raises(PrivacyError, match="about the unit `document`"):
        commands.train(settings, certification=of_another)
    with pytest.raises(DatasetError, match=r"no privacy ledger"):
        commands.train(
            settings.model_copy(
                update={"privacy": settings.privacy.model_copy(update={"ledger": str(tmp_path / "no")})}
            ),
            certification=certify.of_training(settings),
        )


def test_packed_rows_are_those_of_one_unit_or_refused(make, tmp_path):
    """Packing within a unit is certified and trains; across units it is refused, and so is such data when it is there."""
    pack = {"tokenizer": "tokenizer.json", "length": 24}
    across = corpusmill("check", make([{"pack": pack}], form="arrow"))
    assert across.exit_code == 78
    assert "`pack` (cross): a row holds pieces of several units" in across.output
    done = corpusmill("run", make([{"pack": {**pack, "separate": "user"}}], form="arrow"), "--workers", "1", "--json")
    assert done.exit_code == 1
    assert "units have more than 3 rows" in done.output  # 36 words of a user are more than three rows
    more = ["--set", "train.privacy.max_rows=16"]
    done = corpusmill("run", tmp_path / "letters.yaml", "--workers", "1", "--json", *more)
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout)["train"]["certified"]


def test_rows_packed_across_units_cannot_be_used_even_if_steps_are_let_through(make):
    pack = {"tokenizer": "tokenizer.json", "length": 24}
    path = make([{"pack": pack}], form="arrow", privacy={**PRIVACY, "allow_uncertified": True})
    assert "NOT certified" in corpusmill("check", path).output
    done = corpusmill("run", path, "--workers", "1")
    assert done.exit_code == 1
    assert "do not name their `user`" in done.output
    assert "end the recipe before `pack`" in done.output


def test_a_population_has_one_budget(make, tmp_path):
    begin(load(make()))
    begin(load(make()))
    other = corpusmill("check", make(privacy={**PRIVACY, "epsilon": 9.0}))
    assert other.exit_code == 78
    assert "says epsilon 4.0, the recipe 9.0" in other.output


@pytest.mark.parametrize(
    ("sections", "said"),
    [
        ({"privacy": {**PRIVACY, "delta": 0.5}}, "`delta` is above 1 / `units`"),
        ({"privacy": {**PRIVACY, "adjacency": "replace"}}, "must be add-or-remove"),
        ({"privacy": {k: v for k, v in PRIVACY.items() if k != "population"}}, "`privacy` lacks `population`"),
        ({"privacy": None}, "`ledger` is missing"),
        ({"train": {**TRAIN, "batch": {"rows": 50}}}, "`rows` is 50, more than the 40 units"),
        ({"train": {**TRAIN, "privacy": {"epsilon": 5.0}}}, "more than the population's 4"),
        ({"train": {**TRAIN, "privacy": {"epsilon": 1.0, "unit": "document"}}}, "keeps account of `user`"),
        ({"train": {**TRAIN, "privacy": {}}}, "give `epsilon` or `sigma`"),
        ({"output": {"path": "s3://bucket/out"}, "train": None}, "`ledger` is missing: the dataset lies in a store"),
        ({"privacy": {**PRIVACY, "epsilonn": 1}}, "did you mean `epsilon`"),
    ],
)
def test_a_wrong_section_is_told_with_its_line(make, sections, said):
    with pytest.raises(RecipeError, match=r"letters\.yaml:\d") as caught:
        load(make(**sections))
    assert said in str(caught.value)


def test_the_section_changes_nothing_of_the_dataset(make):
    recipe = load(make())
    assert recipe.digest() == recipe.model_copy(update={"privacy": None, "train": None}).digest()
    assert recipe.canonical()["privacy"]["population"] == "callers"


def test_models_and_data_behind_a_recipe_are_judged(make, tmp_path):
    """Privacy does not wear off along two data sets, and a base model that saw private text is refused."""
    path = make([{"exact": {}}], privacy=None, train=None)
    run(load(path), workers=1)
    (tmp_path / "plain.yaml").write_text(
        yaml.safe_dump({**TRAIN, "privacy": None, "output": "plain", "objective": {"name": "instruction"}, "steps": 1,
                        "data": {"train": "out", "tokenizer": "tokenizer.json", "length": 24,
                                 "columns": {"instruction": "id", "output": "text"}}})
    )  # fmt: skip
    done = corpusmill("train", tmp_path / "plain.yaml")
    assert done.exit_code == 0
    assert done.stderr.startswith("No guarantee: this run learns from the private source mail without protection.")
    assert done.stderr.count("No guarantee") == 1
    second = yaml.safe_load(path.read_text())
    second |= {"name": "second", "output": {"path": "two"}, "steps": [{"clean": {}}]}
    second["sources"][0] |= {"path": "out/data/*.parquet"}
    (tmp_path / "second.yaml").write_text(yaml.safe_dump(second))
    run(load(tmp_path / "second.yaml"), workers=1)
    third = {**second, "name": "third", "output": {"path": "three"}, "privacy": PRIVACY}
    third["sources"] = [{**second["sources"][0], "path": "two/data/*.parquet"}]
    third["train"] = {**TRAIN, "tune": {"base": "plain"}}
    (tmp_path / "third.yaml").write_text(yaml.safe_dump(third))
    with pytest.raises(RecipeError) as caught:
        load(tmp_path / "third.yaml")
    assert "out, its recipe: `exact` (cross)" in str(caught.value)
    assert "`plain` (cross): the model was trained on the private source mail without a guarantee" in str(caught.value)


def test_a_tokenizer_of_private_text_is_marked_and_refused(make, tmp_path):
    path = make([{"clean": {}}])
    made = corpusmill("tokenizer", path, "--vocab-size", "300", "--out", tmp_path / "own.json")
    assert made.exit_code == 0, made.output
    assert "It contains text of the private source mail" in made.output
    refused = corpusmill("check", path, "--set", "train.data.tokenizer=own.json")
    assert refused.exit_code == 78
    assert "`own.json` (cross): the file was learned from the private source mail" in refused.output
