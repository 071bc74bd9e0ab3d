"""Encrypted quality scores: an owner's embeddings, another's model, and neither sees what the other has.

The owner (first of `owners`) encrypts its features under CKKS, a ciphertext for each feature of thousands of documents; the
party that holds the model (the job's aggregator) computes on ciphertexts, with degree 1 or 2,

    score(x) = b + w.x      or      score(x) = b + w.x + sum over r of sign_r (v_r . x)^2

and the owner decrypts. What makes it cheap:

    packing   slot k is a complex number: one document in its real part, another in its imaginary part. Weights are real, so
              both go through w.x together. For squares z and its conjugate (one Galois key) are added and subtracted:
              (re z)^2 + u (im z)^2 = ((z + z*) / 2)^2 - u ((z - z*) / 2)^2, where u is i in even and -i in odd slots: that
              is X^(ring / 2) in SEAL's order of slots, by which a product costs nothing
    ring      8192 for both degrees: no product is scaled back, and a square needs no relinearisation, as the owner decrypts
              it as it is. Weights have few bits, features many: a product is all the modulus has to hold, once or squared
    upload    encrypted under the secret key, so half of a ciphertext is a seed

Scales: features 2^50 (degree 1) or 2^35 (degree 2); weights as many bits as the modulus leaves for
|score| <= |b| + |w| N + sum |v_r|^2 N^2 with N the agreed `norm` of a feature vector (a longer one is refused, so that nothing
overflows unseen). Parameters: ring 8192, 160 (degree 1) or 180 (degree 2) bits of modulus, 218 allowed for 128-bit security. The
report tells bits of weights and the measured error of encryption.

Who learns what (honest but curious): the model's owner the number of documents; the owner the scores, and from their scale
how large the model's weights are. A ciphertext that comes back would tell more than its scores: its second polynomial is
sum w_j a_j for polynomials a_j that the owner made, and each slot holds sum w_j e_j for noises e_j that it knows, so one
document would give away all weights. With degree 1 this is hidden (`_hidden`):

    an encryption of zero under the public key is added: the second polynomial is then one of ring-LWE in a secret of the
    model's owner;
    slots that hold no document get uniform numbers as large as scores can be;
    every slot gets normal noise of deviation s = 2^HIDING |w| t sqrt(ring F), where t is the deviation of e_j. The vector
    (sum w_j e_j) over all slots is at most |w| times the Frobenius norm of (e_j), which is t sqrt(ring F) but for a factor of 1.1
    (chi-squared concentration); two normal distributions of deviation s whose means differ by d are at most d / (2 s) apart
    in total variation. So models of that length that give equal scores are told apart with an advantage of at most
    1.1 * 2^-HIDING a batch, sqrt(b) times that for b batches.

With degree 2 it is NOT hidden: the owner can compute the model's weights from one answer. Score with degree 2 only for owners
who may know the model. The report says which holds (`weights_hidden`).

What is not protected in either: scores say something of the model, and whoever gets as many scores as the model has weights can
solve for a linear one; limit how many documents an owner may have scored. A decrypted score that
goes back to the model's owner with its lowest bits says something of the secret key (Li, Micciancio 2021): it never does
here, so do not hand it on unrounded. Nothing protects the owner from a model that scores wrongly.
Model file (JSON): {"bias": b, "linear": [w], "factors": [[v_1], ...], "signs": [1, -1, ...]}.
"""

from __future__ import annotations

import json
import math
import os
import tempfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from corpusmill.privacy.secret import FILL, Secret
from corpusmill.privacy.secure.homomorphic import checked, library, parameters, public_bytes
from corpusmill.privacy.secure.node import Node
from corpusmill.privacy.secure.rows import rows_of
from corpusmill.privacy.secure.settings import Score
from corpusmill.transforms.errors import ProtocolError, SourceError

