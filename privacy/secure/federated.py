"""A private run whose sums are those of all owners: each samples and clips its own units, and none sees another's update.

It is `privacy/sgd.py` but for one thing: the sum of a step comes from `rounds.py`, which also says who learns what, what the
noise is against whom, and what collusion breaks.

    g = (1 / (rate * units)) * (sum over owners, over their units u of  h_u * min(1, C / |h_u|)  +  N(0, >= sigma^2 C^2))

`rate` and `units` are public numbers of all owners together. Every owner steps on the same sums, so all have the same model,
up to rounding between machines of different kinds. A unit (a user) with rows at several owners counts once at each, and
what is known of it adds up over their ledgers: deduplicate first, or let units be disjoint.
"""

from __future__ import annotations

import hashlib
from typing import Any

import numpy as np
import torch
from torch import Tensor

from corpusmill.privacy.secure.rounds import Rounds
from corpusmill.privacy.sgd import Private
from corpusmill.transforms.errors import PrivacyError


class Federated(Private):
    """One owner's part of a private run of several."""

    def __init__(self, rounds: Rounds, *args: Any, **fields: Any) -> None:
        """rounds: the protocol; the rest as `Private` takes it, `fingerprint` as lines of `name digest`.

        Raises ProtocolError where another owner trains something else.
        """
        super().__init__(*args, **fields)
        if self.world > 1:
            raise PrivacyError("an owner trains in one process in a joint run: start it without torchrun.")
        if self.settings.clipping == "adaptive":
            raise PrivacyError(
                "a joint run has one clipping norm, fixed or per-layer; `adaptive` would need a second sum."
            )
        self.rounds, self._saved = rounds, 0
        same = dict(line.split(" ", 1) for line in self.fingerprint.splitlines() if not line.startswith("data "))
        same |= {"plan": self.settings.digest(), "initial weights": self._weights()}
        digests = rounds.node.store.once(
            "agreed", lambda: {k: np.frombuffer(hashlib.sha256(v.encode()).digest(), np.uint8) for k, v in same.items()}
        )
        rounds.agree(sum(p.numel() for p in self.parameters.values()), {k: bytes(v) for k, v in digests.items()})
        self.fingerprint += f"\njob {rounds.job.session}"

    def _weights(self) -> str:
        """Digest of the parameters that train."""
        seen = hashlib.sha256()
        for name, p in self.parameters.items():
            seen.update(name.encode() + p.detach().cpu().contiguous().numpy().tobytes())
        return seen.hexdigest()

    def begin(self, step: int) -> list[np.ndarray]:
        """As `Private.begin`; no rows where the sum of the step is known, or this owner's own update is kept."""
        batches = super().begin(step)
        self.rounds.forget(self._saved)
        if self.rounds.known(step):
            self._waiting = np.zeros(0, np.int64)
            return []
        return batches

    @torch.no_grad()
    def _noisy(self, sums: list[Tensor]) -> list[Tensor]:
        flat = torch.cat([s.flatten() for s in sums]).double().cpu().numpy()
        total = torch.from_numpy(self.rounds.add(self.step, flat))
        return [t.view(s.shape).to(s) for s, t in zip(sums, total.split([s.numel() for s in sums]), strict=True)]

    def state(self) -> dict[str, Any]:
        """As `Private.state`; the sums before it are not kept when the next step begins."""
        self._saved = self.step
        return super().state()
