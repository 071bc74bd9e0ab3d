"""Generation: what a record gets depends on its own key and prompt only."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from corpusmill.training import commands
from corpusmill.training.finetune.soft_prompt import SoftPrompt
from corpusmill.training.loop import train
from corpusmill.training.model import Transformer
from corpusmill.training.serving.generate import choose, generate
from corpusmill.training.settings import ModelSettings
from corpusmill.transforms.errors import RecipeError
from corpusmill.transforms.hashing import mix64_array


def model(kind: str = "decoder") -> Transformer:
    made = Transformer(ModelSettings(kind=kind, layers=2, width=16, heads=2, vocabulary=50), seed=1)
    for parameter in made.parameters():
        if parameter.dim() > 1:
            torch.nn.init.normal_(parameter, std=0.3, generator=torch.Generator().manual_seed(parameter.numel()))
    return made.eval()


PROMPTS = [np.arange(1, 1 + n) for n in (3, 1, 8, 5, 2, 7, 4, 6)]


@pytest.mark.parametrize("kind", ["decoder", "encoder-decoder"])
def test_neighbours_do_not_matter(kind: str) -> None:
    keys = mix64_array(np.arange(8, dtype=np.uint64))
    options = {"max_tokens": 12, "ends": [0], "temperature": 1.0, "top_k": 20, "top_p": 0.95}
    together = generate(model(kind), PROMPTS, keys=keys, **options)
    alone = [generate(model(kind), [p], keys=k[None], **options)[0] for p, k in zip(PROMPTS, keys)]
    assert all(np.array_equal(a, b) for a, b in zip(together, alone))
    order = np.array([5, 2, 7, 0])
    some = generate(model(kind), [PROMPTS[i] for i in order], keys=keys[order], **options)
    assert all(np.array_equal(some[j], together[i]) for j, i in enumerate(order))
    assert len({tuple(row) for row in together}) == 8
    other = generate(model(kind), PROMPTS, keys=keys + np.uint64(1), **options)
    assert not all(np.array_equal(a, b) for a, b in zip(together, other))


def test_greedy_equals_the_model_step_by_step() -> None:
    """The cache changes nothing; neither does a soft prompt's place."""
    network = model()
    for wrapped in (network, SoftPrompt(network, 3, seed=2)):
        for prompt, got in zip(PROMPTS, generate(wrapped, PROMPTS, 6, ends=[0])):
            ids = prompt.tolist()
            with torch.no_grad():
                for _ in range(6):
                    ids.append(int(wrapped(torch.tensor([ids]))[0, -1].argmax()))
            new = ids[len(prompt) :]
            assert got.tolist() == (new[: new.index(0)] if 0 in new else new)


def test_choose() -> None:
    """Probabilities 0.5, 0.3, 0.2 in the order of ids 2, 0, 1."""
    logits = torch.tensor([[0.3, 0.2, 0.5]], dtype=torch.float64).log()

    def drawn(u: float, **options: float) -> int:
        values = {"temperature": 1.0, "top_k": 0, "top_p": 1.0} | options
        return int(choose(logits.clone(), np.array([u]), **values))

    assert [drawn(u) for u in (0.0, 0.49, 0.51, 0.79, 0.81, 0.999)] == [2, 2, 0, 0, 1, 1]
    assert [drawn(u, top_k=2) for u in (0.62, 0.63)] == [2, 0]
    assert {drawn(u, top_k=1) for u in (0.0, 0.9)} == {2}
    assert {drawn(u, top_p=0.5) for u in (0.0, 0.999)} == {2}
    assert {drawn(u, top_p=0.51) for u in (0.0, 0.999)} == {2, 0}
    assert drawn(0.99, temperature=0.0) == 2
    draws = (np.arange(1000) + 0.5) / 1000
    many = choose(logits.expand(1000, -1).clone(), draws, 1.0, 0, 1.0)
    assert torch.bincount(many).tolist() == [300, 200, 500]


def test_an_encoder_writes_nothing() -> None:
    with pytest.raises(RecipeError, match="an encoder or classifier writes none"):
        generate(model("encoder"), PROMPTS, 3, ends=[0])


def test_command(make) -> None:
    settings = make(steps=30)
    train(settings)
    prompts = ["the red", "数据", "", "a blue hill and"]
    first = commands.generate(settings.output, prompts, max_tokens=8)
    assert first == commands.generate(settings.output, prompts, max_tokens=8)
    assert commands.generate(settings.output, prompts[2:], max_tokens=8) == first[2:]
    assert list(commands.chat(settings.output, ["the red\n"], max_tokens=4, temperature=0.0))
