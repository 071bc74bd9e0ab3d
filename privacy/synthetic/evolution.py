"""Private evolution of texts: a public model writes candidates, private documents vote, and the best are varied (AUG-PE).

    round 0       the model writes (1 + variations) * keep texts for each seed
    each round    private documents vote, with noise; for each seed the `keep` texts with the most votes stay
                  and, but for the last round, the model writes `variations` of each, which are the candidates of the next round

Nothing but the votes looks at private text, so the whole costs as many Gaussian sums as rounds, however many texts are written (Xie
et al. 2024, "Differentially private synthetic data via foundation model APIs 2: text", arXiv 2403.01749, algorithm 1 with selection
by rank).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from corpusmill.privacy.accounting import Event
from corpusmill.privacy.secret import Secret
from corpusmill.privacy.synthetic.votes import Voters, noisy, tally
from corpusmill.transforms.errors import PrivacyError

Write = Callable[[Sequence[int], Sequence[str], np.ndarray], list[str]]
"""(seed of each text, text to vary or "" for a new one, keys uint64 of the draws) to as many texts."""


@dataclass(frozen=True)
class Evolution:
    """keep: texts of each seed; variations: of each that stays; rounds: of votes; sigma: noise of a round's votes."""

    keep: int
    variations: int
    rounds: int
    sigma: float

    def event(self) -> Event:
        """What the whole costs."""
        return Event(kind="gaussian", sigma=self.sigma, count=self.rounds)


def evolve(
    plan: Evolution,
    seeds: np.ndarray,
    write: Write,
    embed: Callable[[Sequence[str]], np.ndarray],
    voters: Voters,
    secret: Secret,
    key: int = 0,
) -> tuple[list[str], np.ndarray]:
    """(texts, the seed of each): `keep` a seed, best first, fewer where the model wrote the same text again.

    Args:
        seeds: int64 [s], the label of each seed; voters vote among candidates of their label.
        embed: vectors of texts [n, d], made without private text, as those of `voters`.
        key: of the public draws.

    Raises:
        PrivacyError: sizes below 1, or no noise.
    """
    if min(plan.keep, plan.rounds) < 1 or plan.variations < 0 or plan.sigma <= 0 or not len(seeds):
        raise PrivacyError("private evolution needs seeds, texts, rounds and noise above 0.")
    whose = np.repeat(np.arange(len(seeds)), plan.keep * (1 + plan.variations))
    texts = write(whose.tolist(), [""] * len(whose), _keys(key, 0, len(whose)))
    for round_ in range(plan.rounds):
        texts, whose = _distinct(texts, whose)
        votes = noisy(tally(voters, embed(texts), seeds[whose]), plan.sigma, secret, round_)
        order = np.lexsort((-votes, whose))  # by seed, most votes first
        first = np.searchsorted(whose[order], np.arange(len(seeds)))
        best = order[np.arange(len(order)) - first[whose[order]] < plan.keep]
        texts, whose = [texts[i] for i in best], whose[best]
        if round_ + 1 < plan.rounds and plan.variations:
            old, of = texts * plan.variations, np.tile(whose, plan.variations)
            texts = texts + write(of.tolist(), old, _keys(key, round_ + 1, len(old)))
            whose = np.concatenate([whose, of])
    return texts, whose


def _distinct(texts: list[str], whose: np.ndarray) -> tuple[list[str], np.ndarray]:
    """Each text of a seed once, without blank ones: equal candidates would share votes. At least one text stays."""
    seen: set[tuple[int, str]] = set()
    kept = []
    for i, (text, seed) in enumerate(zip(texts, whose.tolist(), strict=True)):
        name = seed, " ".join(text.split())
        if name[1] and name not in seen:
            seen.add(name)
            kept.append(i)
    if not kept:
        raise PrivacyError("the model wrote blank texts alone. Try its prompt with `generate` first.")
    return [texts[i] for i in kept], whose[kept]


def _keys(key: int, round_: int, count: int) -> np.ndarray:
    from corpusmill.transforms.random import draw_array

    return draw_array(np.arange(count, dtype=np.uint64) ^ np.uint64(key), round_)
