"""A private step: bounded, noisy, the same for any number of processes; what would break it is refused."""

import math
import os

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from corpusmill.privacy.accounting import epsilon
from corpusmill.privacy.check import check
from corpusmill.privacy.dp_settings import DpSettings
from corpusmill.privacy.ledger import Ledger
from corpusmill.privacy.secret import Secret
from corpusmill.privacy.sgd import Private
from corpusmill.privacy.units import Units
from corpusmill.transforms.errors import BudgetError, PrivacyError
from tests.privacy.models import KINDS, model, row_losses, rows, take

KEY = bytes(range(32))
MODES = ("hooks", "fast", "ghost")


def plan(**more: object) -> DpSettings:
    return DpSettings(**{"steps": 10, "rate": 0.5, "sigma": 0.0, "units": 8, "micro_rows": 4, **more})


def private(net: nn.Module, units: Units, of: DpSettings, batch: dict[str, torch.Tensor], **more: object) -> Private:
    made = Private(net, of, units, Secret(KEY), **more)
    made.check(row_losses, take(batch, slice(0, 2)))
    return made


def run_step(made: Private, net: nn.Module, batch: dict[str, torch.Tensor], step: int = 0) -> dict[str, torch.Tensor]:
    for some in made.begin(step):
        made.add(lambda some=some: row_losses(net, take(batch, torch.from_numpy(some))), some)
    made.finish()
    return {n: p.grad.clone() for n, p in made.parameters.items()}


def norm(gradients: dict[str, torch.Tensor]) -> float:
    return math.sqrt(sum(float(g.square().sum()) for g in gradients.values()))


@pytest.mark.parametrize("mode", MODES)
def test_one_step_is_what_the_formula_says(mode):
    net, batch = model("decoder"), rows("decoder", 9)
    units = Units(np.array([0, 1, 2, 3, 4, 5, 6, 7, 7]))
    made = private(net, units, plan(mode=mode, clip=0.7, max_rows=2), batch)
    joined = made.secret.sampled(0, 8, 0.5)
    assert 1 < len(joined) < 8
    wanted = {n: torch.zeros_like(p) for n, p in net.named_parameters()}
    for u in joined:
        net.zero_grad()
        row_losses(net, take(batch, torch.from_numpy(units.rows(np.array([u]))))).mean().backward()
        one = {n: p.grad.clone() for n, p in net.named_parameters()}
        factor = min(1.0, 0.7 / norm(one))
        for n, g in one.items():
            wanted[n] += factor * g / (0.5 * 8)
    found = run_step(made, net, batch)
    assert norm({n: found[n] - wanted[n] for n in found}) < 2e-5 * norm(wanted)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("clipping", ["fixed", "per-layer"])
def test_one_unit_moves_the_sum_by_at_most_the_clipping_norm(kind, clipping):
    """Over random batches, with a unit of 16 rows and one long document among short ones."""
    net = model(kind)
    clip = 0.05
    batches = 40 if os.environ.get("FAULTS") == "long" else 17  # times kinds and clippings: more than 200
    for seed in range(batches):
        batch = rows(kind, 20, length=12, seed=seed)
        if "segment_ids" in batch:
            batch["segment_ids"][1:] = (torch.arange(12) < 3).long()
            batch["segment_ids"][0] = 1
        number = np.array([0, *[1] * 16, 2, 3, 4])
        # all units join at rate 1; taking unit `out` away leaves the others' rows, with their numbers moved up
        mode = MODES[seed % 3]
        of = plan(rate=1.0, units=1, clip=clip, mode=mode, clipping=clipping, max_rows=16, micro_rows=64)
        whole = private(net, Units(number), of, batch)
        all_of = run_step(whole, net, batch)
        whole.close()
        out = seed % 5
        keep = np.flatnonzero(number != out)
        rest = private(
            net, Units(np.unique(number[keep], return_inverse=True)[1]), of, take(batch, torch.from_numpy(keep))
        )
        others = run_step(rest, net, take(batch, torch.from_numpy(keep)))
        rest.close()
        assert norm({n: all_of[n] - others[n] for n in others}) <= clip * (1 + 1e-5)


