"""Rounds of a federated private training: sums of clipped updates with noise that no party adds, or knows, alone.

In each round an owner adds its share of the noise to its clipped sum, and all that the aggregator learns is the sum
(`aggregation.py`). Shares are such that the sum has the planned noise, whoever is lost (Jiang, Wang, Chen 2024, "Dordis", the
scheme XNoise). Let n owners take part, at least t of them survive a round, and c of them put together what they know of
the noise. If d are lost, the noise that c of the others do not know is that of n - d - c owners; so each share must have

    v(d) = (sigma C)^2 / (n - d - c),        d = 0 ... n - t

Each owner adds parts of variance v(0), v(1) - v(0), ..., v(n - t) - v(n - t - 1): enough for the most losses. When it is known
who is in the sum, they give away the seeds of the parts d + 1 ... n - t, and the aggregator takes these off. A part whose
owner is lost before it gives its seed stays in: noise can become more than planned, never less. So

    seen by the aggregator, and by whoever gets the model:  variance (sigma C)^2 (n - d) / (n - d - c), with c = 0 exactly
                                                            that of pooled training
    seen by any c owners, who take off their own shares:    variance (sigma C)^2

Numbers are integers modulo 2^64 with `fraction_bits` bits behind the point; sums and noise are rounded each for itself, so a
unit moves the rounded sum of its owner by at most C (the clip is made smaller by a millionth of it, which is more than
rounding adds). Who joins a round is each owner's own secret draw, so sampling amplifies against all others.

Who learns what (honest but curious): all parties the noisy sum of each round, and who is in it; nothing else but what
`aggregation.py` says. Not protected: number of parameters, steps, rate, clip and noise, which are public; that an owner was
absent. A party that does not follow the protocol can spoil the model; it learns no more by that about others' units, unless
t - c owners or more add no noise. An aggregator that tells owners different lists is outside the model.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

import numpy as np

from corpusmill.privacy.secret import Secret
from corpusmill.privacy.secure.aggregation import LateError, add_up, collect
from corpusmill.privacy.secure.agreement import agree, length_of
from corpusmill.privacy.secure.node import Node
from corpusmill.privacy.secure.settings import Finetune, Job
from corpusmill.transforms.errors import PrivacyError, ProtocolError

EXCESS = 16
"""Purpose of the draws of seeds of parts of the noise, see `privacy/secret.py`."""
ROUND = ("public", "shares", "held", "roster", "masked", "alive", "unmask", "excess")
"""Kinds of a round that nobody asks for when it is over."""
MARGIN = 1e-6
"""Share of the clip that is not used, for rounding."""


def deviations(job: Job) -> np.ndarray:
    """Deviation of the parts of an owner's noise over sigma * clip: float64 [1 + most losses].

    With three owners of whom two must remain and none colludes, a share has variance 1/3, or 1/2 if one is lost:

    >>> from corpusmill.privacy.secure.settings import Parties
    >>> job = Job(job="f", kind="finetune", parties=Parties(owners=("a", "b", "c"), aggregator="hub"),
    ...           finetune=Finetune(steps=1, units=9, rows=3, sigma=1, colluding=0))
    >>> (deviations(job) ** 2).round(4).tolist()
    [0.3333, 0.1667]
    """
    n, settings = len(job.parties.owners), _settings(job)
    left = np.arange(n, job.parties.least - 1, -1) - settings.colluding
    return np.sqrt(np.diff(1.0 / left, prepend=0.0))


class Rounds:
    """An owner's part in all rounds."""

    def __init__(self, node: Node, secret: Secret) -> None:
        self.node, self.secret, self.job = node, secret, node.job
        self.settings = _settings(node.job)
        self._kept = 0

    def agree(self, length: int, digests: dict[str, bytes]) -> None:
        """Tell all others how many numbers a sum has and 32 bytes of everything that must be equal, by name.

        Raises ProtocolError naming what differs from whom; PrivacyError where rounding would be more than its margin.
        """
        rounding = np.sqrt(length) * 2.0**-self.settings.fraction_bits
        if rounding > MARGIN * self.settings.clip:
            raise PrivacyError(
                f"finetune.fraction_bits: {self.settings.fraction_bits} bits would add {rounding:.2g} to what one unit may "
                f"change, of {length:,} numbers; give more bits, or a larger clip than {self.settings.clip:g}."
            )
        agree(self.node, length, digests)

    def known(self, step: int) -> bool:
        """Whether this owner has nothing to compute for a round: its sum is there, or its own update is kept."""
        return self.node.has(self.job.parties.aggregator, "sum", step) or self.node.store.has(f"update-{step}")

    def add(self, step: int, update: np.ndarray) -> np.ndarray:
        """The noisy sum over all owners, float64 [length]. update: this owner's clipped sum, not looked at where `known`.

        Raises ProtocolError below the threshold, PrivacyError for numbers that the ring cannot hold.
        """
        node, hub = self.node, self.job.parties.aggregator
        begin = time.monotonic()
        alive: list[str] = []
        if node.has(hub, "sum", step):
            total = node.receive(hub, "sum", step)
        else:
            kept = node.store.once(f"update-{step}", lambda: {"x": self._sealed(step, update)})["x"]
            try:
                total, alive = add_up(node, kept, step, reveal=lambda among: self._excess(step, len(among), len(kept)))
            except LateError:
                total = node.receive(hub, "sum", step, 4 * node.timeout)
        for name in (f"update-{step}", f"sum-{step}"):
            node.store.drop(name)
        node.prune(step, ROUND)
        for other in set(self.job.parties.owners) - set(alive) if alive else ():
            node.give_up(other, begin)
        return decoded(total, self.settings.fraction_bits)

    def forget(self, before: int) -> None:
        """Remove the sums of rounds before this one: they are in a checkpoint."""
        for step in range(self._kept, before):
            self.node.prune(step, ("sum",))
        self._kept = max(self._kept, before)

    def _sealed(self, step: int, update: np.ndarray) -> np.ndarray:
        s = self.settings
        total = encoded(update, s.fraction_bits, len(self.job.parties.owners))
        for part, deviation in enumerate(deviations(self.job) * s.sigma * s.clip):
            if deviation:
                key = Secret(self._key(step, part))
                total += noise(key, step, len(total), deviation, s.fraction_bits)
        return total

    def _key(self, step: int, part: int) -> bytes:
        return self.secret.words(EXCESS, step, part, 4).astype("<u8").tobytes()

    def _excess(self, step: int, alive: int, length: int) -> np.ndarray:
        lost = len(self.job.parties.owners) - alive
        keys = [np.frombuffer(self._key(step, p), np.uint8) for p in range(lost + 1, len(deviations(self.job)))]
        return np.stack(keys) if keys else np.empty((0, 32), np.uint8)


