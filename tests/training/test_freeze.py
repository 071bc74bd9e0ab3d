"""`tune.freeze`: parameters that stay as they are."""

import pytest
import torch

from corpusmill.training import build
from corpusmill.training.loop import train
from corpusmill.training.model import Transformer
from corpusmill.transforms.errors import RecipeError


def test_frozen_parameters_stay_are_not_saved_and_come_back_with_the_run(make) -> None:
    settings = make(steps=3, **{"tune.freeze": ["embedding", "blocks.0"]})
    train(settings)
    loaded = build.load(settings.output)
    names = set(build.trainable(loaded.model))
    assert names
    assert not any("embedding" in name or ".blocks.0." in name for name in names)
    begun = dict(Transformer(loaded.settings.model, settings.seed).named_parameters())
    for name, p in loaded.model.named_parameters():
        assert torch.equal(p, begun[name]) == (name not in names), name


def test_names_that_fit_nothing_and_runs_without_anything_to_train_are_refused(make) -> None:
    with pytest.raises(
        RecipeError, match=r"no parameter that trains is named embed; parts of their names are .*embedding"
    ):
        train(make(steps=1, **{"tune.freeze": ["embed"]}))
    with pytest.raises(RecipeError, match="nothing is left to train"):
        train(make(steps=1, **{"tune.freeze": ["weight"]}))


def test_runs_that_freeze_nothing_keep_their_digest(make) -> None:
    settings = make(steps=1)
    assert "freeze" not in settings.shaping()["tune"]
    assert make(steps=1, **{"tune.freeze": ["head"]}).digest() != settings.digest()