def test_noise_has_its_deviation_and_is_divided_by_a_public_constant():
    net, batch = model("decoder", width=32), rows("decoder", 8)
    found = []
    for sigma in (0.0, 2.0):
        made = private(net, Units(np.arange(8)), plan(sigma=sigma, clip=0.5), batch)
        found.append(run_step(made, net, batch))
        made.close()
    quiet, loud = found
    noise = torch.cat([(loud[n] - g).flatten() for n, g in quiet.items()])
    assert float(noise.std()) == pytest.approx(2.0 * 0.5 / (0.5 * 8), rel=0.02)


def test_an_empty_batch_still_adds_noise_and_counts():
    net, batch = model("decoder"), rows("decoder", 8)
    made = private(net, Units(np.arange(8)), plan(rate=1e-9, sigma=1.0), batch)
    assert made.begin(0) == []
    made.finish()
    assert made.step == 1
    assert all(float(p.grad.norm()) > 0 for p in made.parameters.values())


@pytest.mark.parametrize("world", [2, 4])
def test_any_number_of_processes_takes_the_same_units(world):
    net, batch = model("decoder"), rows("decoder", 64)
    units = Units(np.arange(64))
    for step in range(3):
        shares = []
        for rank in range(world):
            made = Private(net, plan(units=64), units, Secret(KEY), rank=rank, world=world)
            made._checked, made.step = True, step
            shares += [units.number[r] for r in made.begin(step)]
            made.close()
        assert sorted(np.concatenate(shares).tolist()) == Secret(KEY).sampled(step, 64, 0.5).tolist()
    assert batch


