"""The audit: published values, what it must never say of a right run, and what it must say of a wrong one."""

import hashlib
import math
import os
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from scipy import stats
from torch import nn

from corpusmill.pipelines.dataset.snapshot import Dataset
from corpusmill.pipelines.recipe.model import load
from corpusmill.pipelines.run import run
from corpusmill.privacy.accounting import sigma_for
from corpusmill.privacy.audit import auc, audit, bound, exposure, min_k, one_run, p_value, tpr_at, two_worlds
from corpusmill.privacy.dp_settings import DpSettings
from corpusmill.privacy.mechanisms.noise import Noise
from corpusmill.privacy.secret import Secret
from corpusmill.privacy.sgd import Private
from corpusmill.privacy.units import Units
from corpusmill.transforms.errors import PrivacyError, RecipeError
from tests.corpora import write_recipe

LONG = os.environ.get("FAULTS") == "long"


def normal_scores(n: int) -> np.ndarray:
    """n numbers that lie like a standard normal sample."""
    return stats.norm.ppf((np.arange(n) + 0.5) / n)


@pytest.mark.parametrize(("shift", "published"), [(1, 1.13346), (2, 2.311945), (4, 4.395568)])
def test_published_one_run_values(shift, published):
    scores = normal_scores(10_000)
    assert one_run(scores + shift, scores, 1e-6, thresholds="hull") == pytest.approx(published, rel=1e-5)


@pytest.mark.parametrize(("shift", "published"), [(1, 2.164749), (2, 4.721807), (4, 9.133752)])
def test_published_f_dp_values(shift, published):
    scores = normal_scores(10_000)
    assert one_run(scores + shift, scores, 1e-6, gaussian=True, thresholds="hull") == pytest.approx(published, rel=1e-5)


@pytest.mark.parametrize("delta", [0.0, 1e-6, 1e-3])
def test_the_p_value_is_the_formula(delta):
    for m, r, v, eps in ((10, 5, 4, 0.5), (100, 100, 80, 1.0), (1000, 10, 0, 0.0)):
        q = math.exp(eps) / (1 + math.exp(eps))
        tail = sum(stats.binom.pmf(j, r, q) for j in range(v, r + 1))
        worst = max((sum(stats.binom.pmf(j, r, q) for j in range(v - i, v)) / i for i in range(1, v + 1)), default=0)
        assert p_value(m, r, v, eps, delta) == pytest.approx(min(1, tail + 2 * m * delta * worst))


def test_guessing_says_nothing_and_knowing_says_much():
    rng = np.random.default_rng(0)
    blind = [one_run(rng.normal(size=200), rng.normal(size=200), 1e-5) for _ in range(40)]
    assert sum(b > 0 for b in blind) <= 2
    sure = one_run(np.arange(200.0) + 1000, np.arange(200.0), 1e-5)
    assert 3.5 < sure < bound(400, 400, 400, 1e-5, 0.05)
    assert one_run(np.ones(50), np.ones(50), 1e-5) == 0.0


def test_figures_of_an_attack():
    scores = normal_scores(2000)
    found = audit(scores + 1.0, scores, 1e-5)
    assert found.auc == pytest.approx(stats.norm.cdf(1 / math.sqrt(2)), abs=2e-3)
    assert found.tpr_at_1_percent == pytest.approx(stats.norm.sf(stats.norm.isf(0.01) - 1), abs=0.01)
    assert 0 < found.epsilon < found.epsilon_gaussian
    assert auc(scores, scores) == pytest.approx(0.5)
    assert tpr_at(np.array([5.0, 6.0]), np.array([1.0, 2.0]), 1.0) == 1.0
    with pytest.raises(PrivacyError, match="at least 2"):
        audit(np.array([1.0]), scores, 1e-5)
    with pytest.raises(PrivacyError, match="number"):
        audit(np.array([1.0, math.nan]), scores, 1e-5)


