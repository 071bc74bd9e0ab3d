"""Sums of vectors that an aggregator learns without learning any summand.

Source: Bonawitz et al. 2017, "Practical secure aggregation for privacy-preserving machine learning", section 4 (the variant
for honest-but-curious parties). Modulo 2^64, owner u sends

    y_u = x_u + PRG(b_u) + sum over v > u of PRG(s_uv) - sum over v < u of PRG(s_uv)

b_u: its own seed; s_uv: what u and v agree on by X25519. Pairwise masks vanish in the sum. Both the seed and the X25519 key
of each owner are cut in Shamir shares, one for each owner. When uploads are in, the aggregator says who is alive, and each
owner gives its share of the seed of those alive, and of the key of those lost, never both of one owner.

    phase   owners                                  aggregator
    0       public key to all
    1       shares to each other; who holds whose   roster: those whose shares all of the roster hold
    2       masked vector                           alive: those whose vector came
    3       shares of seeds and keys                removes masks; the sum goes to all

An owner may be lost in any phase and come back in the next; below the threshold t nothing is revealed and the parties stop.
Public keys and shares go from owner to owner over mutual TLS, so the aggregator cannot put itself between.

Who learns what: everyone the sum, and who took part; the aggregator vectors that look uniform; an owner shares, of which
fewer than t say nothing. Collusion: aggregator and fewer than t owners learn the sum of the others and no more; t owners
with the aggregator learn all. A sum says what it says: with two owners each can take away its own. An aggregator that tells
different owners different lists is outside the model (a second list is refused by the owner that has one).
PRG: AES-256 in counter mode; keys by HKDF-SHA-256, for one session, pair and round.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import numpy as np

from corpusmill.privacy.secure.node import Node
from corpusmill.privacy.secure.shamir import join, split
from corpusmill.transforms.errors import MissingDependencyError, ProtocolError


class LateError(ProtocolError):
    """The sum went on without this owner."""


def add_up(
    node: Node,
    vector: np.ndarray,
    rnd: int = 0,
    patience: float | None = None,
    reveal: Callable[[list[str]], np.ndarray] | None = None,
) -> tuple[np.ndarray, list[str]]:
    """An owner's part: (the sum modulo 2^64, who is in it). vector: uint64 or int64 [n]; rnd: number of the sum in its job.

    patience: seconds that phases 0 and 1 wait for owners; by default the party's `timeout`. reveal: of those alive, seeds
    that the aggregator gets in phase 3 (`rounds.py`).
    Raises LateError when the sum goes on without this owner, ProtocolError when fewer owners than the threshold are left, or
    the aggregator is lost.
    """
    owners, hub, me = list(node.job.parties.owners), node.job.parties.aggregator, node.name
    n, least = len(owners), node.job.least
    x = np.ascontiguousarray(vector).view(np.uint64)
    if x.ndim != 1:
        raise ProtocolError(f"a sum takes a vector, not an array of {x.ndim} dimensions.")
    _x25519()
    mine = node.store.once(f"sum-{rnd}", lambda: _secrets(least, n))
    others = [o for o in owners if o != me]
    keys: dict[str, list[tuple[str, np.ndarray]]] = {hub: [("public", mine["public"])]}
    for other in others:
        i = owners.index(other)
        keys[other] = [
            ("public", mine["public"]),
            ("shares", np.stack([mine["seed_shares"][i], mine["key_shares"][i]])),
        ]
    node.send_each(keys, rnd, patience)
    ended = (hub, "sum", rnd)
    held = node.wait(others, "shares", rnd, patience, ended)
    held = node.wait(held, "public", rnd, patience, ended)
    node.send(hub, "held", np.array([owners.index(o) for o in [*held, me]], np.uint16), rnd)
    roster = _named(node, _decided(node, "roster", rnd))
    if me not in roster:
        raise _late(me)
    if not set(roster) <= {*held, me} or len(roster) < least:
        raise ProtocolError(f"{hub} named a roster that {me} cannot agree to. Nothing is written.")
    if not node.store.sent(hub, "masked", rnd):
        total = x + mask(bytes(mine["seed"]), len(x))
        for other in roster:
            if other != me:
                key = pair_key(bytes(mine["key"]), bytes(node.receive(other, "public", rnd)), _label(node, rnd))
                total = total + mask(key, len(x)) if me < other else total - mask(key, len(x))
        node.send(hub, "masked", total, rnd)
    alive = _named(node, _decided(node, "alive", rnd))
    if len(alive) < least or not set(alive) <= set(roster):
        raise ProtocolError(f"only {len(alive)} of the owners are left where {least} are needed. Nothing is revealed.")
    if me not in alive:
        raise _late(me)
    own = owners.index(me)
    rows = []
    for other in roster:  # one share each, in the order of the roster: of the seed if alive, else of the key
        which = 0 if other in alive else 1
        if other == me:
            rows.append(mine["seed_shares" if which == 0 else "key_shares"][own])
        else:
            rows.append(node.receive(other, "shares", rnd)[which])
    if reveal is not None:
        node.send(hub, "excess", reveal(alive), rnd)
    node.send(hub, "unmask", np.stack(rows), rnd)
    return node.receive(hub, "sum", rnd, 4 * node.timeout), alive


def _late(me: str) -> LateError:
    return LateError(f"{me} came too late for this sum, which goes on without it. Nothing is written.")


def _decided(node: Node, kind: str, rnd: int) -> np.ndarray:
    """A list that the aggregator decides; LateError where the sum is there before it."""
    hub = node.job.parties.aggregator
    if not node.wait([hub], kind, rnd, 4 * node.timeout, (hub, "sum", rnd)) and node.has(hub, "sum", rnd):
        raise _late(node.name)
    return node.receive(hub, kind, rnd, 4 * node.timeout)


def collect(
    node: Node, length: int, rnd: int = 0, patience: float | None = None, tell: bool = True
) -> tuple[np.ndarray, list[str]]:
    """The aggregator's part: (the sum modulo 2^64, who is in it). tell: send it to those who are in it.

    Raises ProtocolError below the threshold; nothing is decided then, and the same call may go on with parties that come back.
    """
    owners, least = list(node.job.parties.owners), node.job.least
    _x25519()

    def formed() -> dict[str, np.ndarray]:
        roster = _roster(node, rnd, patience)
        _enough(_named(node, roster), least, "hold each other's shares")
        return {"roster": roster}

    roster_numbers = node.store.once(f"roster-{rnd}", formed)["roster"]
    roster = _named(node, roster_numbers)
    # who is not of the roster learns that it came too late
    node.send_each(
        {o: [("roster", roster_numbers)] for o in owners if o in roster or node.has(o, "held", rnd)}, rnd, patience
    )

    def uploaded() -> dict[str, np.ndarray]:
        came = node.wait(roster, "masked", rnd, patience)
        _enough(came, least, "sent their vector")
        return {"alive": np.array([owners.index(o) for o in came], np.uint16)}

    # decided once: a second list would reveal both shares of an owner
    listed = node.store.once(f"alive-{rnd}", uploaded)["alive"]
    alive = _named(node, listed)
    vectors = {o: node.receive(o, "masked", rnd) for o in alive}
    for owner, y in vectors.items():
        if len(y) != length:
            raise ProtocolError(f"{owner} sent a vector of {len(y):,} where {length:,} were agreed.")
    node.send_each({o: [("alive", listed)] for o in roster}, rnd, patience)
    shares = _unmasking(node, alive, least, rnd, patience)
    total = np.zeros(length, np.uint64)
    for y in vectors.values():
        total += y
    for at, owner in enumerate(roster):
        secret = join({x: rows[at] for x, rows in shares.items()}, least)
        if owner in alive:
            total -= mask(secret, length)
        else:
            for (
                other
            ) in alive:  # the lost owner's masks are in the others' vectors, with the other sign than in its own
                key = pair_key(secret, bytes(node.receive(other, "public", rnd)), _label(node, rnd))
                total = total - mask(key, length) if other < owner else total + mask(key, length)
    if tell:
        node.send_each({o: [("sum", total)] for o in alive}, rnd, patience)
    return total, alive


def _roster(node: Node, rnd: int, patience: float | None) -> np.ndarray:
    owners = list(node.job.parties.owners)
    wait = 3 * (
        patience or node.timeout
    )  # owners wait for each other and for sends, before they say whose shares they hold
    holds = {o: set(_named(node, node.receive(o, "held", rnd))) for o in node.wait(owners, "held", rnd, wait)}
    roster = set(holds) & set(node.wait(holds, "public", rnd, 1.0))
    while roster:  # leave out whoever lacks the most, until all hold the shares of all
        lacking = {o: len(roster - holds[o]) + sum(o not in holds[p] for p in roster) for o in sorted(roster)}
        worst = max(lacking, key=lambda o: lacking[o])
        if not lacking[worst]:
            break
        roster.discard(worst)
    return np.array([owners.index(o) for o in sorted(roster, key=owners.index)], np.uint16)


def _unmasking(node: Node, alive: list[str], least: int, rnd: int, patience: float | None) -> dict[int, np.ndarray]:
    owners = node.job.parties.owners
    came = node.wait(alive, "unmask", rnd, patience)
    _enough(came, least, "gave their shares")
    return {owners.index(o) + 1: node.receive(o, "unmask", rnd) for o in came}


def mask(key: bytes, count: int) -> np.ndarray:
    """`count` words of the stream of a key: uint64."""
    from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

    out = np.zeros(count, "<u8")
    if count:
        stream = Cipher(algorithms.AES(key), modes.CTR(bytes(16))).encryptor()
        stream.update_into(out.data.cast("B"), out.data.cast("B"))
    return out.astype(np.uint64, copy=False)


def pair_key(secret: bytes, public: bytes, label: bytes) -> bytes:
    """What two owners agree on: 32 bytes from X25519 and HKDF. Raises ProtocolError for a key of small order."""
    private, shared, hkdf, hashes = _x25519()
    try:
        agreed = private.from_private_bytes(secret).exchange(shared.from_public_bytes(public))
    except ValueError as error:
        raise ProtocolError("a public key of an owner was refused: nothing can be agreed with it.") from error
    return hkdf(algorithm=hashes.SHA256(), length=32, salt=None, info=label).derive(agreed)


def _secrets(least: int, n: int) -> dict[str, np.ndarray]:
    private = _x25519()[0]
    key, seed = os.urandom(32), os.urandom(32)
    public = private.from_private_bytes(key).public_key().public_bytes_raw()
    shares: dict[str, Any] = {"seed_shares": split(seed, least, n), "key_shares": split(key, least, n)}
    return shares | {k: np.frombuffer(v, np.uint8) for k, v in (("key", key), ("seed", seed), ("public", public))}


def _x25519() -> tuple[Any, Any, Any, Any]:
    try:
        from cryptography.hazmat.primitives import hashes
        from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
        from cryptography.hazmat.primitives.kdf.hkdf import HKDF
    except ImportError as error:
        raise MissingDependencyError("secure sums need cryptography: pip install 'corpusmill[mpc]'") from error
    return X25519PrivateKey, X25519PublicKey, HKDF, hashes


def _label(node: Node, rnd: int) -> bytes:
    return f"corpusmill sum {node.session} {rnd}".encode()


def _named(node: Node, numbers: np.ndarray) -> list[str]:
    owners = node.job.parties.owners
    if len(set(numbers.tolist())) < len(numbers) or any(i >= len(owners) for i in numbers.tolist()):
        raise ProtocolError("a list of owners was refused: it names an owner twice, or a party that is not an owner.")
    return [owners[i] for i in numbers.tolist()]


def _enough(owners: list[str], least: int, did: str) -> None:
    if len(owners) < least:
        raise ProtocolError(
            f"only {len(owners)} owners {did} ({', '.join(owners) or 'none'}) where {least} are needed. Nothing was revealed or "
            "written; start the lost parties again, or the job under a new name."
        )
