"""Private training of Hugging Face's families: gradients equal those of one unit at a time, and one unit moves the sum by at most
the clipping norm; or a refusal that says what to do. All of them with FAULTS=long, some otherwise."""

import math
import os

import numpy as np
import pytest
import torch

pytest.importorskip("transformers")
pytest.importorskip("opacus")

from corpusmill.privacy.check import check
from corpusmill.privacy.dp_settings import DpSettings
from corpusmill.privacy.secret import Secret
from corpusmill.privacy.sgd import Private
from corpusmill.privacy.units import Units
from corpusmill.training.build import freeze
from corpusmill.training.finetune import lora
from corpusmill.transforms.errors import PrivacyError
from tests.privacy.models import row_losses, take
from tests.privacy.zoo import FAMILIES, model, rows

EVERY = os.environ.get("FAULTS") == "long"
SHORT = ("bert-cls", "distilbert-mlm", "modernbert-cls", "gpt2", "llama", "gemma", "opt", "bart", "t5", "mixtral")
CHOSEN = tuple(FAMILIES) if EVERY else SHORT
MODES = ("hooks", "ghost") if EVERY else ("hooks",)
NEVER = ("opt",)
"""Layers see all tokens of all rows as one list, in which rows cannot be told apart: adapters alone."""
UNITS = np.array([0, 1, 1, 2, 1, 0])
CLIP = 0.05


def tied(net: torch.nn.Module) -> bool:
    """Whether two layers that train share a weight, which ghost clipping refuses."""
    own = [p for m in net.modules() for p in m.parameters(recurse=False) if p.requires_grad]
    return len(own) > len(set(own))


def step(net, batch, number, mode):
    settings = DpSettings(steps=1, rate=1.0, sigma=0.0, units=1, clip=CLIP, mode=mode, max_rows=4, micro_rows=64)
    private = Private(net, settings, Units(number), Secret(bytes(32)))
    try:
        private.check(row_losses, take(batch, slice(0, 2)))
        for some in private.begin(0):
            private.add(lambda some=some: row_losses(net, take(batch, torch.from_numpy(some))), some)
        private.finish()
    finally:
        private.close()
    return {name: p.grad for name, p in private.parameters.items()}


def prove(net, family, mode):
    """The check at random weights holds to a thousandth; one unit taken out moves the sum by at most the norm."""
    batch = rows(family, 6)
    assert check(net, row_losses, take(batch, slice(0, 2)), mode) < 1e-3
    for module in net.modules():  # dropout would move all rows
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0
    for module in net.modules():
        for name in {"attention_dropout", "dropout", "activation_dropout"} & vars(module).keys():
            setattr(module, name, 0.0)
    whole = step(net, batch, UNITS, mode)
    keep = np.flatnonzero(UNITS != 1)
    rest = step(net, take(batch, torch.from_numpy(keep)), np.array([0, 1, 0]), mode)
    moved = math.sqrt(sum(float((whole[name] - rest[name]).double().square().sum()) for name in whole))
    assert 0.2 * CLIP < moved <= CLIP * (1 + 1e-5)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("family", CHOSEN)
def test_full_fine_tuning_is_exact_or_refused_with_the_way_out(family, mode):
    *_, frozen = FAMILIES[family]
    net = model(family)
    if frozen or family in NEVER:
        with pytest.raises(PrivacyError, match=r"freeze|tie: false"):
            check(net, row_losses, rows(family, 2), mode)
        if family in NEVER:
            return
        freeze(net := model(family), frozen)
    if mode == "ghost" and tied(net):
        with pytest.raises(PrivacyError, match="tie: false"):
            check(net, row_losses, rows(family, 2), mode)
        return
    prove(net, family, mode)


@pytest.mark.parametrize("family", CHOSEN)
def test_adapters_of_ours_are_exact(family):
    net = lora.adapt(model(family), 2, 4.0, FAMILIES[family][4], seed=1)
    _scatter(net, "up.weight")
    for mode in MODES:
        prove(net, family, mode)


@pytest.mark.parametrize("family", CHOSEN)
def test_adapters_of_peft_are_exact(family):
    peft = pytest.importorskip("peft")
    net = model(family)
    settings = peft.LoraConfig(r=2, lora_alpha=4, target_modules=list(FAMILIES[family][4]), lora_dropout=0.0)
    net.model = peft.get_peft_model(net.model, settings)
    net.train()
    _scatter(net, "lora_B")
    for mode in MODES:
        prove(net, family, mode)


def test_gradient_checkpointing_is_refused():
    net = model("llama")
    net.model.gradient_checkpointing_enable()
    with pytest.raises(PrivacyError, match=r"gradient_checkpointing_disable\(\).*micro_rows"):
        check(net, row_losses, rows("llama", 2))


@torch.no_grad()
def _scatter(net: torch.nn.Module, part: str) -> None:
    """Move the factor that begins at 0, behind which nothing shows."""
    generator = torch.Generator().manual_seed(9)
    for name, p in net.named_parameters():
        if p.requires_grad and part in name:
            p.normal_(0, 0.3, generator=generator)