def encoded(vector: np.ndarray, bits: int, owners: int) -> np.ndarray:
    """Fixed point modulo 2^64: uint64. Raises PrivacyError where a sum over owners could leave the ring.

    >>> decoded(encoded(np.array([0.5, -2.25]), 8, 3), 8).tolist()
    [0.5, -2.25]
    """
    limit = 2.0 ** (61 - bits) / owners
    if len(vector) and not float(np.abs(vector).max()) < limit:
        raise PrivacyError(
            f"an update has a number of size {float(np.abs(vector).max()):.3g}, and {bits} fraction bits leave room for "
            f"{limit:.3g}: set finetune.fraction_bits lower."
        )
    return np.rint(np.asarray(vector, np.float64) * 2.0**bits).astype(np.int64).view(np.uint64)


def decoded(total: np.ndarray, bits: int) -> np.ndarray:
    """The numbers behind a sum modulo 2^64: float64."""
    return total.view(np.int64) * 2.0**-bits


def noise(key: Secret, step: int, length: int, deviation: float, bits: int) -> np.ndarray:
    """A part of an owner's noise, as integers modulo 2^64."""
    return encoded(key.normal(step, length) * deviation, bits, 1)


def as_aggregator(node: Node) -> dict[str, object]:
    """The aggregator's part: it adds up round after round, and gives each owner every sum, also later.

    An owner that is lost and comes back gets the sums that it missed, and takes part again.
    """
    job, settings = node.job, _settings(node.job)
    owners = job.parties.owners
    length = length_of(node)
    parts = deviations(job) * settings.sigma * settings.clip
    post = _Post(node, settings.steps)
    absent: dict[str, int] = {}
    try:
        for step in range(settings.steps):
            if post.done(step):
                continue
            begin = time.monotonic()
            present: list[str] = []

            def found(step: int = step, present: list[str] = present) -> dict[str, np.ndarray]:
                total, alive = collect(node, length, step, tell=False)
                present.extend(alive)
                lost = len(owners) - len(alive)
                for owner in alive:
                    seeds = node.receive(owner, "excess", step) if node.has(owner, "excess", step) else ()
                    if len(seeds) > len(parts) - 1 - lost:
                        raise ProtocolError(f"{owner} gave seeds of noise that has to stay. Nothing was added.")
                    for part, seed in enumerate(seeds, lost + 1):
                        if parts[part]:
                            total = total - noise(
                                Secret(bytes(seed)), step, length, parts[part], settings.fraction_bits
                            )
                return {"sum": total}

            node.store.once(f"total-{step}", found)
            post.give(step)
            for owner in set(owners) - set(present) if present else ():
                absent[owner] = absent.get(owner, 0) + 1
                node.give_up(owner, begin)
            for owner in present:
                if not node.has(owner, "unmask", step):  # lost since: the next round need not wait for it
                    node.give_up(owner, time.monotonic() - node.timeout / 2)
            for name in ("roster", "alive"):
                node.store.drop(f"{name}-{step}")
            node.prune(step, ROUND)
        missing = post.finish()
    finally:
        post.close()
    return {"steps": settings.steps, "parameters": length, "absent": absent, "without_the_model": missing}


