"""One round of federated averaging: all owners get the weighted average of what their runs changed in a common base.

Source: McMahan et al. 2017, "Communication-efficient learning of deep networks from decentralized data", algorithm 1, of which
this is one round; a further round starts from the result. Owner k trained from the base w to w_k, by itself; with weights n_k

    w + sum over k of n_k (w_k - w) / sum over k of n_k,        k over the owners who are in the sum

Updates are added as integers with `fraction_bits` bits behind the point, each shifted by `max_change` so that none is negative,
which both methods take: masks (`aggregation.py`), for which all owners are online, and encryption (`homomorphic.py`), for which
ciphertexts lie with the aggregator until all have been there. Both give the same numbers, to the last bit. An owner that is lost
is left out; below the threshold, of three at least, nothing is revealed.

Who learns what (honest but curious): owners the average and who is in it, what differs where two bases or settings do, and how
private each run was (`Statement`); the aggregator the average of the updates, not the base; under masks what looks uniform, under
encryption ciphertexts. An average says what it says: an owner takes its own part out and has the average of the others', so
there are three at least, and one owner with nearly all of the weight is nearly shown. Collusion: all other owners in the sum learn
the one that is left; masks: aggregator and a threshold of owners learn all; encrypted: aggregator and key holder learn all. The
update itself is as private as the run that made it: without noise of its own (`privacy:` in train.yaml) what all get can hold
documents of one owner, word for word.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from corpusmill.privacy.secure import aggregation, agreement, homomorphic
from corpusmill.privacy.secure.node import Node
from corpusmill.privacy.secure.settings import Average, Job
from corpusmill.transforms.errors import PrivacyError, ProtocolError, RecipeError

_PACKED = struct.Struct("<BBBddd16s")


class Statement(NamedTuple):
    """How private an owner's run was towards its own population, as that owner says."""

    private: bool = False
    certified: bool = False
    documents: bool = False
    """The unit is a document, and not a user column of the owner's."""
    epsilon: float = 0.0
    delta: float = 0.0
    total: float = 0.0
    """Epsilon of all that was released from the population."""
    ledger: str = "0" * 32
    """Digest that tells populations apart: 32 hexadecimal digits."""


class Averaged(NamedTuple):
    """What an owner has of a round."""

    update: np.ndarray
    """float64 [n]: the average of the updates."""
    owners: dict[str, Statement]
    """Who is in it."""
    precision: float
    """No number is further from the average of exact ones."""
    encryption: dict[str, Any]


