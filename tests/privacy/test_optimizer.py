"""The sums of a step are Opacus' own: its GradSampleModule and DPOptimizer, on every kind of model and in every mode."""

import numpy as np
import pytest
import torch
from opacus.grad_sample import GradSampleModule
from opacus.optimizers import DPOptimizer, DPPerLayerOptimizer

from corpusmill.privacy.dp_settings import DpSettings
from corpusmill.privacy.secret import Secret
from corpusmill.privacy.sgd import Private
from corpusmill.privacy.units import Units
from tests.privacy.models import KINDS, model, row_losses, rows

CLIP = 0.3


def ours(kind, mode, clipping="fixed", sigma=0.0):
    net, batch = model(kind), rows(kind, 6)
    settings = DpSettings(steps=1, rate=1.0, sigma=sigma, units=6, clip=CLIP, mode=mode, clipping=clipping)
    private = Private(net, settings, Units(np.arange(6)), Secret(bytes(32)))
    private.check(row_losses, {name: column[:2] for name, column in batch.items()})
    for some in private.begin(0):
        private.add(lambda: row_losses(net, batch), some)
    private.finish()
    private.close()
    return {name: p.grad for name, p in private.parameters.items()}


def opacus(kind, per_layer=False):
    """One step of bare Opacus, without noise."""
    net, batch = model(kind), rows(kind, 6)
    wrapped = GradSampleModule(net, loss_reduction="sum", strict=False)
    parameters = [p for p in net.parameters() if p.requires_grad]
    norm = [CLIP / len(parameters) ** 0.5] * len(parameters) if per_layer else CLIP
    made = (DPPerLayerOptimizer if per_layer else DPOptimizer)(
        torch.optim.SGD(parameters), noise_multiplier=0.0, max_grad_norm=norm, expected_batch_size=6
    )
    row_losses(net, batch).sum().backward()
    made.pre_step()
    wrapped.remove_hooks()
    return {name: p.grad for name, p in net.named_parameters() if p.requires_grad}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("clipping", ["fixed", "per-layer"])
def test_every_mode_gives_the_sums_of_bare_opacus(kind, clipping):
    wanted = opacus(kind, clipping == "per-layer")
    size = max(float(g.abs().max()) for g in wanted.values())
    for mode in ("hooks", "fast", "ghost"):
        found = ours(kind, mode, clipping)
        worst = max(float((found[name] - g).abs().max()) for name, g in wanted.items()) / size
        # Opacus divides by the norm + 1e-6, our modes by the norm
        assert worst <= (3e-7 if mode == "hooks" else 2e-4), (mode, worst)


def test_noise_comes_from_the_secret_and_is_the_same_in_every_mode():
    quiet, loud = ({mode: ours("lora", mode, sigma=s) for mode in ("hooks", "ghost")} for s in (0.0, 1.5))
    for name in quiet["hooks"]:
        noise = {mode: loud[mode][name] - quiet[mode][name] for mode in loud}
        assert torch.allclose(noise["hooks"], noise["ghost"], atol=1e-6)
    noise = torch.cat([(loud["hooks"][name] - g).flatten() for name, g in quiet["hooks"].items()])
    drawn = torch.cat(
        [
            torch.from_numpy(Secret(bytes(32)).normal(0, g.numel(), part))
            for part, g in enumerate(quiet["hooks"].values())
        ]
    )
    assert torch.allclose(noise.double(), drawn * 1.5 * CLIP / 6, atol=1e-6)
