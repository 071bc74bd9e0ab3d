"""`perplexity` as it is typed."""

import numpy as np
import pyarrow as pa
import pytest

from corpusmill.transforms.ngrams._symbols import text_symbols
from corpusmill.transforms.ngrams._table import open_model
from tests.command import invoke, invoke_json
from tests.corpora import rows, write_recipe, write_shards
from tests.transforms.ngrams.reference import Reference
from tests.transforms.ngrams.test_smoothing import sentences


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """A folder with a dataset and its recipe."""
    folder = tmp_path_factory.mktemp("built")
    write_shards(folder / "raw", rows(40), 2)
    assert invoke("run", write_recipe(folder, ["exact"]), "--workers", 1).exit_code == 0
    return folder


def test_a_model_of_a_recipe_and_of_a_dataset(built, tmp_path):
    done = invoke("perplexity", "train", built / "recipe.yaml", "--out", tmp_path / "r", "--order", 3)
    assert done.exit_code == 0
    assert done.stderr == "Skipped exact: these steps need the whole corpus.\n"
    assert " n-grams of up to 3 words." in done.stdout
    options = ("--order", 3, "--memory", 1 << 20)
    found = invoke_json("perplexity", "train", built / "out", "--out", tmp_path / "d", *options)
    assert found["documents"] > 0
    assert open_model(str(tmp_path / "d")).head.card["ngrams"] == found["ngrams"]
    card = invoke_json("perplexity", "card", tmp_path / "d")
    assert (card["order"], card["units"], card["dataset"]) == (3, "words", found["dataset"])
    assert "order: 3\n" in invoke("perplexity", "card", tmp_path / "d").stdout
    assert invoke("perplexity", "train", built / "out", "--out", tmp_path / "x", "--units", "tokens").exit_code != 0


def test_an_arpa_file_is_converted(tmp_path):
    (tmp_path / "m.arpa").write_text(Reference([t.split() for t in sentences(50)], 3).arpa())
    done = invoke("perplexity", "convert", tmp_path / "m.arpa", "--out", tmp_path / "m")
    assert done.stdout.startswith(f"{tmp_path}/m is written: ")
    symbols = text_symbols(pa.array(sentences(5, 9)), "pieces")
    mapped, read = (open_model(str(tmp_path / name)) for name in ("m", "m.arpa"))
    assert np.array_equal(mapped.perplexities(*symbols), read.perplexities(*symbols))
    (tmp_path / "bad").write_text("nothing")
    assert "is no ARPA file" in invoke("perplexity", "convert", tmp_path / "bad", "--out", tmp_path / "n").output