def settings_of(job: Job) -> Average:
    """The section of the job, in which sums of all owners fit. Raises RecipeError."""
    average = job.average
    if average is None:
        raise ProtocolError(f"the job {job.job} is no average.")
    encrypted = average.method == "encrypted"
    room = homomorphic.PLAIN // 2 if encrypted else 1 << 63
    largest = (room // len(job.parties.owners) - 1) // 2
    if not average.max_change * 2.0**average.fraction_bits <= largest:
        raise RecipeError(
            f"average.max_change {average.max_change:g} with {average.fraction_bits} fraction bits: sums of "
            f"{len(job.parties.owners)} owners could overflow{' under encryption' if encrypted else ''}. Lower it to "
            f"{largest * 2.0**-average.fraction_bits:.3g}, or give fewer fraction_bits."
        )
    return average


def shares(job: Job) -> dict[str, float]:
    """Each owner's weight over the largest one."""
    given = settings_of(job).weights or dict.fromkeys(job.parties.owners, 1.0)
    return {owner: given[owner] / max(given.values()) for owner in job.parties.owners}


def sealed(update: np.ndarray, share: float, settings: Average) -> np.ndarray:
    """An owner's integers, shifted so that none is negative: int64 [n]. Raises PrivacyError for a change above `max_change`.

    >>> sealed(np.array([0.5, -1.0]), 0.5, Average(max_change=1.0, fraction_bits=8)).tolist()
    [320, 128]
    """
    largest = float(np.abs(update).max(initial=0.0))
    if not largest <= settings.max_change:
        raise PrivacyError(
            f"a parameter moved by {largest:.3g} from the base, more than average.max_change ({settings.max_change:g}): agree "
            "on a larger one, or train with a lower rate. Nothing was sent."
        )
    scaled = np.asarray(update, np.float64) * (share * 2.0**settings.fraction_bits)
    return np.rint(scaled).astype(np.int64) + _shift(settings)


def opened(total: np.ndarray, owners: list[str], job: Job) -> np.ndarray:
    """The average behind a sum over `owners`: float64 [n]. Raises ProtocolError for what cannot be their sum."""
    settings, each = settings_of(job), shares(job)
    summed, shift = np.asarray(total).astype(np.int64), _shift(settings) * len(owners)
    if len(summed) and not 0 <= summed.min() <= summed.max() <= 2 * shift:
        raise ProtocolError("the sum is not one that the owners can have sent. Nothing is written.")
    return (summed - shift) * (2.0**-settings.fraction_bits / sum(each[o] for o in owners))


def _shift(settings: Average) -> int:
    return math.ceil(settings.max_change * 2.0**settings.fraction_bits)


def as_owner(node: Node, update: np.ndarray, digests: Mapping[str, bytes], own: Statement) -> Averaged:
    """An owner's part. update: its run's weights minus the base's, numbers [n]; digests: of everything that must be equal.

    Raises ProtocolError where owners differ, too few are left, or others have yet to come (the same call goes on later);
    PrivacyError for an update that the sum cannot take; RecipeError for one that is larger than a message may be.
    """
    job, settings, me = node.job, settings_of(node.job), node.name
    hub, holder = job.parties.aggregator, job.parties.key_holder
    numbers = sealed(update, shares(job)[me], settings)
    if numbers.nbytes > node.max_bytes:
        raise RecipeError(
            f"max_message_mb: {len(numbers):,} numbers are a message of {-(-numbers.nbytes >> 20)} MB, and {me} takes "
            f"{node.max_bytes >> 20}. Set it higher at all parties, or average adapters."
        )
    statement = _packed(own)
    encryption: dict[str, Any] = {}
    if not holder:
        agreement.agree(node, len(numbers), digests)
        node.send(hub, "guarantee", statement)
        total, alive = aggregation.add_up(node, numbers)
    else:
        node.say_here([hub])
        if me == holder:
            node.send(hub, "agreed", agreement.rows(digests))
            node.send(hub, "size", np.array([len(numbers)], np.uint64))
        else:
            theirs = homomorphic.later(node, "agreed", f"{holder}, who makes the key, was not there yet")
            agreement.compare(node, digests, holder, theirs)
        node.send(hub, "guarantee", statement)
        total, alive, encryption = homomorphic.add_up(node, numbers)
    statements_sent = node.receive(hub, "guarantee")
    if len(statements_sent) != len(alive):
        raise ProtocolError(f"{hub} named other owners than those in the average. Nothing is written.")
    off = len(alive) * 2.0 ** -(settings.fraction_bits + 1) / sum(shares(job)[o] for o in alive)
    return Averaged(
        opened(total, alive, job), dict(zip(alive, map(_unpacked, statements_sent), strict=True)), off, encryption
    )


def as_aggregator(node: Node) -> dict[str, object]:
    """The aggregator's part: adds what it cannot read, and gives all the sum and who is in it.

    Raises ProtocolError where owners differ or too few are left; the same call goes on with those that come back.
    """
    job, settings = node.job, settings_of(node.job)
    parties = job.parties

    def statements(alive: list[str]) -> np.ndarray:
        return np.concatenate([node.receive(o, "guarantee") for o in alive])

    if settings.method == "encrypted":
        digests = node.receive(parties.key_holder, "agreed", patient=True)
        length = int(node.receive(parties.key_holder, "size")[0])
        _, alive = homomorphic.collect(
            node, length, [("agreed", digests)], lambda alive: [("guarantee", statements(alive))]
        )
        missing = [o for o in parties.owners if not node.store.sent(o, "alive", 0)]
    else:
        length = agreement.length_of(node)
        total, alive = aggregation.collect(node, length, tell=False)
        messages = [("guarantee", statements(alive)), ("sum", total)]
        reached = node.send_each(dict.fromkeys(alive, messages))
        missing = [o for o in parties.owners if o not in reached]
    return {"owners": alive, "parameters": length, "without_the_model": missing}


def _packed(s: Statement) -> np.ndarray:
    """uint8 [1, 43]."""
    packed = _PACKED.pack(*map(int, s[:3]), s.epsilon, s.delta, s.total, bytes.fromhex(s.ledger))
    return np.frombuffer(packed, np.uint8)[None]


def _unpacked(row: np.ndarray) -> Statement:
    private, certified, documents, epsilon, delta, total, ledger = _PACKED.unpack(row.tobytes())
    return Statement(bool(private), bool(certified), bool(documents), epsilon, delta, total, ledger.hex())