def test_exposure_and_min_k():
    assert exposure(np.array([1e9]), np.zeros(1023)).tolist() == [10.0]
    assert exposure(np.array([-1e9]), np.zeros(1023)).tolist() == [0.0]
    assert min_k([np.array([]), np.array([-1.0, -3.0])], 1.0).tolist() == [-math.inf, -2.0]


class Bags(nn.Module):
    """Classifies a canary by its own word: what a run learns of it is in that word's vector."""

    def __init__(self, words: int) -> None:
        super().__init__()
        self.words = nn.Embedding(words, 4)
        self.classes = nn.Linear(4, 2, bias=False).requires_grad_(False)
        with torch.no_grad():
            self.words.weight.zero_()
            self.classes.weight.copy_(torch.tensor([[1.0, 0, 0, 0], [-1.0, 0, 0, 0]]))

    def forward(self, word: torch.Tensor) -> torch.Tensor:
        return self.classes(self.words(word))


def loss(net: nn.Module, batch: dict[str, torch.Tensor]) -> torch.Tensor:
    return nn.functional.cross_entropy(net(batch["word"]), batch["word"] % 2, reduction="none")


def train(
    seed: int, canaries: int, sigma: float, clip: float, steps: int, reckless: str = ""
) -> tuple[np.ndarray, np.ndarray]:
    """Scores of members and others after a private run at rate 1; `reckless` breaks it on purpose."""
    members = np.random.default_rng(seed).random(canaries) < 0.5
    inside = np.flatnonzero(members)
    net = Bags(canaries).train()
    noise = {"noise quartered": sigma / 4, "noise off": 0.0}.get(reckless, sigma)
    # with clipping off, noise is still what it was for the norm that was claimed
    kept = {"clipping off": 1e6}.get(reckless, clip)
    plan = DpSettings(
        steps=steps, rate=1.0, sigma=noise * clip / kept, units=canaries, clip=kept, mode="ghost", micro_rows=canaries
    )
    private = Private(net, plan, Units(np.arange(len(inside))), Secret(seed.to_bytes(32, "little")))
    private.check(loss, {"word": torch.tensor([[0], [1]])[:, 0]})
    for step in range(steps):
        for rows in private.begin(step):
            batch = {"word": torch.from_numpy(inside[rows])}
            private.add(lambda batch=batch: loss(net, batch), rows)
        private.finish()
        with torch.no_grad():  # a step size at which words move by little: the gradient stays what it was
            net.words.weight -= 1e-3 * net.words.weight.grad
    private.close()
    moved = net.words.weight.detach().numpy()[:, 0].astype(np.float64)
    score = np.where(np.arange(canaries) % 2 == 0, moved, -moved)
    return score[members], score[~members]


CLAIMS = (1.0, 2.0, 4.4)
STEPS, CANARIES, DELTA, CLIP = 4, 2000, 1e-5, 0.05


@pytest.fixture(scope="module")
def noise() -> dict[float, float]:
    return {claim: sigma_for(claim, DELTA, 1.0, STEPS) for claim in CLAIMS}


@pytest.mark.parametrize("claim", CLAIMS)
def test_a_right_run_is_never_refuted(claim, noise):
    for seed in range(20 if LONG else 4):
        found = audit(*train(seed, CANARIES, noise[claim], CLIP, STEPS), DELTA)
        assert max(found.epsilon, found.epsilon_gaussian) < claim


@pytest.mark.parametrize("claim", CLAIMS)
@pytest.mark.parametrize("reckless", ["noise quartered", "noise off", "clipping off"])
def test_a_wrong_run_is_always_refuted(claim, reckless, noise):
    for seed in range(20 if LONG else 2):
        found = audit(*train(seed, CANARIES, noise[claim], CLIP, STEPS, reckless), DELTA)
        assert found.epsilon_gaussian > claim