RING = 8192
BITS = {1: [60, 40, 60], 2: [60, 60, 60]}
"""By degree of the model: bits of the primes; the last one is for keys and holds no data."""
FEATURE_BITS = {1: 50, 2: 35}
HIDING = 12
"""Bits of statistical distance by which noise hides what the owner's own encryption noise would tell of the weights."""
NOISE = 3.2
"""Deviation of the coefficients of encryption noise in SEAL."""
LEAST_WEIGHT_BITS, MOST_WEIGHT_BITS = 12, 40


class Model(BaseModel):
    """A linear or quadratic score."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    bias: float = Field(default=0.0, description="b")
    linear: tuple[float, ...] = Field(description="w, one a feature")
    factors: tuple[tuple[float, ...], ...] = Field(default=(), max_length=256, description="v_r, one a feature each")
    signs: tuple[float, ...] = Field(default=(), description="1 or -1 for each factor")

    def plain(self, features: np.ndarray) -> np.ndarray:
        """Scores of float64 [n, features], without encryption."""
        out = self.bias + features @ np.array(self.linear)
        for v, sign in zip(self.factors, self.signs, strict=True):
            out = out + sign * (features @ np.array(v)) ** 2
        return out

    def largest(self, norm: float) -> float:
        """No score, and no part of one, is larger for features of this length."""
        squares = sum(float(np.square(v).sum()) for v in self.factors)
        return abs(self.bias) + norm * float(np.linalg.norm(self.linear)) + squares * norm**2


def load_model(path: str, settings: Score) -> Model:
    """The model in a JSON file. Raises SourceError if it does not fit the job."""
    try:
        model = Model.model_validate(json.loads(Path(path).read_text(encoding="utf-8")))
    except (OSError, ValueError, ValidationError) as error:
        raise SourceError(f"{path}: is no model ({error}).") from error
    sizes = {len(model.linear), *map(len, model.factors)}
    if sizes != {settings.features} or len(model.signs) != len(model.factors) or set(model.signs) - {1.0, -1.0}:
        raise SourceError(
            f"{path}: must have {settings.features} numbers in `linear` and each factor, and a sign for each."
        )
    if model.factors and settings.degree == 1:
        raise SourceError(f"{path}: has quadratic terms, but the job agreed on `degree: 1`.")
    if weight_bits(model, settings) < LEAST_WEIGHT_BITS:
        raise SourceError(
            f"{path}: scores up to {model.largest(settings.norm):.3g} leave too few bits for weights. Scale the model down, or "
            f"agree on a smaller `norm` than {settings.norm:g}."
        )
    return model


def weight_bits(model: Model, settings: Score) -> int:
    """Bits behind the point of a weight: what the modulus leaves."""
    room = sum(BITS[settings.degree][:-1]) - 2 - math.ceil(math.log2(max(model.largest(settings.norm), 1.0)))
    return min(room // settings.degree - FEATURE_BITS[settings.degree], MOST_WEIGHT_BITS)


def ckks(degree: int) -> Any:
    """A fresh private context for a model of this degree."""
    ts = library()
    return ts.context(ts.SCHEME_TYPE.CKKS, poly_modulus_degree=RING, coeff_mod_bit_sizes=BITS[degree])


class Seal:
    """What works on ciphertexts of a context, and carries them between bytes and the library, which knows files alone."""

    def __init__(self, context: Any) -> None:
        self.api = library().sealapi
        self.context = context.seal_context().data
        self.encoder = self.api.CKKSEncoder(self.context)
        self.evaluator = self.api.Evaluator(self.context)

    def bytes_of(self, thing: Any) -> bytes:
        """A ciphertext or key as bytes."""
        with tempfile.NamedTemporaryFile(dir=_memory()) as file:
            thing.save(file.name)
            return Path(file.name).read_bytes()

    def read(self, data: bytes, kind: str = "Ciphertext") -> Any:
        """A ciphertext or key from bytes. Raises ProtocolError for what is none of this context."""
        thing = getattr(self.api, kind)()
        with tempfile.NamedTemporaryFile(dir=_memory()) as file:
            file.write(data)
            file.flush()
            try:
                thing.load(self.context, file.name)
            except (ValueError, RuntimeError) as error:
                raise ProtocolError(f"ciphertexts that do not fit the context were refused ({error}).") from error
        return thing

    def plain(self, value: float | list[complex], like: Any, scale: float) -> Any:
        """A constant, or a value for each slot, that a ciphertext can be multiplied by, or be added to."""
        out = self.api.Plaintext()
        self.encoder.encode(value, like.parms_id(), scale, out)
        return out

    def times(self, x: Any, value: float | list[complex], scale: float) -> Any:
        """x * value."""
        out = self.api.Ciphertext()
        self.evaluator.multiply_plain(x, self.plain(value, x, scale), out)
        return out


def _memory() -> str | None:
    return "/dev/shm" if os.access("/dev/shm", os.W_OK) else None  # ciphertexts only, gone at once


def conjugation_key(context: Any) -> bytes:
    """The key by which whoever has it can turn a ciphertext of z into one of its conjugate, and nothing else."""
    seal = Seal(context)
    maker = seal.api.KeyGenerator(seal.context, context.secret_key().data)
    keys = seal.api.GaloisKeys()
    maker.create_galois_keys([2 * RING - 1], keys)
    return seal.bytes_of(keys)


def encrypt(context: Any, features: np.ndarray) -> list[bytes]:
    """A ciphertext for each feature of float64 [n, features], n at most the ring."""
    seal, half = Seal(context), RING // 2
    encryptor = seal.api.Encryptor(seal.context, context.public_key().data)
    encryptor.set_secret_key(context.secret_key().data)
    packed = np.zeros((features.shape[1], half), np.complex128)
    packed.real[:, : min(len(features), half)] = features[:half].T
    packed.imag[:, : max(len(features) - half, 0)] = features[half:].T
    packed.imag *= _units().imag
    plain = seal.api.Plaintext()
    out, scale = [], 2.0 ** FEATURE_BITS[_degree(context)]
    for row in packed:
        seal.encoder.encode(row.tolist(), scale, plain)
        out.append(seal.bytes_of(encryptor.encrypt_symmetric(plain)))
    return out


def _degree(context: Any) -> int:
    """Of the models that a context is made for."""
    return next(degree for degree, bits in BITS.items() if sum(bits) == parameters(context)["coefficient_bits"])


def evaluate(
    context: Any, pieces: list[bytes], model: Model, bits: int, key: bytes = b"", documents: int = RING
) -> bytes:
    """The encrypted scores of one batch; with degree 1 they say no more of the model than the scores do.

    Args:
        bits: of weights behind the point.
        key: of `conjugation_key`, for factors.
        documents: how many the batch holds; all other slots are filled with random numbers.

    Raises:
        ProtocolError: the ciphertexts do not fit.
    """
    seal, scale = Seal(context), 2.0**bits
    evaluator = seal.evaluator
    rows = [np.array(model.linear), *(np.array(v) / 2 for v in model.factors)]
    sums: list[Any] = [None] * len(rows)
    try:
        for j, data in enumerate(pieces):  # one ciphertext in memory at a time
            feature = seal.read(data)
            for r, row in enumerate(rows):
                if not round(row[j] * scale):  # a product with 0 would hide nothing, which the library refuses
                    continue
                product = seal.times(feature, float(row[j]), scale)
                if sums[r] is None:
                    sums[r] = product
                else:
                    evaluator.add_inplace(sums[r], product)
            last = feature
        for r in range(len(rows)):
            if sums[r] is None:
                sums[r] = seal.times(last, 1 / scale, scale)  # the smallest weight there is
        score, at = sums[0], sums[0].scale
        if model.factors:
            galois = seal.read(key, "GaloisKeys")
            score = seal.times(score, 1.0, at)
            for z, sign in zip(sums[1:], model.signs, strict=True):
                square = _parts_squared(seal, z, galois)
                (evaluator.add_inplace if sign > 0 else evaluator.sub_inplace)(score, square)
        if round(model.bias * score.scale):
            evaluator.add_plain_inplace(score, seal.plain((model.bias * (1 + _units())).tolist(), score, score.scale))
        if _degree(context) == 1:
            encryptor = seal.api.Encryptor(seal.context, context.public_key().data)
            hiding = seal.api.Ciphertext()
            encryptor.encrypt(seal.plain(_hidden(model, documents).tolist(), score, score.scale), hiding)
            evaluator.add_inplace(score, hiding)
        return seal.bytes_of(score)
    except (ValueError, RuntimeError, TypeError, IndexError) as error:
        raise ProtocolError(f"ciphertexts that do not fit the context were refused ({error}).") from error


def _hidden(model: Model, documents: int) -> np.ndarray:
    """What is added to the slots of a batch so that they tell the scores alone: complex [ring / 2]. See the module."""
    half, length = RING // 2, max(float(np.linalg.norm(model.linear)), 2.0**-20)
    fresh = (
        math.sqrt((NOISE**2 + 1 / 12) * RING / 2) / 2.0 ** FEATURE_BITS[1]
    )  # of one real or imaginary part of a slot
    deviation = 2.0**HIDING * length * fresh * math.sqrt(RING * len(model.linear))
    draws = Secret()
    noise = deviation * draws.normal(0, RING)
    empty = np.arange(RING) >= documents
    uniform = (draws.words(FILL, 0, 0, RING) >> np.uint64(11)) * 2.0**-52 - 1.0  # in [-1, 1)
    noise += np.where(empty, uniform * (abs(model.bias) + length), 0.0)
    return noise[:half] + noise[half:] * _units()


def _parts_squared(seal: Seal, z: Any, galois: Any) -> Any:
    """(2 re z)^2 + u (2 im z)^2."""
    evaluator, api = seal.evaluator, seal.api
    other, real, imaginary = api.Ciphertext(), api.Ciphertext(), api.Ciphertext()
    evaluator.complex_conjugate(z, galois, other)
    evaluator.add(z, other, real)
    evaluator.sub(z, other, imaginary)
    evaluator.square_inplace(real)
    evaluator.square_inplace(imaginary)  # (2 u im z)^2
    evaluator.sub_inplace(real, seal.times(imaginary, _units().tolist(), 1.0))
    return real


def decrypt(context: Any, data: bytes, count: int) -> np.ndarray:
    """Scores of one batch: float64 [count]."""
    seal = Seal(context)
    plain = seal.api.Plaintext()
    seal.api.Decryptor(seal.context, context.secret_key().data).decrypt(seal.read(data), plain)
    slots = np.array(seal.encoder.decode_complex(plain))
    return np.concatenate([slots.real, slots.imag * _units().imag])[:count]


def _units() -> np.ndarray:
    """u of each slot: i, -i, i, ..."""
    return np.tile([1j, -1j], RING // 4)


def as_owner(node: Node, settings: Score, files: list[str]) -> tuple[pa.Table, dict[str, Any]]:
    """The owner's part: (ids and scores, what is known of parameters and precision)."""
    hub, ts, per = node.job.parties.aggregator, library(), RING

    def fresh() -> dict[str, np.ndarray]:
        context = ckks(settings.degree)
        private = context.serialize(save_secret_key=True, save_galois_keys=False, save_relin_keys=False)
        keys = {"private": private, "public": public_bytes(context), "key": conjugation_key(context)}
        return {name: np.frombuffer(data, np.uint8) for name, data in keys.items()}

    keys = node.store.once("context", fresh)
    context = ts.context_from(bytes(keys["private"]))
    total = sum(batch.num_rows for _, batch in rows_of(files, ["id"]))
    node.send(hub, "size", np.array([total, per], np.uint64))
    node.send(hub, "context", keys["public"])
    if settings.degree == 2:
        node.send(hub, "context", keys["key"], 1)
    ids, scores, error = [], [np.empty(0)], 0.0
    for number, (some, features) in enumerate(_batches(files, settings, per)):
        begin = number * settings.features
        if not all(node.store.sent(hub, "cipher", begin + j) for j in range(settings.features)):
            pieces = node.store.once(f"batch-{number}", partial(_sealed, context, features))
            back = decrypt(context, bytes(pieces["000000"]), len(features))
            error = max(error, float(np.abs(back - features[:, 0]).max()))
            for j in range(settings.features):
                node.send(hub, "cipher", pieces[f"{j:06d}"], begin + j)
        scores.append(decrypt(context, bytes(node.receive(hub, "cipher", number)), len(features)))
        ids.append(some)
    table = pa.table({"id": pa.chunked_array(ids, pa.string()), "score": np.concatenate(scores)})
    return table, {"documents": total, "encryption": parameters(context), "encryption_error": error}