def test_physical_batches_change_nothing():
    net, batch = model("decoder"), rows("decoder", 16)
    found = []
    for micro in (1, 5, 64):
        made = private(net, Units(np.arange(16) // 2), plan(micro_rows=micro, max_rows=2, sigma=1.0), batch)
        found.append(run_step(made, net, batch))
        made.close()
    for other in found[1:]:
        assert norm({n: other[n] - found[0][n] for n in other}) < 1e-5 * norm(found[0])


def test_a_gradient_that_is_no_number_gives_nothing():
    net, batch = (
        nn.Linear(3, 1).train(),
        {"x": torch.tensor([[1.0, 2, 3], [math.inf, 0, 0], [2, 1, 0], [math.nan, 1, 1]])},
    )

    def loss(net: nn.Module, batch: dict[str, torch.Tensor]) -> torch.Tensor:
        return net(batch["x"]).squeeze(1) ** 2

    for mode in MODES:
        made = Private(net, plan(rate=1.0, units=4, mode=mode), Units(np.arange(4)), Secret(KEY))
        made.check(loss, {"x": batch["x"][[0, 2]]})
        (some,) = made.begin(0)
        made.add(lambda: loss(net, batch), some)
        made.finish()
        assert all(torch.isfinite(p.grad).all() for p in net.parameters())
        made.close()


def test_adaptive_clipping_follows_the_quantile_and_costs_nothing_more():
    net, batch = model("decoder"), rows("decoder", 32)
    of = plan(units=32, rate=1.0, clipping="adaptive", clip=100.0, steps=60, micro_rows=32)
    made = private(net, Units(np.arange(32)), of, batch)
    for step in range(60):
        run_step(made, net, batch, step)
    sizes = []
    for i in range(32):
        net.zero_grad()
        row_losses(net, take(batch, slice(i, i + 1))).sum().backward()
        sizes.append(norm({n: p.grad for n, p in net.named_parameters()}))
    assert made.clip == pytest.approx(float(np.median(sizes)), rel=0.15)
    noisy = plan(sigma=1.0, clipping="adaptive", units=1000)
    assert noisy.gradient_sigma > 1.0
    assert noisy.gradient_sigma**-2 + (2 * noisy.counting) ** -2 == pytest.approx(1.0)
    assert noisy.event().sigma == 1.0
    with pytest.raises(ValueError, match="count_sigma"):
        plan(sigma=3.0, clipping="adaptive", count_sigma=1.0)


def test_the_accountant_gets_the_rate_that_is_sampled(tmp_path):
    """Of 93 batches a loader may say 92: here nothing is counted, the rate is what was asked."""
    of = plan(rate=1 / 93, sigma=1.0, steps=93, units=93 * 7)
    assert of.event().rate == 1 / 93
    other = plan(rate=1 / 92, sigma=1.0, steps=93).event()
    assert epsilon([of.event()], 1e-5) < epsilon([other], 1e-5)
    ledger = Ledger.create(tmp_path, "p", "document", 5.0, 1e-3)
    secret = Secret(KEY)
    spend = ledger.reserve(secret.name, other, "another rate than is sampled", "document")
    with pytest.raises(PrivacyError, match=r"reserved .*rate 0\.0108696.*the run would spend .*rate 0\.0107527"):
        Private(model("decoder"), of, Units(np.arange(8)), secret, spend)


# what goes silently wrong elsewhere


def test_batch_mean_losses_are_refused():
    batch = rows("decoder", 4)

    def over_tokens(net: nn.Module, batch: dict[str, torch.Tensor]) -> torch.Tensor:
        logits = net(batch["input_ids"])
        losses = functional.cross_entropy(
            logits.flatten(0, 1), batch["labels"].flatten(), reduction="none", ignore_index=-100
        )
        return losses.view(batch["labels"].shape).sum(1) / (batch["labels"] != -100).sum()

    with pytest.raises(PrivacyError, match=r"alone and .* among others"):
        check(model("decoder"), over_tokens, batch)
    with pytest.raises(PrivacyError, match=r"shape \(\), not \(1,\)"):
        check(model("decoder"), lambda n, b: row_losses(n, b).mean(), batch)


class Tied(nn.Module):
    """Output weights tied to the embedding through `F.linear`."""

    def __init__(self, body: bool = True) -> None:
        super().__init__()
        self.embedding, self.body = nn.Embedding(40, 8), nn.Linear(8, 8)
        self.body.requires_grad_(body)

    def forward(self, input_ids: torch.Tensor, **_: torch.Tensor) -> torch.Tensor:
        return functional.linear(torch.tanh(self.body(self.embedding(input_ids))), self.embedding.weight)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("body", [True, False])
def test_tied_weights_are_refused(mode, body):
    torch.manual_seed(0)
    with pytest.raises(PrivacyError, match=r"embedding.weight: its per-sample gradient is off by"):
        check(Tied(body).train(), row_losses, rows("decoder", 2), mode)
    tied = model("decoder")
    tied.head.weight = tied.embedding.weight
    assert check(tied, row_losses, rows("decoder", 2), "hooks") < 1e-4  # two layers that share: exact in hooks
    with pytest.raises(PrivacyError, match="tie: false"):
        check(tied, row_losses, rows("decoder", 2), "ghost")


def test_the_check_passes_what_is_right_and_leaves_no_trace():
    net, batch = model("decoder", dropout=0.3), rows("decoder", 3)
    for kind in KINDS:
        assert check(model(kind), row_losses, rows(kind, 3, length=2 if kind == "decoder" else 7), "ghost") < 1e-4
    before = torch.get_rng_state()
    assert check(net, row_losses, batch) < 1e-4
    assert torch.equal(torch.get_rng_state(), before)
    assert net.training
    assert net.decoder.blocks[0].dropout.p == 0.3
    assert all(p.grad is None for p in net.parameters())
    with pytest.raises(PrivacyError, match="two rows that differ"):
        check(net, row_losses, take(batch, torch.tensor([0, 0])))


def test_training_without_the_check_is_refused():
    net = model("decoder")
    made = Private(net, plan(), Units(np.arange(8)), Secret(KEY))
    with pytest.raises(PrivacyError, match="were not checked"):
        made.begin(0)


def test_rows_that_were_not_drawn_are_refused():
    """Shuffled batches, a second backward pass, gradient accumulation outside of the step, and half a unit."""
    net, batch = model("decoder"), rows("decoder", 16)
    units = Units(np.arange(16) // 2)
    made = private(net, units, plan(max_rows=2), batch)
    joined = made.secret.sampled(0, 8, 0.5)
    away = np.setdiff1d(np.arange(8), joined)

    def add(some: np.ndarray) -> None:
        made.add(lambda: row_losses(net, take(batch, torch.from_numpy(some))), some)

    with pytest.raises(PrivacyError, match="no step is open"):
        add(units.rows(joined))
    first, *later = made.begin(0)
    with pytest.raises(PrivacyError, match="were not drawn"):
        add(units.rows(away[:1]))
    with pytest.raises(PrivacyError, match="without all its rows"):
        add(first[:1])
    with pytest.raises(PrivacyError, match="one twice"):
        add(np.concatenate([first, first[:1]]))
    add(first)
    with pytest.raises(PrivacyError, match="added to it before"):
        add(first)
    with pytest.raises(PrivacyError, match="is open"):
        made.begin(1)
    if later:
        with pytest.raises(PrivacyError, match="were not added"):
            made.finish()
    for some in later:
        add(some)
    made.finish()
    with pytest.raises(PrivacyError, match="step 0 was asked where step 1 is next"):
        made.begin(0)  # the position of the data was reset
    with pytest.raises(PrivacyError, match="comes first"):
        made.finish()


def test_units_larger_than_planned_and_wrapped_models_are_refused():
    with pytest.raises(PrivacyError, match="bound-units"):
        Private(model("decoder"), plan(), Units(np.zeros(3, np.int64)), Secret(KEY))


def test_a_resumed_run_goes_on_bit_for_bit():
    batch, units = rows("decoder", 8), Units(np.arange(8))

    def train(stop: int | None) -> torch.Tensor:
        net = model("decoder")
        made = private(net, units, plan(sigma=1.0, clipping="adaptive"), batch)
        state, weights = None, None
        for step in range(6):
            if step == stop:
                state, weights = made.state(), {n: p.clone() for n, p in net.state_dict().items()}
                net = model("decoder")
                net.load_state_dict(weights)
                made = private(net, units, plan(sigma=1.0, clipping="adaptive"), batch)
                made.restore(state)
            run_step(made, net, batch, step)
            with torch.no_grad():
                for p in net.parameters():
                    p -= 0.1 * p.grad
        return torch.cat([p.detach().flatten() for p in net.parameters()])

    assert torch.equal(train(None), train(3))


def test_a_resume_that_would_reuse_noise_is_refused():
    net, batch, units = model("decoder"), rows("decoder", 8), Units(np.arange(8))
    made = private(net, units, plan(sigma=1.0), batch, fingerprint="data-1")
    run_step(made, net, batch)
    state = made.state()
    made.close()
    with pytest.raises(PrivacyError, match=r"another fingerprint.*without noise"):
        Private(model("decoder"), plan(sigma=1.0), units, Secret(KEY), fingerprint="data-2").restore(state)
    with pytest.raises(PrivacyError, match="another plan"):
        Private(model("decoder"), plan(sigma=1.0, clip=2.0), units, Secret(KEY), fingerprint="data-1").restore(state)
    with pytest.raises(PrivacyError, match="Give that run's secret"):
        Private(model("decoder"), plan(sigma=1.0), units, Secret(), fingerprint="data-1").restore(state)
    with pytest.raises(PrivacyError, match="no private state"):
        Private(model("decoder"), plan(sigma=1.0), units, Secret(KEY), fingerprint="data-1").restore({"step": 1})
    assert "_key" not in str(state)
    assert KEY.hex() not in str(state)


def test_a_run_keeps_to_what_the_ledger_reserved(tmp_path):
    net, batch, units = model("decoder"), rows("decoder", 8), Units(np.arange(8))
    ledger = Ledger.create(tmp_path, "p", "document", 5.0, 1e-3)
    of = plan(sigma=4.0, steps=3)
    secret = Secret(KEY)
    with pytest.raises(BudgetError):
        ledger.reserve(secret.name, plan(sigma=0.3, steps=3).event(), "too much", "document")
    spend = ledger.reserve(secret.name, of.event(), "test", "document")
    with pytest.raises(PrivacyError, match="must be the same"):
        Private(net, plan(sigma=3.0, steps=3), units, secret, spend)
    made = private(net, units, of, batch, spend=spend)
    for step in range(2):
        run_step(made, net, batch, step)
    made.close()
    assert ledger.events() == [of.event().times(2)]
    with pytest.raises(PrivacyError, match="closed"):
        made.begin(2)
    over = private(net, units, of, batch)
    over.step = 3
    with pytest.raises(PrivacyError, match="not reserved"):
        over.begin(3)


class _ReadOutside(nn.Module):
    """An adapter whose first factor is used outside of its layer; the second is 0 at first, which hides it."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(11, 8).requires_grad_(False)
        self.down, self.up = nn.Linear(8, 4, bias=False), nn.Linear(4, 8, bias=False)
        self.head = nn.Linear(8, 11).requires_grad_(False)
        nn.init.zeros_(self.up.weight)

    def forward(self, input_ids: torch.Tensor) -> torch.Tensor:
        x = self.embedding(input_ids)
        return self.head(x + self.up(nn.functional.linear(x, self.down.weight)))


class _Statistic(nn.Module):
    """A gated adapter that subtracts a mean over the batch; its gate is 0 at first."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(11, 8).requires_grad_(False)
        self.down, self.up, self.gate = nn.Linear(8, 8), nn.Linear(8, 8), nn.Linear(8, 1)
        self.head = nn.Linear(8, 11).requires_grad_(False)
        for p in (*self.up.parameters(), *self.gate.parameters()):
            nn.init.zeros_(p)

    def forward(self, input_ids: torch.Tensor) -> torch.Tensor:
        x = self.embedding(input_ids)
        hidden = self.down(x)
        hidden = torch.tanh(5 * (hidden - hidden.mean((0, 1), keepdim=True)))
        return self.head(x + self.gate(x) * self.up(hidden))


def _plain_losses(net: nn.Module, batch: dict[str, torch.Tensor]) -> torch.Tensor:
    logits = net(batch["input_ids"])
    return nn.functional.cross_entropy(logits.transpose(1, 2), batch["labels"], reduction="none").mean(1)


@pytest.mark.parametrize("kind", [_ReadOutside, _Statistic])
def test_the_check_sees_what_weights_of_zero_hide(kind):
    torch.manual_seed(0)
    net = kind().train()
    batch = {
        "input_ids": torch.tensor([[1, 2, 3, 4, 5], [6, 7, 8, 9, 10]]),
        "labels": torch.tensor([[2, 3, 4, 5, 6]] * 2),
    }
    before = {name: p.clone() for name, p in net.named_parameters()}
    with pytest.raises(PrivacyError, match=r"per-sample gradient is off|among others"):
        check(net, _plain_losses, batch)
    assert all(torch.equal(p, before[name]) for name, p in net.named_parameters())  # moved and put back


def test_weights_that_are_not_float32_are_refused():
    net = model("decoder").bfloat16()
    with pytest.raises(PrivacyError, match=r"is bfloat16.*model\.float\(\)"):
        Private(net, plan(), Units(np.arange(8)), Secret(KEY))