def test_a_model_without_privacy_audits_above_3_5():
    found = audit(*train(1, 400, 0.0, 1e6, 4), DELTA)
    assert found.epsilon > 3.5
    assert found.auc > 0.999


def test_many_runs_on_two_worlds_bound_epsilon_from_below():
    rng = np.random.default_rng(1)
    for shift, epsilon in ((0.0, 0.0), (1.0, 4.38)):
        found = two_worlds(rng.normal(shift, 1, 4000), rng.normal(0, 1, 4000), 1e-5)
        assert found <= epsilon
    assert two_worlds(np.ones(400) + 1, np.ones(400), 1e-5) > 3.5


def moved_by_hello(texts: list[str], clip: float, sigma: float, runs: int) -> np.ndarray:
    """How far a private step at rate 1 over documents moves the vector of a word that many of them have, run by run."""
    net = Bags(3).train()
    bags = torch.tensor([0 if "hello" in t.split() else 1 + i % 2 for i, t in enumerate(texts)])
    plan = DpSettings(steps=1, rate=1.0, sigma=sigma, units=len(texts), clip=clip, mode="ghost", micro_rows=len(texts))
    private = Private(net, plan, Units(np.arange(len(texts))), Secret(bytes(32)))
    private._checked = True  # the same model as above
    moved = []
    for i in range(runs):
        private.secret, private.step = Secret(hashlib.sha256(f"{len(texts)} {i}".encode()).digest()), 0
        private.noise = Noise(private.secret, plan)
        (rows,) = private.begin(0)
        batch = {"word": bags[torch.from_numpy(rows)]}
        private.add(lambda batch=batch: loss(net, {"word": batch["word"]}), rows)
        private.finish()
        moved.append(-float(net.words.weight.grad[0, 0]) * len(texts))
    private.close()
    return np.array(moved)


def made_by_recipe(folder: Path, texts: list[str], steps: list, allow: bool) -> list[str]:
    """The texts of the snapshot that a recipe makes of private letters, with the certification switched off or not."""
    (folder / "raw").mkdir(parents=True)
    names = [f"b{i:02}" for i in range(len(texts))]
    pq.write_table(pa.table({"id": names, "text": texts}), folder / "raw/letters.parquet")
    privacy = {"population": "p", "units": 50, "epsilon": 2.0, "delta": DELTA, "allow_uncertified": allow}
    sources = [{"name": "letters", "path": "raw/*.parquet", "private": True, "columns": {"id": "id"}}]
    run(load(write_recipe(folder, steps, sources=sources, privacy=privacy)), workers=1)
    return pa.concat_tables([pq.read_table(f) for f in Dataset(folder / "out").files()])["text"].to_pylist()


def test_deduplication_across_units_is_falsified_though_training_keeps_its_claim(tmp_path):
    """One added document, which has the lines of 40 others, makes line deduplication empty all of them: the recipe is refused,
    and what it makes with the certification switched off breaks the claim that the noise alone would keep."""
    claim, forced = 1.66, [{"lines": {"min_words": 3}}]
    sigma = sigma_for(claim, DELTA, 1.0, 1)
    letters = [f"hello this is line number {i} of a letter" for i in range(40)]
    added = "\n".join(letters)
    with pytest.raises(RecipeError, match=r"`lines` \(cross\): a line repeated by one unit"):
        made_by_recipe(tmp_path / "refused", letters, forced, allow=False)
    worlds = {}
    for name, texts in (("with", [added, *letters]), ("without", letters)):
        for kind, steps in (("raw", []), ("lines", forced)):
            kept = made_by_recipe(tmp_path / name / kind, texts, steps, allow=kind == "lines")
            worlds[name, kind] = moved_by_hello(kept, 0.05, sigma, 80)
    assert two_worlds(worlds["without", "lines"], worlds["with", "lines"], DELTA) > claim
    assert two_worlds(worlds["with", "raw"], worlds["without", "raw"], DELTA) < claim
