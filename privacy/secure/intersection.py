"""Which elements of several owners' sets are equal, found by an aggregator that can invert none of them.

Source: Diffie-Hellman set intersection (Meadows 1986; Huberman, Franklin, Hogg 1999), in the form for several parties with a
commutative key: with owner i's secret scalar k_i and H a hash to ristretto255,

    tag(x) = first 128 bits of  (k_1 k_2 ... k_m) H(x)

Each owner multiplies its own points and hands them on in a ring; the last multiplies and hands the tags to the aggregator.
m multiplications an element in all, against 2(m - 1) if owners met in pairs. Tags of different elements collide with
probability n^2 / 2^129.

Who learns what, if all follow the protocol (honest but curious):
    an owner        the sizes of the other sets; points that look random (decisional Diffie-Hellman)
    the aggregator  the sizes, and which tags are equal within and across owners: the pattern, never an element. It cannot
                    try guesses: that takes all m scalars
Collusion: the aggregator with an owner j learns which elements of j's set others have, as any intersection tells; j can put
guesses in its set, as many as the size it declared. All owners together can try guesses without end against a tag. A lie
about one's own set is not detected. Not protected: sizes, times, and that the computation happened.

    owner        elements --H, k_i--> points --ring: k_i+1, ...--> tags
    aggregator   tags of every owner -> `match` -> numbers of equal elements
"""

from __future__ import annotations

import numpy as np

from corpusmill.privacy.secure.group import hash_to_group, multiply, random_scalar
from corpusmill.privacy.secure.node import Node
from corpusmill.transforms.errors import ProtocolError

CHUNK = 1 << 13
"""Points a message."""
_HOP = 1 << 24  # part = hop * _HOP + chunk
_TAG = 16


def shuffled(elements: np.ndarray, seed: np.ndarray) -> np.ndarray:
    """A secret order of n elements, drawn from 32 bytes of seed: int64 [n]. Their own order would say how hashes compare."""
    words = np.frombuffer(bytes(seed), "<u4").tolist()
    return np.random.Generator(np.random.PCG64(words)).permutation(len(elements))


def send_elements(node: Node, elements: np.ndarray) -> None:
    """An owner's part: its own elements (distinct rows of 8 or 16 bytes, in the order that the aggregator is to know them
    by), and its multiplication of the others' points."""
    owners, name = list(node.job.parties.owners), node.name
    secret = node.store.once("scalar", lambda: {"k": random_scalar()})["k"]
    place, m = owners.index(name), len(owners)
    following = owners[(place + 1) % m]
    for other in node.job.parties.everyone:
        if other != name:
            node.send(other, "size", np.array([len(elements)], np.uint64))
    workers = node.party.workers
    for chunk, begin in enumerate(range(0, len(elements), CHUNK)):
        if not node.store.sent(following, "points", chunk):
            domain = node.session.encode()
            points = multiply(hash_to_group(elements[begin : begin + CHUNK], domain), secret, workers)
            node.send(following, "points", points, chunk)
    before = owners[(place - 1) % m]
    for hop in range(1, m):
        origin = owners[(place - hop) % m]
        last = hop == m - 1
        to, kind = (node.job.parties.aggregator, "tags") if last else (following, "points")
        for chunk, size in enumerate(_chunks(_size(node, origin))):
            out = chunk if last else hop * _HOP + chunk
            if node.store.sent(to, kind, out):
                continue
            points = node.receive(before, "points", (hop - 1) * _HOP + chunk)
            if len(points) != size:
                raise ProtocolError(f"{before} handed on {len(points)} points of {origin} where {size} were announced.")
            points = multiply(points, secret, workers)
            node.send(to, kind, points[:, :_TAG] if last else points, out)


def receive_tags(node: Node) -> list[np.ndarray]:
    """The aggregator's part: the tags of each owner's elements, uint64 [n, 2], in the owner's order."""
    owners = list(node.job.parties.owners)
    sizes = [_size(node, owner) for owner in owners]
    out = []
    for i, n in enumerate(sizes):
        last = owners[(i - 1) % len(owners)]
        parts = []
        for chunk, size in enumerate(_chunks(n)):
            tags = node.receive(last, "tags", chunk)
            if len(tags) != size:
                raise ProtocolError(f"{last} handed over {len(tags)} tags of {owners[i]} where {size} were announced.")
            parts.append(tags)
        joined = np.concatenate(parts) if parts else np.empty((0, _TAG), np.uint8)
        out.append(np.ascontiguousarray(joined).view("<u8").astype(np.uint64, copy=False))
    return out


def match(tags: list[np.ndarray]) -> list[np.ndarray]:
    """The number of each element, the same for equal ones: int64 [n] for each owner. Numbers are 0 .. distinct - 1."""
    every = np.concatenate(tags)
    order = np.lexsort((every[:, 1], every[:, 0]))
    ranked = every[order]
    fresh = np.ones(len(every), np.bool_)
    fresh[1:] = (ranked[1:] != ranked[:-1]).any(axis=1)
    numbers = np.empty(len(every), np.int64)
    numbers[order] = np.cumsum(fresh) - 1
    cuts = np.cumsum([len(t) for t in tags])[:-1]
    return np.split(numbers, cuts)


def _size(node: Node, owner: str) -> int:
    size = node.receive(owner, "size")
    if len(size) != 1 or int(size[0]) >= _HOP * CHUNK:
        raise ProtocolError(f"{owner} announced a set of a size that cannot be.")
    return int(size[0])


def _chunks(n: int) -> list[int]:
    return [min(CHUNK, n - begin) for begin in range(0, n, CHUNK)]
