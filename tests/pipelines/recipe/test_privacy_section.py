"""The recipe's section `privacy`: its ledger, what it hands to training, what a next run would spend. What is refused with a
line is the matter of tests/pipelines/test_private_recipe.py."""

import pytest

from corpusmill.pipelines.recipe.model import load
from corpusmill.pipelines.recipe.privacy_section import (
    LEDGER,
    PrivacySection,
    TrainPrivacy,
    begin,
    forecast,
    ledger_conflict,
    ledger_of,
    settings_of,
)
from corpusmill.privacy.accounting import Event
from corpusmill.privacy.ledger import Ledger
from corpusmill.transforms.errors import RecipeError, VerifyError
from tests.command import invoke
from tests.corpora import rows, write_recipe, write_shards

SECTION = {"population": "callers", "unit": "user", "units": 1_000, "epsilon": 4.0, "delta": 1e-4}
TRAIN = {"steps": 10, "batch": {"rows": 50}, "data": {"tokenizer": "t.json"}, "privacy": {"sigma": 2.0, "max_rows": 1}}


@pytest.fixture
def make(tmp_path):
    write_shards(tmp_path / "raw", rows(10), 1)

    def made(privacy=SECTION, train=None, **changes):
        source = {"name": "raw", "path": "raw/*.parquet", "private": True, "columns": {"id": "id", "user": "year"}}
        sections = {"privacy": privacy, "train": train}
        path = write_recipe(
            tmp_path, [], sources=[source], **{k: v for k, v in sections.items() if v is not None}, **changes
        )
        return load(path, check_privacy=False)

    return made


def test_the_ledger_lies_beside_the_dataset_or_where_the_section_says(make, tmp_path):
    assert ledger_of(make()) == tmp_path / "out" / LEDGER
    assert ledger_of(make(SECTION | {"ledger": "books/p.jsonl"})) == tmp_path / "books" / "p.jsonl"
    assert ledger_of(make(None)) is None
    far = make(SECTION | {"ledger": "books/p.jsonl"}, output={"path": "s3://bucket/out"})
    assert ledger_of(far) == tmp_path / "books" / "p.jsonl"


def test_a_ledger_needs_a_disk(make):
    recipe = make(SECTION | {"ledger": "x"}, output={"path": "s3://bucket/out"})
    recipe = recipe.model_copy(update={"privacy": PrivacySection.model_validate(SECTION)})
    with pytest.raises(
        RecipeError, match="`ledger` is missing: the dataset lies in a store, and a ledger needs a disk"
    ):
        ledger_of(recipe)
    assert ledger_conflict(recipe).startswith("`ledger` is missing")


def test_a_ledger_begins_once_with_the_budget_of_the_recipe(make, tmp_path):
    begin(make(None))
    assert not (tmp_path / "out").exists()
    begin(make())
    first = (tmp_path / "out" / LEDGER).read_bytes()
    budget = Ledger(tmp_path / "out" / LEDGER).budget
    assert {k: budget[k] for k in SECTION} == SECTION
    begin(make(SECTION | {"epsilon": 9.0}))
    assert (tmp_path / "out" / LEDGER).read_bytes() == first


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({}, ""),
        ({"epsilon": 9.0}, "says epsilon 4.0, the recipe 9.0"),
        ({"population": "x", "units": 5}, "says population callers, the recipe x; units 1000, the recipe 5"),
        ({"unit": "document"}, "says unit user, the recipe document"),
        ({"delta": 1e-5}, "says delta 0.0001, the recipe 1e-05"),
    ],
)
def test_a_recipe_that_says_otherwise_than_its_ledger(make, tmp_path, change, said):
    assert ledger_conflict(make(SECTION | change)) == ""  # there is none yet
    begin(make())
    assert ledger_conflict(make(SECTION | change)) == (f"{tmp_path}/out/{LEDGER} {said}" if said else "")


def test_a_damaged_ledger_is_an_error(make, tmp_path):
    begin(make())
    (tmp_path / "out" / LEDGER).write_text("{}\n")
    with pytest.raises(VerifyError, match=LEDGER):
        ledger_conflict(make())


def test_a_run_takes_what_it_does_not_say_from_the_section(tmp_path):
    section = PrivacySection.model_validate(SECTION | {"allow_uncertified": True})
    trains = TrainPrivacy.model_validate({"sigma": 2.0, "max_rows": 3})
    found = settings_of(trains, section, tmp_path / "l")
    assert found == {
        "ledger": f"{tmp_path}/l", "unit": "user", "units": 1_000, "allow_uncertified": True, "sigma": 2.0, "max_rows": 3,
    }  # fmt: skip
    own = TrainPrivacy.model_validate({"sigma": 2.0, "units": 7, "ledger": "mine", "allow_uncertified": False})
    found = settings_of(own, section, tmp_path / "l")
    assert (found["units"], found["ledger"], found["allow_uncertified"]) == (7, "mine", False)
    # nothing given is nothing said
    assert (
        settings_of(TrainPrivacy.model_validate({"sigma": 2.0, "units": 0, "ledger": ""}), section, None)["units"]
        == 1_000
    )
    assert settings_of(own, None, None) == {"sigma": 2.0, "units": 7, "ledger": "mine", "allow_uncertified": False}


def spend(recipe, count):
    ledger = Ledger(ledger_of(recipe))
    ledger.reserve("r1", Event(kind="poisson-gaussian", rate=0.05, sigma=2.0, count=count), "train", "user")


def test_what_a_next_run_would_bring_epsilon_to(make):
    recipe = make(train=TRAIN)
    fresh = forecast(recipe)
    assert fresh.startswith("a new run of `train` brings epsilon of callers from 0.00 to 0.")
    assert fresh.endswith(" of 4")
    begin(recipe)
    assert forecast(recipe) == fresh
    spend(recipe, 200)
    later = forecast(recipe)
    assert float(later.split(" from ")[1].split()[0]) > 0.5
    assert float(later.split(" to ")[1].split()[0]) > float(later.split(" from ")[1].split()[0])
    assert "refused" not in later


@pytest.mark.parametrize(
    ("train", "spent"),
    [
        (TRAIN | {"privacy": {"sigma": 1.0}, "steps": 2000}, 0),  # more than the budget
        (TRAIN | {"privacy": {"epsilon": 0.2}}, 200),  # less than is spent already
        (
            TRAIN | {"privacy": {"sigma": 1.0, "noise": "buffered"}},
            0,
        ),  # turns without sampling
        (TRAIN | {"privacy": {"sigma": 2.0}, "batch": {"rows": 1000}}, 0),  # all units in every step
    ],
)
def test_a_run_that_would_be_refused_is_announced(make, train, spent):
    recipe = make(train=train)
    begin(recipe)
    if spent:
        spend(recipe, spent)
    assert forecast(recipe).endswith("; it would be refused")


def test_nothing_is_forecast_where_nothing_is_trained_privately(make):
    assert forecast(make()) == ""
    assert forecast(make(None)) == ""


def test_plan_says_it(make):
    pytest.importorskip("opacus", reason="opacus is not installed (extra `privacy`)")
    recipe = make(train=TRAIN)
    (recipe.base_dir / "t.json").write_text("{}")
    path = recipe.base_dir / "recipe.yaml"
    done = invoke("plan", path)
    assert done.exit_code == 0, done.output
    assert "privacy    a new run of `train` brings epsilon of callers from 0.00 to" in done.stdout
