"""ARPA files whose words are tokens of a tokenizer: their texts, or their ids."""

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from corpusmill.steps import Perplexity
from corpusmill.transforms.errors import BadFileError, RecipeError
from corpusmill.transforms.ngrams._arpa import convert
from corpusmill.transforms.ngrams._table import open_model
from corpusmill.transforms.tokens.tokenizer import load_tokenizer
from corpusmill.transforms.tokens.train_tokenizer import train_tokenizer
from tests.transforms.dedup.harness import documents
from tests.transforms.ngrams.reference import Reference
from tests.transforms.ngrams.test_smoothing import sentences

pytest.importorskip("tokenizers")


@pytest.fixture(scope="module")
def tokens(tmp_path_factory):
    """(path of a tokenizer, encoded texts as ids)."""
    folder = tmp_path_factory.mktemp("tokens")
    texts = sentences(80)
    train_tokenizer(documents(texts).to_batches(), str(folder / "t.json"), vocab_size=280)
    offsets, ids = load_tokenizer(str(folder / "t.json")).encode(pa.array(texts))
    return str(folder / "t.json"), [ids[a:b].tolist() for a, b in zip(offsets, offsets[1:])], texts


@pytest.mark.parametrize("kind", ["texts", "ids"])
def test_scores_are_the_model_s(tokens, tmp_path, kind):
    path, encoded, texts = tokens
    names = {i: t for t, i in json.loads(Path(path).read_text())["model"]["vocab"].items()}
    said = [[names[i] if kind == "texts" else str(i) for i in ids] for ids in encoded]
    reference = Reference(said, 3)
    (tmp_path / "m.arpa").write_text(reference.arpa(), encoding="utf-8")
    expected = [np.exp(-reference.log_probability(d) / (len(d) + 1)) for d in said]
    step = Perplexity(model=str(tmp_path / "m.arpa"), tokenizer=path)
    got = step(documents(texts))["perplexity"].to_numpy()
    assert np.allclose(got, expected, rtol=1e-3)
    convert(str(tmp_path / "m.arpa"), str(tmp_path / "m"), path)
    assert open_model(str(tmp_path / "m")).head.units == "tokens"


def test_other_tokenizers_are_refused(tokens, tmp_path):
    path, encoded, texts = tokens
    (tmp_path / "m.arpa").write_text(Reference([["strange", "words"]], 2).arpa())
    with pytest.raises(BadFileError, match="are no tokens of the tokenizer"):
        convert(str(tmp_path / "m.arpa"), str(tmp_path / "m"), path)
    (tmp_path / "n.arpa").write_text(Reference([[str(i) for i in encoded[0]]], 2).arpa())
    convert(str(tmp_path / "n.arpa"), str(tmp_path / "n"), path)
    train_tokenizer(documents(texts).to_batches(), str(tmp_path / "u.json"), vocab_size=270)
    with pytest.raises(RecipeError, match="another tokenizer"):
        Perplexity(model=str(tmp_path / "n"), tokenizer=str(tmp_path / "u.json"))(documents(texts))
    with pytest.raises(RecipeError, match="name its `tokenizer`"):
        Perplexity(model=str(tmp_path / "n"))(documents(texts))
