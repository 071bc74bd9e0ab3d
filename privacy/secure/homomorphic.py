"""Homomorphic encryption: contexts whose parameters are checked, and exact sums under encryption.

Schemes: BFV (Brakerski 2012; Fan, Vercauteren 2012) for integers, CKKS (Cheon et al. 2017) for real numbers, by Microsoft SEAL
through TenSEAL. Security: the bits of the whole coefficient modulus are at most what the Homomorphic Encryption Standard
(Albrecht et al. 2018, table 1, ternary secrets) allows for 128 bits at the ring's degree. Whoever gets a context checks it:
a context of lesser parameters, or one that holds a secret key, is refused.

Sums when owners cannot be online together: the key holder, an owner, gives its public context to the aggregator, which hands it
on; every owner leaves ciphertexts with the aggregator, which adds them without a key; the key holder decrypts the sum alone.
Only the aggregator has to be there all the time, and it waits for its own `timeout`: an owner that comes, finds that others were
not there yet, and stops, has left what it had and comes again later; the key holder comes first and, when all have been, again.

Who learns what (honest but curious): all parties the sum and who took part; the aggregator ciphertexts; the key holder the sum.
Collusion: the aggregator and the key holder together read every owner's vector, so they are never the same party (refused),
and owners must trust them not to collude; for a threshold of owners instead, use masks (`aggregation.py`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from corpusmill.privacy.secure.node import Node
from corpusmill.transforms.errors import MissingDependencyError, PrivacyError, ProtocolError

MAX_BITS = {1024: 27, 2048: 54, 4096: 109, 8192: 218, 16384: 438, 32768: 881}
"""Bits of the coefficient modulus for 128-bit security, by degree of the ring."""
DEGREE = 8192
PLAIN = 1125899906826241
"""A prime of 50 bits that is 1 modulo 16,384: 8,192 counters a ciphertext, sums below 2^49."""
Messages = Sequence[tuple[str, np.ndarray]]
"""Kinds and arrays, in the order in which they are sent."""


def library() -> Any:
    """TenSEAL, with the parts of SEAL that tell the parameters."""
    try:
        import tenseal
        import tenseal.sealapi
    except ImportError as error:
        raise MissingDependencyError("encrypted sums and scores need tenseal: pip install 'corpusmill[he]'") from error
    return tenseal


def bfv() -> Any:
    """A fresh private context for sums of integers."""
    ts = library()
    return ts.context(ts.SCHEME_TYPE.BFV, poly_modulus_degree=DEGREE, plain_modulus=PLAIN)


def public_bytes(context: Any) -> bytes:
    """The context without its secret key: with it one can encrypt and add, not decrypt."""
    public = context.copy()
    public.make_context_public()
    return bytes(public.serialize(save_galois_keys=False, save_relin_keys=False))


def parameters(context: Any) -> dict[str, Any]:
    """Scheme, degree, bits of the coefficient modulus, and whether they give 128 bits of security."""
    parms = context.seal_context().data.key_context_data().parms()
    degree = int(parms.poly_modulus_degree())
    bits = sum(int(m.bit_count()) for m in parms.coeff_modulus())
    scheme = str(parms.scheme()).rpartition(".")[2].lower()
    return {"scheme": scheme, "degree": degree, "coefficient_bits": bits, "secure_128": bits <= MAX_BITS.get(degree, 0)}


def checked(data: bytes | np.ndarray, scheme: str, of: str) -> Any:
    """The public context in `data`. Raises ProtocolError if it is none, weak, of another scheme, or holds a secret key."""
    ts = library()
    try:
        context = ts.context_from(bytes(data))
        own = parameters(context)
    except Exception as error:
        raise ProtocolError(
            f"{of} sent a context that cannot be read ({type(error).__name__}); it was refused."
        ) from None
    if context.is_private():
        raise ProtocolError(
            f"{of} sent a context with its secret key: whoever has it reads all. It was refused; make a new one."
        )
    if own["scheme"] != scheme or not own["secure_128"]:
        raise ProtocolError(
            f"{of} sent a context of {own['scheme']}, degree {own['degree']}, {own['coefficient_bits']} bits, where "
            f"{scheme} with 128 bits of security was agreed: at most {MAX_BITS.get(own['degree'], 0)} bits. It was refused."
        )
    return context


def encrypt(context: Any, vector: np.ndarray, owners: int) -> list[bytes]:
    """Ciphertexts of a vector of counts, 8,192 in each. Raises PrivacyError if a sum of `owners` such could overflow."""
    ts = library()
    values = np.ascontiguousarray(vector, np.int64)
    if len(values) and (values.min() < 0 or int(values.max()) >= (PLAIN // 2) // owners):
        raise PrivacyError(
            f"an encrypted sum takes counts from 0 to {(PLAIN // 2) // owners - 1:,}: count in larger units."
        )
    return [ts.bfv_vector(context, values[i : i + DEGREE].tolist()).serialize() for i in range(0, len(values), DEGREE)]


def add(context: Any, columns: list[list[bytes]]) -> list[bytes]:
    """The sum of several owners' ciphertexts, chunk by chunk. Raises ProtocolError for what is no ciphertext."""
    ts = library()
    out = []
    for pieces in zip(*columns, strict=True):
        total = None
        for data in pieces:
            try:
                one = ts.bfv_vector_from(context, data)
                total = one if total is None else total + one
            except Exception as error:
                raise ProtocolError(f"a ciphertext that does not fit the context was refused ({error}).") from None
        out.append(bytes(total.serialize()))  # type: ignore[union-attr]
    return out


