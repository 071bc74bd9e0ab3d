"""Objectives against values computed by hand, and packed rows against documents on their own."""

from __future__ import annotations

import math
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from corpusmill.training.model import Transformer
from corpusmill.training.objectives import (
    IGNORE,
    Causal,
    Documents,
    Masked,
    PrefixLM,
    Seq2Seq,
    SpanCorruption,
    label_losses,
)
from corpusmill.training.settings import ModelSettings
from corpusmill.training.special_tokens import SpecialTokens
from corpusmill.transforms.hashing import mix64_array


def keys(n: int) -> np.ndarray:
    return mix64_array(np.arange(n, dtype=np.uint64))


def vocabulary(size: int = 100) -> SimpleNamespace:
    tokenizer = SimpleNamespace(special={"<|endoftext|>": 0})
    sentinels = np.arange(size + 1, size + 101)
    return SimpleNamespace(
        size=size,
        mask=size,
        end=0,
        special=SpecialTokens(0, (0,), 0),
        sentinels=sentinels,
        tokenizer=tokenizer,
        extended_size=size + 101,
    )


def tensors(batch: dict) -> dict:
    return {name: torch.from_numpy(column) for name, column in batch.items()}


def test_hand_computed_loss() -> None:
    """Two tokens of vocabulary 2, logits (0, ln 3): p = (1/4, 3/4)."""
    logits = torch.tensor([[[0.0, math.log(3)], [0.0, math.log(3)], [5.0, 5.0]]])
    losses = label_losses(logits, torch.tensor([[1, 0, IGNORE]]))
    assert losses.tolist() == [[pytest.approx(math.log(4 / 3)), pytest.approx(math.log(4)), 0.0]]

    class Fixed(torch.nn.Module):
        def forward(self, input_ids, **_):
            return logits[:, :2]

    batch = Causal().prepare({"input_ids": np.array([[0, 1]])}, keys(1))
    total, count = Causal().loss(Fixed(), tensors(batch))
    assert (total.item(), count.item()) == (pytest.approx(math.log(4 / 3)), 1)


def test_causal_labels() -> None:
    rows = {"input_ids": np.array([[5, 6, 7, 8, 9, 0]]), "segment_ids": np.array([[1, 1, 2, 2, 2, 0]])}
    assert Causal().prepare(rows, keys(1))["labels"].tolist() == [[6, IGNORE, 8, 9, IGNORE, IGNORE]]
    rows["loss_mask"] = np.array([[0, 0, 0, 0, 1, 0]])
    assert Causal().prepare(rows, keys(1))["labels"].tolist() == [[IGNORE] * 3 + [9, IGNORE, IGNORE]]
    plain = Causal().prepare({"input_ids": np.array([[1, 2]]), "segment_ids": np.array([[1, 1]])}, keys(1))
    assert "segment_ids" not in plain


def packed(seed: int = 0) -> tuple[dict, list[np.ndarray]]:
    """Two rows with five documents, and the documents."""
    rng = np.random.default_rng(seed)
    documents = [rng.integers(1, 100, n) for n in (5, 9, 6, 12, 4)]
    rows = {n: np.zeros((2, 24), np.int64) for n in ("input_ids", "segment_ids", "position_ids")}
    for row, members in enumerate(((0, 1, 2), (3, 4))):
        at = 0
        for k, d in enumerate(members):
            n = len(documents[d])
            rows["input_ids"][row, at : at + n] = documents[d]
            rows["segment_ids"][row, at : at + n] = k + 1
            rows["position_ids"][row, at : at + n] = np.arange(n)
            at += n
    return rows, documents


def document_losses(objective, model, rows: dict, row_keys: np.ndarray) -> list[float]:
    """The summed loss of each document of each row."""
    batch = objective.prepare(rows, row_keys)
    if "segment_ids" not in batch and "target_segment_ids" not in batch:
        batch["segment_ids"] = np.ones_like(batch["labels"])
    with torch.no_grad():
        losses = label_losses(objective.logits(model, tensors(batch)), torch.from_numpy(batch["labels"])).numpy()
    segments = batch.get("target_segment_ids", batch.get("segment_ids"))
    out = []
    for row in range(len(losses)):
        out += [float(losses[row][segments[row] == k].sum()) for k in range(1, segments[row].max(initial=0) + 1)]
    return out


@pytest.mark.parametrize("kind", ["decoder", "encoder-decoder"])
def test_packed_equals_unpacked(kind: str) -> None:
    """A document has the same loss in a packed row as alone, to 1e-5."""
    rows, documents = packed()
    size = vocabulary().extended_size
    model = Transformer(ModelSettings(kind=kind, layers=2, width=16, heads=2, vocabulary=size), seed=1)
    if kind == "decoder":
        together = document_losses(Causal(), model, rows, keys(2))
        alone = [document_losses(Causal(), model, {"input_ids": d[None]}, keys(1))[0] for d in documents]
    else:
        objective = Seq2Seq(vocabulary())
        both = rows | {f"target_{n.replace('input_', '')}": c for n, c in rows.items()}
        together = document_losses(objective, model, both, keys(2))
        alone = []
        for d in documents:
            pair = {"input_ids": d[None], "target_ids": d[None], "target_segment_ids": np.ones((1, len(d)), np.int64)}
            alone += document_losses(objective, model, pair, keys(1))
    assert together == pytest.approx(alone, abs=1e-5)


