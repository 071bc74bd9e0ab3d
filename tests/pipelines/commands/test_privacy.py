"""Numbers that are none buy nothing: `nan` compares as below every bound."""

import pytest
from click.testing import CliRunner

from corpusmill.pipelines.cli import cli
from corpusmill.pipelines.dataset.snapshot import Dataset
from corpusmill.pipelines.operations.private_statistics import publish
from corpusmill.pipelines.recipe.model import load
from corpusmill.pipelines.run import run
from corpusmill.privacy.ledger import Ledger
from corpusmill.transforms.errors import RecipeError
from tests.corpora import rows, write_recipe, write_shards


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    folder = tmp_path_factory.mktemp("privacy")
    write_shards(folder / "raw", rows(20), 2)
    run(load(write_recipe(folder, [])), workers=1)
    Ledger.create(str(folder / "out"), "people", "document", 1.0, 1e-6)
    return folder / "out"


@pytest.mark.parametrize("value", ["nan", "NaN", "inf", "-nan"])
@pytest.mark.parametrize(
    "args",
    [
        ["statistics", "OUT", "--epsilon=VALUE"],
        ["statistics", "OUT", "--epsilon=0.1", "--delta=VALUE"],
        ["plan", "--rate=0.1", "--delta=1e-6", "--noise=VALUE", "--steps=10"],
        ["plan", "--rate=VALUE", "--delta=1e-6"],
        ["audit", "OUT", "--delta=1e-6", "--claim=VALUE"],
    ],
    ids=lambda args: f"{args[0]} {next(a for a in args if 'VALUE' in a)}",
)
def test_what_is_no_number_is_refused_before_anything_is_released(dataset, args, value):
    before = (dataset / "privacy.jsonl").read_bytes()
    done = CliRunner().invoke(cli, ["privacy", *(a.replace("OUT", str(dataset)).replace("VALUE", value) for a in args)])
    assert done.exit_code == 2, done.output
    assert (dataset / "privacy.jsonl").read_bytes() == before
    assert not (dataset / "statistics").exists()


@pytest.mark.parametrize(
    ("epsilon", "delta"), [(float("nan"), 1e-8), (0.1, float("nan")), (float("inf"), 1e-8), (0, 1e-8)]
)
def test_so_it_is_without_the_command_line(dataset, epsilon, delta):
    with pytest.raises(RecipeError, match="finite epsilon"):
        publish(Dataset(dataset), None, ("source",), epsilon, delta, Ledger(str(dataset)))
    assert not (dataset / "statistics").exists()