class _Post:
    """Sends every sum to every owner, in order, a thread each: one that is away holds nobody up."""

    def __init__(self, node: Node, steps: int) -> None:
        self.node, self.steps = node, steps
        self._ready = threading.Condition()
        self._given = 0
        self._closed = False
        while self._given < steps and (self.done(self._given) or node.store.has(f"total-{self._given}")):
            self._given += 1
        self._threads = {
            o: threading.Thread(target=self._serve, args=(o,), daemon=True) for o in node.job.parties.owners
        }
        for thread in self._threads.values():
            thread.start()

    def done(self, step: int) -> bool:
        """Whether all owners have the sum of a step."""
        return all(self.node.store.sent(o, "sum", step) for o in self.node.job.parties.owners)

    def give(self, step: int) -> None:
        """The sum of a step is stored and may be sent."""
        with self._ready:
            self._given = max(self._given, step + 1)
            self._ready.notify_all()

    def finish(self) -> list[str]:
        """Wait until all owners have all sums; those who were away for too long."""
        begin = time.monotonic()
        for thread in self._threads.values():
            while thread.is_alive() and (left := begin + self.node.timeout - time.monotonic()) > 0:
                thread.join(min(left, 1.0))
        return [o for o, thread in self._threads.items() if thread.is_alive()]

    def close(self) -> None:
        """No more is sent."""
        with self._ready:
            self._closed = True
            self._ready.notify_all()

    def _serve(self, owner: str) -> None:
        node = self.node
        for step in range(self.steps):
            with self._ready:
                self._ready.wait_for(lambda step=step: self._given > step or self._closed)  # type: ignore[misc]
            while not self._closed and not node.store.sent(owner, "sum", step):
                if not node.heard(owner, 0.5):
                    continue
                begin = time.monotonic()
                try:
                    total = node.store.once(f"total-{step}", _never)["sum"]
                    node.send(owner, "sum", total, step)
                except ProtocolError:
                    node.give_up(owner, begin)
            if self._closed:
                return
            if self.done(step):
                node.store.drop(f"total-{step}")


def _never() -> dict[str, np.ndarray]:
    raise ProtocolError("a sum is gone from the disk. Start the job anew under another name.")


def _settings(job: Job) -> Finetune:
    if job.finetune is None:
        raise ProtocolError(f"the job {job.job} is no fine-tuning.")
    return job.finetune


Tune = Callable[[Node], dict[str, object]]
"""An owner's part of a fine-tuning or an average, from data to report: `corpusmill.training.owners` has both."""
