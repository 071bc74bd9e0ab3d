"""Private votes: what one unit moves, noise, and who votes for what."""

import numpy as np
import pytest

from corpusmill.privacy.accounting import Event
from corpusmill.privacy.secret import Secret
from corpusmill.privacy.synthetic.evolution import Evolution, evolve
from corpusmill.privacy.synthetic.votes import Voters, noisy, tally
from corpusmill.privacy.units import Units
from corpusmill.transforms.errors import PrivacyError


def test_a_unit_moves_the_votes_by_one_at_most_however_many_rows_it_has():
    rng = np.random.default_rng(0)
    vectors, labels = rng.integers(-100, 100, (60, 8)).astype(np.int8), rng.integers(-1, 3, 60)
    number = np.concatenate([np.arange(20), np.full(20, 20), np.repeat([21, 22], 10)])
    candidates, of = rng.integers(-100, 100, (15, 8)), rng.integers(0, 3, 15)
    whole = tally(Voters(vectors, labels, Units(number)), candidates, of)
    for unit in range(23):
        keep = number != unit
        rest = Units(np.unique(number[keep], return_inverse=True)[1])
        assert np.linalg.norm(whole - tally(Voters(vectors[keep], labels[keep], rest), candidates, of)) <= 1 + 1e-9


def test_rows_vote_for_the_nearest_text_of_their_label():
    vectors = np.array([[1, 0], [0, 1], [1, 0], [0, 0]])
    voters = Voters(vectors, np.array([0, 0, 1, 0]), Units(np.arange(4)))
    votes = tally(voters, np.array([[5, 1], [1, 9], [0, 3]]), np.array([0, 0, 1]))
    assert votes.tolist() == [1, 1, 1]  # a text without words does not vote


def test_noise_is_of_its_round():
    secret = Secret(bytes(range(32)))
    draws = np.stack([noisy(np.zeros(4000), 2.5, secret, r) for r in range(3)])
    assert draws.std() == pytest.approx(2.5, rel=0.03)
    assert np.abs(np.corrcoef(draws)[np.triu_indices(3, 1)]).max() < 0.06
    assert np.array_equal(draws[1], noisy(np.zeros(4000), 2.5, secret, 1))


def test_evolution_costs_its_rounds_and_looks_at_private_rows_through_votes_alone():
    plan = Evolution(keep=2, variations=1, rounds=3, sigma=4.0)
    assert plan.event() == Event(kind="gaussian", sigma=4.0, count=3)
    asked = []

    def write(whose, texts, keys):
        asked.append((list(whose), list(texts)))
        return [f"{seed} {key % 97}" for seed, key in zip(whose, keys.tolist(), strict=True)]

    def embed(texts):
        return np.array([[int(t.split()[1]) + 1, 50] for t in texts])

    voters = Voters(np.full((500, 2), 50), np.zeros(500, np.int64), Units(np.arange(500)))
    texts, whose = evolve(plan, np.array([0, 0]), write, embed, voters, Secret(bytes(range(32))))
    assert whose.tolist() == [0, 0, 1, 1]
    assert len(set(zip(texts, whose.tolist(), strict=True))) == 4
    assert asked[0] == ([0] * 4 + [1] * 4, [""] * 8)
    assert len(asked) == 3
    with pytest.raises(PrivacyError):
        evolve(Evolution(1, 1, 1, 0.0), np.array([0]), write, embed, voters, Secret(bytes(32)))