def decrypt(context: Any, pieces: list[bytes]) -> tuple[np.ndarray, int]:
    """(the vector int64, bits of noise budget that are left). Raises ProtocolError if the noise has eaten the budget."""
    ts = library()
    parts, budget = [np.empty(0, np.int64)], 1 << 30
    for data in pieces:
        vector = ts.bfv_vector_from(context, data)
        parts.append(np.array(vector.decrypt(), np.int64))
        budget = min(budget, noise_budget(context, vector))
    if pieces and budget <= 0:
        raise ProtocolError(
            "an encrypted sum has no noise budget left, so its numbers cannot be trusted. Nothing is written."
        )
    return np.concatenate(parts), budget if pieces else 0


def noise_budget(context: Any, vector: Any) -> int:
    """Bits until decryption fails, least over the vector's ciphertexts (SEAL's invariant noise budget)."""
    ts = library()
    decryptor = ts.sealapi.Decryptor(context.seal_context().data, context.secret_key().data)
    return min(int(decryptor.invariant_noise_budget(c)) for c in vector.ciphertext())


def add_up(node: Node, vector: np.ndarray) -> tuple[np.ndarray, list[str], dict[str, Any]]:
    """An owner's part in an encrypted sum: (sum, who is in it, what is known of the noise). vector: int64 [n], see `encrypt`.

    Raises ProtocolError where others have yet to come: the same call goes on later, with the same vector.
    """
    parties = node.job.parties
    hub, holder = parties.aggregator, parties.key_holder
    encryption: dict[str, Any] = {}
    context: Any = None
    node.say_here([hub])
    if node.name == holder:
        ts = library()

        def fresh() -> dict[str, np.ndarray]:
            context = bfv()
            private = np.frombuffer(context.serialize(save_secret_key=True), np.uint8)
            return {"private": private, "public": np.frombuffer(public_bytes(context), np.uint8)}

        keys = node.store.once("context", fresh)
        context, public = ts.context_from(bytes(keys["private"])), keys["public"]
        node.send(hub, "context", public)
    else:
        public = later(node, "context", f"{holder}, who makes the key, was not there yet")
    # encryption is random: stored, so that what is sent again is the same
    n = len(parties.owners)
    pieces = node.store.once("ciphers", lambda: _numbered(encrypt(checked(public, "bfv", holder), vector, n)))
    for i in range(len(pieces)):
        node.send(hub, "cipher", pieces[f"{i:08d}"], i)
    if node.name == holder:
        count = -(-len(vector) // DEGREE)
        if count:
            later(node, "cipher", "other owners were not there yet")
        total, budget = decrypt(context, [bytes(node.receive(hub, "cipher", i)) for i in range(count)])
        encryption = {**parameters(context), "noise_budget_bits": budget}
        node.send(hub, "plain-sum", total[: len(vector)].astype(np.uint64))
    alive = later(node, "alive", f"other owners, or {holder} to decrypt, were not there yet")
    total = node.receive(hub, "plain-sum").astype(np.int64) if node.name != holder else total[: len(vector)]
    if len(total) != len(vector):
        raise ProtocolError(
            f"the sum has {len(total):,} numbers where {len(vector):,} were agreed. Nothing is written."
        )
    return total, [parties.owners[i] for i in alive.tolist() if i < n], encryption


def later(node: Node, kind: str, why: str) -> np.ndarray:
    """What the aggregator sends when others have done their part. Raises ProtocolError that says what it waits for."""
    hub = node.job.parties.aggregator
    if not node.wait([hub], kind) and node.heard(hub, 0.0):
        raise ProtocolError(
            f"{node.name} has no `{kind}` of {hub} after {node.timeout:g} s: {why}, or {hub} is away. What {node.name} has "
            "sent stays there; start it again later, and it goes on."
        )
    return node.receive(hub, kind)


def collect(
    node: Node, length: int, first: Messages = (), last: Callable[[list[str]], Messages] = lambda alive: ()
) -> tuple[np.ndarray, list[str]]:
    """The aggregator's part in an encrypted sum: (sum, who is in it).

    first: messages that owners get before the context; last: those that they get before the sum, by who is in it. A party that
    stops is waited for: it may come back until nothing was heard of it for `timeout` seconds.
    Raises ProtocolError below the threshold, or without the key holder.
    """
    parties = node.job.parties
    holder = parties.key_holder
    public = node.receive(holder, "context", patient=True)
    context = checked(public, "bfv", holder)
    others = [o for o in parties.owners if o != holder]
    count = -(-length // DEGREE)

    def came() -> dict[str, np.ndarray]:
        reached = node.send_each({o: [*first, ("context", public)] for o in others}, patient=True)
        came = node.wait([holder, *reached], "cipher", max(count - 1, 0), patient=True)
        if len(came) < node.job.least:
            raise ProtocolError(
                f"only {len(came)} owners sent ciphertexts ({', '.join(came) or 'none'}) where {node.job.least} are needed. "
                "Nothing was added; start the others, and the aggregator again."
            )
        return {"alive": np.array([i for i, o in enumerate(parties.owners) if o in came], np.uint16)}

    listed = node.store.once("alive", came)["alive"]
    alive = [parties.owners[i] for i in listed.tolist()]

    def added() -> dict[str, np.ndarray]:  # chunk by chunk: memory holds the sum and one chunk of each owner
        return _numbered(
            [add(context, [[bytes(node.receive(o, "cipher", i))] for o in alive])[0] for i in range(count)]
        )

    total = node.store.once("total", added)
    for i in range(count):
        node.send(holder, "cipher", total[f"{i:08d}"], i)
    plain_sum = node.receive(holder, "plain-sum", patient=True)
    if len(plain_sum) != length:
        raise ProtocolError(f"the sum has {len(plain_sum):,} numbers where {length:,} were agreed. Nothing is written.")
    more = list(last(alive))
    messages = {o: [*more, ("alive", listed), ("plain-sum", plain_sum)] for o in others}
    node.send_each({holder: [*more, ("alive", listed)], **messages}, patient=True)
    return plain_sum.astype(np.int64), alive


def _numbered(pieces: list[bytes]) -> dict[str, np.ndarray]:
    return {f"{i:08d}": np.frombuffer(p, np.uint8) for i, p in enumerate(pieces)}
