"""A model that answers: the same to the last bit however requests are batched, for our checkpoints and Hugging Face ones."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from corpusmill.training.loop import train
from corpusmill.training.serving.local_model import LocalModel, bucket, digest
from corpusmill.transforms.errors import DatasetError, RecipeError
from corpusmill.transforms.generate.model import Request, Sampling
from corpusmill.transforms.random import Keyed
from tests.training.conftest import sentences, tiny


@pytest.fixture(scope="module")
def decoder(tmp_path_factory: pytest.TempPathFactory, tokenizer: Path, shards: Path) -> str:
    folder = tmp_path_factory.mktemp("decoder")
    return str(train(tiny(folder, shards, tokenizer, steps=30, model__max_length=96))["checkpoint"])


@pytest.fixture(scope="module")
def classifier(tmp_path_factory: pytest.TempPathFactory, tokenizer: Path) -> str:
    folder = tmp_path_factory.mktemp("classifier")
    texts = sentences(40)
    table = pa.table({"text": texts, "label": ["long" if len(t) > 40 else "short" for t in texts]})
    pq.write_table(table, folder / "train.parquet")
    shape = {"model__kind": "encoder", "model__layers": 1, "objective__name": "classification", "data__length": 32}
    settings = tiny(folder / "run", folder / "train.parquet", tokenizer, steps=20, batch__rows=8, **shape)
    return str(train(settings)["checkpoint"])


def requests(count: int, **sampling: object) -> list[Request]:
    texts = [*sentences(count - 2, seed=3), "", "数据 很 好"]
    keys = Keyed(7, "test").keys(pa.array([str(i) for i in range(count)]))
    wanted = Sampling(**({"max_tokens": 12} | sampling))  # type: ignore[arg-type]
    return [Request(t, int(k), str(i), wanted) for i, (t, k) in enumerate(zip(texts, keys))]


def batched(items: list, size: int) -> list[list]:
    return [items[i : i + size] for i in range(0, len(items), size)]


def test_buckets_are_at_most_a_third_wider() -> None:
    assert all(bucket(n) >= n and (n < 16 or bucket(n) <= max(16, n * 1.5)) for n in range(5000))
    assert np.mean([bucket(n) / n for n in range(32, 512)]) < 1.25


@pytest.mark.parametrize("sampling", [{"temperature": 0.9}, {"temperature": 0.0}, {"top_k": 5, "top_p": 0.8}])
def test_text_is_the_same_for_any_batch_size(decoder: str, sampling: dict) -> None:
    model = LocalModel(decoder)
    asked = requests(21, **sampling)
    whole = model.complete(asked)
    assert any(whole)
    for size in (1, 7, 64):
        assert [text for part in batched(asked, size) for text in model.complete(part)] == whole
    shuffled = np.random.default_rng(0).permutation(len(asked))
    again = model.complete([asked[i] for i in shuffled])
    assert [again[int(np.flatnonzero(shuffled == i)[0])] for i in range(len(asked))] == whole


def test_scores_and_classes_have_the_same_bits_for_any_batch_size(decoder: str, classifier: str) -> None:
    texts = [*sentences(20, seed=5), "", "数据"]
    scorer, judge = LocalModel(decoder), LocalModel(classifier)
    nats, size = scorer.score(texts)
    logits = judge.classify(texts)
    assert judge.classes == ["long", "short"]
    assert logits.shape == (22, 2)
    for n in (1, 7, 64):
        parts = [scorer.score(part) for part in batched(texts, n)]
        assert np.concatenate([p[0] for p in parts]).tobytes() == nats.tobytes()
        assert np.concatenate([judge.classify(part) for part in batched(texts, n)]).tobytes() == logits.tobytes()
    assert size[0] <= len(texts[0].encode())
    assert nats[-2] == 0 == size[-2]


def test_score_is_the_loss_that_evaluation_measures(decoder: str) -> None:
    import torch

    from corpusmill.training import build

    loaded = build.load(decoder)
    text = sentences(1, seed=9)[0]
    ids = torch.from_numpy(loaded.vocabulary.encode([text])[0])[None]
    with torch.no_grad():
        logp = loaded.model(ids)[0, :-1].log_softmax(-1)
    want = -logp.gather(1, ids[0, 1:, None]).sum().item()
    assert LocalModel(decoder).score([text])[0][0] == pytest.approx(want, rel=1e-5)


def test_digest_follows_the_weights(decoder: str, classifier: str, tmp_path: Path) -> None:
    assert digest(decoder) == digest(str(Path(decoder).parents[1])) != digest(classifier)
    with pytest.raises(DatasetError, match="no checkpoint"):
        digest(str(tmp_path))


def test_what_a_model_cannot_do_is_said(decoder: str, classifier: str) -> None:
    with pytest.raises(RecipeError, match="no classifier"):
        LocalModel(decoder).classify(["a"])
    with pytest.raises(RecipeError, match="no likelihood"):
        LocalModel(classifier).score(["a"])
    with pytest.raises(RecipeError, match="max_tokens"):
        LocalModel(decoder).complete(requests(3, max_tokens=5000))


def test_nothing_asked(decoder: str) -> None:
    model = LocalModel(decoder)
    assert model.complete([]) == []
    assert model.score([])[0].shape == (0,)


def test_hugging_face_folder_writes_and_scores_as_ours(decoder: str, tmp_path: Path) -> None:
    pytest.importorskip("transformers")
    from corpusmill.training.commands import export

    folder = export(decoder, tmp_path / "hf")
    ours, theirs = LocalModel(decoder), LocalModel(f"hf:{folder}")
    theirs.vocabulary.special = ours.vocabulary.special  # the tokenizer has no end token of its own
    asked = requests(5, temperature=0.0)
    assert theirs.complete(asked) == ours.complete(asked)
    assert [theirs.complete([r])[0] for r in asked] == theirs.complete(asked)
    texts = sentences(3)
    assert theirs.score(texts)[0] == pytest.approx(ours.score(texts)[0], rel=1e-4)