def test_masked_rates() -> None:
    """15 % of the tokens are chosen; 80 % of those masked, 10 % random, 10 % kept; special ones and padding never."""
    objective = Masked(vocabulary(1000))
    ids = np.random.default_rng(0).integers(1, 1000, (200, 500))
    ids[:, ::50] = 0
    rows = {"input_ids": ids, "segment_ids": np.ones_like(ids)}
    rows["segment_ids"][:, 480:] = 0
    batch = objective.prepare(rows, keys(200))
    chosen = batch["labels"] != IGNORE
    assert (batch["labels"][chosen] == ids[chosen]).all()
    assert not chosen[:, 480:].any()
    assert not chosen[ids == 0].any()
    open_ = (ids != 0) & (rows["segment_ids"] != 0)
    n = open_.sum()
    assert abs(chosen.sum() / n - 0.15) < 3 * math.sqrt(0.15 * 0.85 / n)
    m, seen = chosen.sum(), batch["input_ids"]
    for share, part in (
        (0.8, seen == objective.mask),
        (0.1, (seen != objective.mask) & (seen != ids)),
        (0.1, seen == ids),
    ):
        assert abs((part & chosen).sum() / m - share) < 4 * math.sqrt(share * (1 - share) / m)
    assert (seen[~chosen] == ids[~chosen]).all()
    again = objective.prepare(rows, keys(200))
    assert (again["input_ids"] == seen).all()
    assert (objective.prepare(rows, keys(200) + np.uint64(1))["labels"] != batch["labels"]).any()


def test_span_corruption_can_be_undone() -> None:
    """Input and target together hold each document's tokens, once, in the row it came from."""
    rows, documents = packed()
    words = vocabulary()
    batch = SpanCorruption(words, rate=0.3).prepare(rows, keys(2))
    found = []
    for row in range(2):
        for k in range(1, batch["segment_ids"][row].max() + 1):
            read = batch["input_ids"][row][batch["segment_ids"][row] == k]
            written = batch["labels"][row][batch["target_segment_ids"][row] == k]
            assert read[-1] == written[-1] == words.end
            spans: dict[int, list[int]] = {}
            for token in written[:-1].tolist():
                last = token if token > words.size else last  # noqa: F821
                spans.setdefault(last, []).extend([token] if token < words.size else [])
            found.append([t for token in read[:-1].tolist() for t in (spans[token] if token > words.size else [token])])
    assert found == [d.tolist() for d in documents]
    read_by_decoder, labels = batch["target_ids"], batch["labels"]
    assert (read_by_decoder[:, 0] == words.end).all()
    inside = batch["target_segment_ids"][:, 1:] == batch["target_segment_ids"][:, :-1]
    inside &= batch["target_segment_ids"][:, 1:] > 0
    assert (read_by_decoder[:, 1:][inside] == labels[:, :-1][inside]).all()


def test_prefix_lm_cuts_once() -> None:
    rows, documents = packed()
    batch = PrefixLM(vocabulary()).prepare(rows, keys(2))
    found = []
    for row in range(2):
        for k in range(1, rows["segment_ids"][row].max() + 1):
            read = batch["input_ids"][row][batch["segment_ids"][row] == k].tolist()
            written = batch["labels"][row][batch["target_segment_ids"][row] == k].tolist()
            assert read
            assert written
            found.append(read + written)
    assert found == [d.tolist() for d in documents]


def test_rows_without_documents() -> None:
    """Padding only, and documents of one token: nothing to learn, and no error."""
    rows = {"input_ids": np.array([[0, 0, 0], [7, 0, 0]]), "segment_ids": np.array([[0, 0, 0], [1, 0, 0]])}
    assert len(Documents(rows, keys(2)).keys) == 1
    for objective in (Causal(), Masked(vocabulary(), 0.001), SpanCorruption(vocabulary()), PrefixLM(vocabulary())):
        batch = objective.prepare(rows, keys(2))
        assert (batch["labels"] == IGNORE).all()
    kind = ModelSettings(kind="encoder-decoder", layers=1, width=8, heads=2, vocabulary=300)
    total, count = SpanCorruption(vocabulary()).loss(
        Transformer(kind), tensors(SpanCorruption(vocabulary()).prepare(rows, keys(2)))
    )
    assert (total.item(), count.item()) == (0.0, 0)


def test_noise_changes_what_is_read_and_not_what_is_told() -> None:
    rows = {"input_ids": np.arange(400).reshape(4, 100) % 90, "segment_ids": np.ones((4, 100), np.int64)}
    rows["segment_ids"][:, 95:] = 0
    objective = Causal(noise=0.3, size=90)
    plain = objective.prepare(rows, keys(4))
    noised = objective.noised(plain, keys(4))
    changed = noised["input_ids"] != plain["input_ids"]
    assert not changed[:, 95:].any()
    assert 0.2 < changed[:, :95].mean() < 0.4
    assert (noised["labels"] == plain["labels"]).all()
    assert (objective.noised(plain, keys(4))["input_ids"] == noised["input_ids"]).all()
    assert Causal().noised(plain, keys(4)) is plain
