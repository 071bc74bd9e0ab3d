"""The Transformer: gradients, masks, positions, per-sample gradients."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from corpusmill.training.model import Block, Transformer, attention_mask, rotation
from corpusmill.training.settings import ModelSettings


def config(**values) -> ModelSettings:
    return ModelSettings(**{"layers": 2, "width": 8, "heads": 2, "hidden": 12, "vocabulary": 20} | values)


def test_gradcheck_of_one_block() -> None:
    """Analytic gradients of a block with cross-attention and a mask equal numeric ones in float64."""
    torch.manual_seed(0)
    block = Block(config(), causal=True, cross=True).double()
    x = torch.randn(2, 3, 8, dtype=torch.float64, requires_grad=True)
    memory = torch.randn(2, 4, 8, dtype=torch.float64, requires_grad=True)
    segments = torch.tensor([[1, 1, 2], [1, 1, 0]])
    mask = attention_mask(segments, segments, causal=True)
    memory_mask = attention_mask(segments, torch.tensor([[1, 1, 2, 2], [1, 1, 1, 1]]), causal=False)
    turn = rotation(torch.tensor([[0, 1, 0], [0, 1, 0]]), 4, 100.0)
    weights = [p for p in block.parameters() if p.dim() == 2][:3]

    def run(x, memory, *_):
        return block(x, mask, turn, memory, memory_mask)

    assert torch.autograd.gradcheck(run, (x, memory, *weights))


def test_a_document_never_sees_its_neighbour() -> None:
    model = Transformer(config(kind="decoder"), seed=1).eval()
    segments = torch.tensor([[1, 1, 1, 2, 2, 0]])
    positions = torch.tensor([[0, 1, 2, 0, 1, 0]])
    first = torch.tensor([[3, 4, 5, 6, 7, 0]])
    other = torch.tensor([[8, 9, 2, 6, 7, 0]])
    a, b = (model(ids, segments, positions) for ids in (first, other))
    assert torch.equal(a[:, 3:5], b[:, 3:5])
    torch.testing.assert_close(a[:, 3:5], model(torch.tensor([[6, 7]])), atol=1e-6, rtol=0)
    assert not torch.equal(a[:, :3], b[:, :3])


def test_a_decoder_never_sees_the_future_and_an_encoder_does() -> None:
    ids, changed = torch.tensor([[1, 2, 3, 4]]), torch.tensor([[1, 2, 3, 9]])
    for kind, same in (("decoder", True), ("encoder", False)):
        model = Transformer(config(kind=kind), seed=1)
        assert torch.equal(model(ids)[:, :3], model(changed)[:, :3]) is same


def test_positions_are_relative() -> None:
    model = Transformer(config(), seed=1)
    ids = torch.tensor([[1, 2, 3, 4]])
    moved = model(ids, None, torch.arange(4)[None] + 100)
    torch.testing.assert_close(model(ids), moved, atol=1e-5, rtol=0)
    nn.init.normal_(model.decoder.blocks[0].attention.query.weight)
    swapped = model(ids, None, torch.tensor([[0, 5, 2, 3]]))
    assert not torch.allclose(model(ids)[:, 1:], swapped[:, 1:], atol=1e-4)


def test_encoder_decoder_reads_its_own_document() -> None:
    model = Transformer(config(kind="encoder-decoder"), seed=1)
    ids, changed = torch.tensor([[1, 2, 3, 4]]), torch.tensor([[9, 9, 3, 4]])
    segments, targets = torch.tensor([[1, 1, 2, 2]]), torch.tensor([[5, 6, 7, 8]])
    where = torch.tensor([[0, 1, 0, 1]])
    a, b = (model(x, segments, where, targets, segments, where) for x in (ids, changed))
    assert torch.equal(a[:, 2:], b[:, 2:])
    assert not torch.equal(a[:, :2], b[:, :2])


def test_initialisation_and_count() -> None:
    a, b, c = (Transformer(config(), seed=s) for s in (1, 1, 2))
    assert all(torch.equal(x, y) for x, y in zip(a.parameters(), b.parameters()))
    assert not torch.equal(a.embedding.weight, c.embedding.weight)
    block = 4 * 8 * 8 + 3 * 8 * 12 + 2 * 8
    assert sum(p.numel() for p in a.parameters()) == 2 * block + 8 + 2 * 20 * 8
    assert sum(p.numel() for p in Transformer(config(tie=True)).parameters()) == 2 * block + 8 + 20 * 8
    with pytest.raises(ValueError, match="multiple of twice heads"):
        config(width=10, heads=4)


@pytest.mark.filterwarnings("ignore:Full backward hook")
@pytest.mark.parametrize("kind", ["decoder", "encoder", "encoder-decoder"])
def test_per_sample_gradients_are_exact(kind: str) -> None:
    """Opacus' hooks agree with one example at a time: what private training stands on."""
    module = pytest.importorskip("opacus.grad_sample").GradSampleModule
    torch.manual_seed(0)
    model = Transformer(config(kind=kind, layers=1), seed=1)
    for parameter in model.parameters():
        nn.init.normal_(parameter, std=0.3)
    ids = torch.randint(0, 20, (3, 3))  # as many rows as tokens: a broadcast position would pass unseen otherwise
    segments = torch.tensor([[1, 1, 1], [1, 1, 0], [1, 2, 2]])
    positions = torch.tensor([[0, 1, 2], [0, 1, 0], [0, 0, 1]])
    inputs = [ids, segments, positions] + ([ids.flip(1), segments, positions] if kind == "encoder-decoder" else [])

    def loss(network: nn.Module, rows: slice) -> torch.Tensor:
        return network(*(x[rows] for x in inputs)).log_softmax(-1)[..., 3].sum()

    truth = []
    for i in range(3):
        model.zero_grad()
        loss(model, slice(i, i + 1)).backward()
        truth.append({n: p.grad.clone() for n, p in model.named_parameters()})
    model.zero_grad()
    wrapped = module(model, loss_reduction="sum")
    loss(wrapped, slice(None)).backward()
    for name, parameter in model.named_parameters():
        for i in range(3):
            torch.testing.assert_close(parameter.grad_sample[i], truth[i][name], atol=1e-5, rtol=1e-4)
