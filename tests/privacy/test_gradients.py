"""Gradients of units against the truth, one unit at a time, in every mode and for every kind of model."""

import numpy as np
import pytest
import torch
from torch import nn

from corpusmill.privacy.check import check
from corpusmill.privacy.gradients import gradients_of
from corpusmill.privacy.layout import Layout
from corpusmill.transforms.errors import PrivacyError
from tests.privacy.models import KINDS, model, row_losses, rows, take

MODES = ("hooks", "fast", "ghost")


def truth(
    net: nn.Module, batch: dict[str, torch.Tensor], unit_of_row: np.ndarray
) -> list[dict[nn.Parameter, torch.Tensor]]:
    """The gradient of the mean loss of each unit's rows, by itself."""
    out = []
    for unit in range(unit_of_row.max() + 1):
        net.zero_grad()
        row_losses(net, take(batch, torch.from_numpy(unit_of_row == unit))).mean().backward()
        out.append(
            {
                p: p.grad.clone() if p.grad is not None else torch.zeros_like(p)
                for p in net.parameters()
                if p.requires_grad
            }
        )
    net.zero_grad()
    return out


def errors(net: nn.Module, batch: dict[str, torch.Tensor], mode: str, unit_of_row: np.ndarray) -> float:
    """Largest error of any unit's gradient or norm, over that of the largest gradient of the unit."""
    wanted = truth(net, batch, unit_of_row)
    gradients = gradients_of(net, mode)
    gradients.backward(lambda: row_losses(net, batch), Layout.of(unit_of_row))
    norms = gradients.norms()
    worst = 0.0
    for unit, one in enumerate(wanted):
        scale = max(float(t.norm()) for t in one.values())
        pick = torch.zeros(len(wanted))
        pick[unit] = 1.0
        found = {p: torch.zeros_like(p) for p in one}
        for p, part in gradients.weighted(dict.fromkeys(one, pick)):
            found[p] = found[p] + part
        for p, t in one.items():
            worst = max(worst, float((found[p] - t).norm()) / scale, abs(float(norms[p][unit] - t.norm())) / scale)
    gradients.close()
    return worst


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("kind", KINDS)
def test_gradients_of_single_rows_are_exact(kind, mode):
    assert errors(model(kind), rows(kind, 5), mode, np.arange(5)) < 1e-5


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("kind", ["decoder", "encoder-decoder", "lora", "classifier"])
def test_gradients_of_units_with_several_rows_are_exact(kind, mode):
    assert errors(model(kind), rows(kind, 7), mode, np.array([1, 0, 1, 1, 2, 0, 1])) < 1e-5


@pytest.mark.parametrize("mode", MODES)
def test_ghost_norms_by_inner_products_are_exact_too(mode):
    """Wide layers and few positions, where ghost clipping does not make the gradient."""
    assert (
        errors(model("decoder", width=64, layers=1), rows("decoder", 4, length=5), mode, np.array([0, 1, 1, 2])) < 1e-5
    )


