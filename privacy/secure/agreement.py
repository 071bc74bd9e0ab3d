"""What must be equal at all owners before anything of theirs is added: 32 bytes of each such thing, compared by name.

The names and their order are the caller's and the same everywhere; only digests travel. Two ways:

    all are online        each owner tells all others (`agree`), and the aggregator compares what they say (`length_of`)
    not at one time       one owner's digests lie with the aggregator, and every other compares its own with them (`compare`)

Who learns what: which things are equal. A digest hides nothing that can be guessed: whoever has it can test a guess.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from corpusmill.privacy.secure.node import Node
from corpusmill.transforms.errors import ProtocolError

_DOES = {"finetune": "trains", "average": "averages"}


def rows(digests: Mapping[str, bytes]) -> np.ndarray:
    """The digests as they are sent: uint8 [names, 32]."""
    return np.stack([np.frombuffer(d, np.uint8) for d in digests.values()])


def agree(node: Node, length: int, digests: Mapping[str, bytes]) -> None:
    """An owner's part where all are online. length: how many numbers a sum has; digests: 32 bytes each.

    Raises ProtocolError naming what differs from whom, or who is not there.
    """
    job, own = node.job, rows(digests)
    if node.store.sent(job.parties.aggregator, "size", 0):
        node.say_here()
    for other in job.parties.everyone:
        if other != node.name:
            node.send(other, "agreed", own)
            node.send(other, "size", np.array([length], np.uint64))
    others = [o for o in job.parties.owners if o != node.name]
    # of all, before anything is compared: who finds a difference leaves, and must not be gone for those who send to it still
    received = {o: (node.receive(o, "agreed"), node.receive(o, "size")) for o in others}
    for other, (theirs, size) in received.items():
        compare(node, digests, other, theirs, size.tolist() == [length])


def compare(node: Node, digests: Mapping[str, bytes], other: str, theirs: np.ndarray, same_length: bool = True) -> None:
    """Refuse another owner whose digests are not this owner's. Raises ProtocolError naming what differs."""
    own = rows(digests)
    odd = [n for n, mine, its in zip(digests, own, theirs, strict=False) if not np.array_equal(mine, its)]
    if odd or len(theirs) != len(own) or not same_length:
        raise ProtocolError(
            f"{other} {_DOES[node.job.kind]} something else than {node.name}: {', '.join(odd) or 'the number of parameters'} "
            "differ. All owners need the same model, base, tokenizer and settings. Nothing is written."
        )


def length_of(node: Node) -> int:
    """The aggregator's part where all are online: the length on which all owners agree. Raises ProtocolError."""
    owners = node.job.parties.owners
    sizes = {o: node.receive(o, "size").tolist() for o in owners}
    first = node.receive(owners[0], "agreed")
    for owner in owners:
        if sizes[owner] != sizes[owners[0]] or not np.array_equal(node.receive(owner, "agreed"), first):
            raise ProtocolError(f"{owner} {_DOES[node.job.kind]} something else than {owners[0]}. Nothing was added.")
    return int(sizes[owners[0]][0])
