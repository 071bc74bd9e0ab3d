"""Vectors of models in folders: static ones, and encoders."""

import json

import numpy as np
import pyarrow as pa
import pytest

import corpusmill.training.serving.openers  # noqa: F401  registers the kinds of models
from corpusmill.pipelines.recipe.certify import certify
from corpusmill.pipelines.recipe.model import loads
from corpusmill.transforms.embed.embed import Embed
from corpusmill.transforms.embed.opened import embed_with
from corpusmill.transforms.embed.semantic import Semantic
from corpusmill.transforms.errors import CorpusmillError, RecipeError

WORDS = ["[UNK]", "cat", "dog", "bolt"]


@pytest.fixture
def static(tmp_path):
    """A model2vec folder of three words."""
    tokenizers = pytest.importorskip("tokenizers")
    save_file = pytest.importorskip("safetensors.numpy").save_file
    model = tokenizers.Tokenizer(tokenizers.models.WordLevel({w: i for i, w in enumerate(WORDS)}, unk_token="[UNK]"))
    model.pre_tokenizer = tokenizers.pre_tokenizers.Whitespace()
    model.save(str(tmp_path / "tokenizer.json"))
    table = np.array([[0, 0, 0], [1, 0.1, 0], [1, 0, 0.1], [0, 0, 1]], np.float16)
    save_file({"embeddings": table}, str(tmp_path / "model.safetensors"))
    return f"static:{tmp_path}"


def test_a_text_has_the_mean_of_its_words(static):
    found = embed_with(static, pa.array(["cat dog", "bolt", "", None]))
    assert found.tolist() == [[127, 6, 6], [0, 0, 127], [0, 0, 0], [0, 0, 0]]


def test_steps_take_the_vectors_of_a_folder(static):
    made = Embed(vectors=static, column=True, dtype="int8")(["cat", "bolt"])
    assert made == ["cat", "bolt"]
    kept = Semantic(vectors=static, threshold=0.95)(["cat cat", "dog", "bolt"])
    assert sorted(kept) == ["bolt", "cat cat"] or sorted(kept) == ["bolt", "dog"]
    assert Embed(vectors=static).fingerprint() != Embed().fingerprint()


def test_an_encoder_gives_a_text_its_vector_alone(tmp_path):
    transformers = pytest.importorskip("transformers")
    tokenizers = pytest.importorskip("tokenizers")
    model = tokenizers.Tokenizer(tokenizers.models.WordLevel({w: i for i, w in enumerate(WORDS)}, unk_token="[UNK]"))
    model.pre_tokenizer = tokenizers.pre_tokenizers.Whitespace()
    transformers.PreTrainedTokenizerFast(tokenizer_object=model, unk_token="[UNK]").save_pretrained(tmp_path)
    config = transformers.BertConfig(
        vocab_size=4, hidden_size=8, num_hidden_layers=1, num_attention_heads=2, intermediate_size=8
    )
    transformers.BertModel(config).save_pretrained(tmp_path)
    spec = f"embed:{tmp_path}"
    both, one = embed_with(spec, pa.array(["cat dog bolt", "dog"])), embed_with(spec, pa.array(["dog"]))
    assert both.shape == (2, 8)
    assert np.array_equal(both[1], one[0])


def test_what_is_no_model_of_vectors_is_told(tmp_path):
    with pytest.raises(RecipeError, match="names no vectors"):
        embed_with("hf:gpt2", pa.array(["a"]))
    with pytest.raises(CorpusmillError, match=r"model\.safetensors"):
        embed_with(f"static:{tmp_path}", pa.array(["a"]))


def test_private_sources_refuse_what_is_learned_from_all_units(static, tmp_path):
    (tmp_path / "a.jsonl").write_text('{"text": "a"}\n')

    def read(step):
        recipe = {
            "name": "t",
            "sources": [{"name": "t", "path": "a.jsonl", "private": True}],
            "steps": [step],
            "privacy": {"population": "p", "unit": "document", "units": 100, "epsilon": 8, "delta": 1e-5},
            "output": {"path": "out"},
        }
        return loads(json.dumps(recipe), "t", tmp_path)

    for step in ("semantic", "cluster", "embed", {"balance": {"by": ["source"]}}):
        with pytest.raises(RecipeError, match="cross"):
            read(step)
    assert not certify(read({"embed": {"vectors": static}}), assume=True).refusals