def as_model_owner(node: Node, settings: Score, files: list[str]) -> dict[str, Any]:
    """The part of the party that holds the model."""
    if len(files) != 1:
        raise SourceError("the party that scores names one model file as its `data`.")
    model = load_model(files[0], settings)
    owner = node.job.parties.owners[0]
    bits = weight_bits(model, settings)
    context = checked(node.receive(owner, "context"), "ckks", owner)
    encryption = {**parameters(context), "weight_bits": bits}
    agreed = {"degree": RING, "coefficient_bits": sum(BITS[settings.degree])}
    if any(encryption[name] != value for name, value in agreed.items()):
        raise ProtocolError(f"{owner} sent a context of another ring or modulus than a model of this degree needs.")
    key = bytes(node.receive(owner, "context", 1)) if settings.degree == 2 else b""
    sizes = node.receive(owner, "size").tolist()
    if len(sizes) != 2 or sizes[1] != RING:
        raise ProtocolError(f"{owner} announced batches of another size than the job's ring has.")
    for number in range(-(-sizes[0] // sizes[1])):
        if not node.store.sent(owner, "cipher", number):
            begin = number * settings.features
            pieces = [bytes(node.receive(owner, "cipher", begin + j)) for j in range(settings.features)]
            held = min(sizes[1], sizes[0] - number * sizes[1])

            def scored(pieces: list[bytes] = pieces, held: int = held) -> dict[str, np.ndarray]:
                return {"scores": np.frombuffer(evaluate(context, pieces, model, bits, key, held), np.uint8)}

            # noise is drawn once: what is sent again after a crash is the same
            node.send(owner, "cipher", node.store.once(f"scores-{number}", scored)["scores"], number)
    return {"documents": sizes[0], "encryption": encryption, "weights_hidden": settings.degree == 1}


def _sealed(context: Any, features: np.ndarray) -> dict[str, np.ndarray]:
    return {f"{j:06d}": np.frombuffer(p, np.uint8) for j, p in enumerate(encrypt(context, features))}


def _batches(files: list[str], settings: Score, per: int) -> Iterator[tuple[pa.Array, np.ndarray]]:
    ids: list[pa.Array] = []
    rows: list[np.ndarray] = []
    held = 0
    for file, batch in rows_of(files, ["id", settings.column]):
        ids.append(batch.column("id").cast(pa.string()))
        rows.append(_features(batch.column(settings.column), settings, file))
        held += batch.num_rows
        while held >= per:
            some, features = pa.concat_arrays(ids), np.concatenate(rows)
            yield some[:per], features[:per]
            ids, rows, held = [some[per:]], [features[per:]], held - per
    if held:
        yield pa.concat_arrays(ids), np.concatenate(rows)


def _features(column: pa.Array, settings: Score, file: str) -> np.ndarray:
    if column.null_count or not pc.all(pc.equal(pc.list_value_length(column), settings.features)).as_py():
        raise SourceError(f"{file}: `{settings.column}` must hold {settings.features} numbers in every row.")
    values = column.flatten().cast(pa.float64()).to_numpy(zero_copy_only=False).reshape(-1, settings.features)
    if not np.isfinite(values).all():
        raise SourceError(f"{file}: `{settings.column}` holds numbers that are not finite.")
    longest = math.sqrt(float(np.square(values).sum(axis=1).max(initial=0.0)))
    if longest > settings.norm * (1 + 1e-6):
        raise SourceError(
            f"{file}: a row of `{settings.column}` has length {longest:.4g}, above the agreed `norm` {settings.norm:g}: scores "
            "could overflow. Normalise the features, or agree on a larger `norm`."
        )
    return values