class Odd(nn.Module):
    """A layer without a rule of its own: a bare parameter."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.linspace(0.5, 2.0, 6))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x * self.scale


@pytest.mark.parametrize("mode", MODES)
def test_layers_without_a_rule_biases_and_layer_norms(mode):
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(4, 6), Odd(), nn.LayerNorm(6), nn.Linear(6, 3), nn.Tanh(), nn.Linear(3, 1)).train()
    x = torch.randn(6, 4)
    units = np.array([0, 0, 1, 2, 2, 2])
    gradients = gradients_of(net, mode)
    gradients.backward(lambda: net(x).squeeze(1) ** 2, Layout.of(units))
    for unit in range(3):
        net.zero_grad()
        (net(x[units == unit]) ** 2).mean().backward()
        pick = torch.eye(3)[unit]
        found = dict(gradients.weighted(dict.fromkeys(net.parameters(), pick)))
        for p in net.parameters():
            assert torch.allclose(found[p], p.grad, atol=1e-6)
            assert gradients.norms()[p][unit] == pytest.approx(float(p.grad.norm()), rel=1e-4, abs=1e-6)


def test_frozen_parameters_get_nothing_and_gradients_are_left_alone():
    net = model("lora")
    gradients = gradients_of(net, "ghost")
    batch = rows("lora", 3)
    gradients.backward(lambda: row_losses(net, batch), Layout.of(np.arange(3)))
    assert all(p.grad is None for p in net.parameters())
    assert {p.requires_grad for p in gradients.names} == {True}
    assert len(gradients.names) == 2 * 6


def test_layout():
    layout = Layout.of(np.array([2, 0, 2, 1]))
    assert layout.slots.tolist() == [[1, -1], [3, -1], [0, 2]]
    assert layout.weights.tolist() == [0.5, 1.0, 0.5, 1.0]
    assert layout.sum(torch.arange(4.0)[:, None]).tolist() == [[1.0], [3.0], [2.0]]
    assert Layout.of(np.arange(3)).slots is None


class Positions(nn.Module):
    """Looks positions up once, and broadcasts them; `bare`: without a batch dimension."""

    def __init__(self, bare: bool = False) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.bare, self.tokens, self.places, self.head = (
            bare,
            nn.Embedding(40, 8),
            nn.Embedding(16, 8),
            nn.Linear(8, 40),
        )

    def forward(self, input_ids: torch.Tensor, **_: torch.Tensor) -> torch.Tensor:
        places = torch.arange(input_ids.shape[1])
        return self.head(self.tokens(input_ids) + self.places(places if self.bare else places[None]))


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("bare", [False, True])
def test_positions_that_are_looked_up_once_are_expanded_to_the_batch(mode, bare):
    units = np.array([0, 1, 1, 2, 0])
    assert errors(Positions(bare).train(), rows("decoder", 5), mode, units) < 1e-5
    # bare positions are known by a batch that is not as long as its rows, such as that of the check before training
    net, batch = Positions(bare).train(), rows("decoder", 7)
    check(net, row_losses, batch, mode, gradients := gradients_of(net, mode))
    gradients.backward(lambda: row_losses(net, batch), Layout.of(np.arange(7)))
    for row, one in enumerate(truth(net, batch, np.arange(7))):
        found = dict(gradients.weighted(dict.fromkeys(one, torch.eye(7)[row])))
        assert all(torch.allclose(found[p], t, atol=1e-6) for p, t in one.items())


class Constant(nn.Embedding):
    """Scales by a buffer, as Gemma does; `counts`: changes it, as a moving average would."""

    def __init__(self, counts: bool = False) -> None:
        super().__init__(40, 8)
        self.counts = counts
        self.register_buffer("scale", torch.tensor(3.0), persistent=False)

    def forward(self, input: torch.Tensor) -> torch.Tensor:
        if self.counts:
            self.scale.add_(1.0)
        return super().forward(input) * self.scale


@pytest.mark.parametrize("mode", MODES)
def test_a_constant_buffer_is_allowed_and_one_that_changes_is_refused(mode):
    net = Positions().train()
    net.tokens = Constant()
    assert errors(net, rows("decoder", 5), mode, np.array([0, 1, 1, 2, 0])) < 1e-5
    assert [name for name, _ in net.named_buffers()] == ["tokens.scale"]
    assert "tokens.scale" not in net.state_dict()
    net.tokens = Constant(counts=True)
    with pytest.raises(PrivacyError, match=r"Constant\.scale: this buffer beside the weights changed"):
        errors(net, rows("decoder", 5), mode, np.arange(5))


@pytest.mark.parametrize("mode", MODES)
def test_layer_norms_without_a_bias(mode):
    torch.manual_seed(0)
    net = Positions().train()
    net.head = nn.Sequential(nn.LayerNorm(8, bias=False), nn.Linear(8, 40))
    assert errors(net, rows("decoder", 5), mode, np.array([0, 1, 1, 2, 0])) < 1e-5


class Named(Positions):
    """Gives a layer with weights of its own a named argument."""

    def forward(self, input_ids: torch.Tensor, **_: torch.Tensor) -> torch.Tensor:
        return self.head(input=self.tokens(input_ids))


class Some(Positions):
    """Sends some rows through a layer, as experts do."""

    def forward(self, input_ids: torch.Tensor, **_: torch.Tensor) -> torch.Tensor:
        return self.head(self.tokens(input_ids[1:])).repeat(2, 1, 1)[: len(input_ids)]


def test_layers_that_cannot_be_told_apart_are_refused():
    batch = rows("decoder", 4)
    odd = {Named: "head: Linear has weights of its own, and takes named", Some: "tokens: saw 3 rows in a batch of 4"}
    for kind, reason in odd.items():
        for mode in MODES:
            net = kind().train()
            with pytest.raises(PrivacyError, match=reason):
                gradients_of(net, mode).backward(lambda net=net: row_losses(net, batch), Layout.of(np.arange(4)))
    with pytest.raises(PrivacyError, match="gradient checkpointing"):
        net = Positions()
        net.gradient_checkpointing = True
        gradients_of(net)
    with pytest.raises(PrivacyError, match="has hooks of Opacus already"):
        gradients_of(net := Positions())
        gradients_of(net)
    with pytest.raises(PrivacyError, match="normalises over the batch"):
        gradients_of(nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2)))
    with pytest.raises(PrivacyError, match="DPMultiheadAttention computes another function"):
        gradients_of(nn.TransformerEncoderLayer(8, 2))
    with pytest.raises(PrivacyError, match="evaluation mode"):
        net = model("decoder").eval()
        gradients_of(net).backward(lambda: row_losses(net, batch), Layout.of(np.arange(4)))
    with pytest.raises(PrivacyError, match="not one value for each of 4 rows"):
        net = model("decoder")
        gradients_of(net).backward(lambda: row_losses(net, batch).mean(), Layout.of(np.arange(4)))
    with pytest.raises(PrivacyError, match="no parameter"):
        gradients_of(nn.Linear(2, 2).requires_grad_(False))
    tied = nn.Sequential(nn.Linear(3, 3, bias=False), nn.Linear(3, 3, bias=False))
    tied[1].weight = tied[0].weight
    with pytest.raises(PrivacyError, match="ghost clipping cannot add"):
        gradients_of(tied, "ghost")


@pytest.mark.parametrize("mode", ["hooks", "fast"])
def test_weights_shared_by_two_layers_are_exact_where_they_are_allowed(mode):
    torch.manual_seed(1)
    net = nn.Sequential(nn.Linear(3, 3, bias=False), nn.Tanh(), nn.Linear(3, 3, bias=False)).train()
    net[2].weight = net[0].weight
    x = torch.randn(3, 3)
    gradients = gradients_of(net, mode)
    gradients.backward(lambda: net(x).sum(1), Layout.of(np.arange(3)))
    (net(x[1:2]).sum()).backward()
    found = dict(gradients.weighted({net[0].weight: torch.tensor([0.0, 1.0, 0.0])}))
    assert torch.allclose(found[net[0].weight], net[0].weight.grad, atol=1e-6)
