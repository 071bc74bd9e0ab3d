"""Draws the noise of a private run from its secret: independent between steps, or correlated by a Toeplitz strategy.

A correlated step needs the noise of earlier steps. None of it is ever written down: whatever a step needs is drawn again from the
secret, so a checkpoint holds no noise, and a resumed run has that of the run that was not stopped, bit for bit. Where there is room
(`KEPT` numbers), what the last step left behind stays in memory, and a step costs one draw. Where there is none, each step repeats
the recurrence from the first one, a piece at a time, and costs as many draws as steps have run.
"""

from __future__ import annotations

import numpy as np

from corpusmill.privacy.dp_settings import DpSettings
from corpusmill.privacy.secret import Secret

KEPT = 1 << 26
"""Numbers of a correlated run that stay in memory between steps (float64: 512 MiB)."""


class Noise:
    """The noise of one run.

    C y = z, with z independent draws of deviation 1. Banded: y_t = (z_t - sum of c_i y_(t - i)) / c_0 over the last bands - 1
    steps. Buffered: y_t = z_t - sum of scale_j s_j, and then s_j = decay_j s_j + y_t.
    """

    def __init__(self, secret: Secret, settings: DpSettings, kept: int = KEPT) -> None:
        self.secret, self.settings, self.kept = secret, settings, kept
        self._column = np.array(settings.column)
        self._scales, self._decays = np.array(settings.buffers).reshape(-1, 2).T
        self._past: dict[int, tuple[int, np.ndarray]] = {}
        """By part: (next step, what it needs of earlier ones [n, count])."""

    def normal(self, step: int, count: int, part: int = 0) -> np.ndarray:
        """`count` numbers of deviation 1 or more, of piece `part` of the parameters: float64."""
        if self.settings.noise == "independent":
            return self.secret.normal(step, count, part)
        depth = len(self._scales) or len(self._column) - 1
        begin, past = self._past.pop(part, (step + 1, np.zeros(0)))
        if begin > step or past.shape != (depth, count):
            begin, past = 0, np.zeros((depth, count))
        out = np.zeros(count)
        for s in range(begin, step + 1):
            out = self._next(self.secret.normal(s, count, part), past)
        if sum(kept.size for _, kept in self._past.values()) + past.size <= self.kept:
            self._past[part] = (step + 1, past)
        return out

    def _next(self, z: np.ndarray, past: np.ndarray) -> np.ndarray:
        """The next y; `past` moves on by a step in place."""
        if len(self._scales):
            y = z - self._scales @ past
            past *= self._decays[:, None]
            past += y
            return np.asarray(y)
        y = (z - self._column[1:] @ past) / self._column[0]
        past[1:] = past[:-1].copy()
        past[:1] = y
        return np.asarray(y)
