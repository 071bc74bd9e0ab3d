"""The secret of a private run: 256 random bits, from which its sampling and its noise are drawn.

Both must be unpredictable to whoever sees the released model: noise that can be drawn again can be subtracted, and a batch
that is known gives no amplification. A recipe's seed is public, and torch's generator on a CPU takes 32 bits of seed, which
can be tried one by one. So draws come from ChaCha20 (RFC 8439) under a key from the operating system, as a function of
(key, purpose, step, part): step 700 can be drawn again after a crash without drawing those before, any number of processes
agree on who is in a batch, and nothing is drawn twice for two purposes.

Noise is drawn in float64 and added in float32. Attacks on the last bits of floating-point noise (Mironov 2012; Jin et al.
2022) are outside the guarantee, as they are for Opacus and TensorFlow Privacy.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import stat
from pathlib import Path

import numpy as np

from corpusmill.transforms.errors import DatasetError, MissingDependencyError, PrivacyError

SAMPLE, NOISE, COUNT, FILL, TURN, VOTE = 1, 2, 3, 4, 5, 6
"""Purposes: who joins a step, noise on gradients, noise on counts, numbers in empty slots of encrypted scores, whose turn it is,
noise on votes."""
_CHUNK = 1 << 17


class Secret:
    """A key and the draws that follow from it.

    >>> secret = Secret(bytes(32))
    >>> secret.sampled(0, 1000, 0.01).tolist() == secret.sampled(0, 1000, 0.01).tolist()
    True
    """

    def __init__(self, key: bytes | None = None) -> None:
        """A fresh key; give one only to go on with a run, or in a test."""
        self._key = os.urandom(32) if key is None else key
        if len(self._key) != 32:
            raise PrivacyError(f"the secret of a run has 32 bytes, not {len(self._key)}.")

    @property
    def name(self) -> str:
        """The public name of the run: says nothing about the key."""
        return hashlib.sha256(b"corpusmill private run\0" + self._key).hexdigest()[:32]

    @property
    def token(self) -> str:
        """What closes the run's reservation in the ledger (`corpusmill.privacy.ledger`): nobody without the key has it."""
        return hashlib.sha256(b"corpusmill close\0" + self._key).hexdigest()

    def seal(self, digest: str) -> str:
        """A digest of private data that tells nothing without the key: who knows all rows but one could try that one."""
        return hmac.new(self._key, b"seal\0" + digest.encode(), hashlib.sha256).hexdigest()

    def __repr__(self) -> str:
        return f"Secret({self.name})"

    def words(self, purpose: int, step: int, part: int, count: int) -> np.ndarray:
        """`count` random words of the stream (purpose, step, part): uint64."""
        try:
            from cryptography.hazmat.primitives.ciphers import Cipher, algorithms
        except ImportError as error:
            raise MissingDependencyError("private runs need cryptography: pip install corpusmill[privacy]") from error
        nonce = bytes(4) + purpose.to_bytes(1, "little") + part.to_bytes(3, "little") + step.to_bytes(8, "little")
        stream = Cipher(algorithms.ChaCha20(self._key, nonce), mode=None).encryptor()
        out = np.zeros(count, "<u8")
        stream.update_into(out.data.cast("B"), out.data.cast("B"))
        return out

    def sampled(self, step: int, units: int, rate: float) -> np.ndarray:
        """Poisson sampling: the numbers of the units that join `step`, each with probability `rate`. int64, ascending."""
        if rate >= 1:
            return np.arange(units)
        chosen = (self.words(SAMPLE, step, 0, units) >> np.uint64(11)) < np.uint64(int(rate * (1 << 53)))
        return np.flatnonzero(chosen)

    def turns(self, units: int, groups: int) -> np.ndarray:
        """The group of each unit, drawn evenly and for the whole run: int64 [units], 0 to groups - 1."""
        return (self.words(TURN, 0, 0, units) % np.uint64(groups)).astype(np.int64)

    def normal(self, step: int, count: int, part: int = 0, purpose: int = NOISE) -> np.ndarray:
        """`count` independent standard normal draws: float64 (Box and Muller 1958)."""
        pairs = -(-count // 2)
        words = self.words(purpose, step, part, 2 * pairs)
        out = np.empty(2 * pairs)
        for begin in range(0, pairs, _CHUNK):  # a chunk at a time stays in the cache
            end = min(begin + _CHUNK, pairs)
            first, second = words[2 * begin : begin + end], words[begin + end : 2 * end]
            radius = np.log(((first >> np.uint64(11)) + np.uint64(1)) * 2.0**-53)  # of a uniform draw in (0, 1]
            radius *= -2.0
            np.sqrt(radius, out=radius)
            angle = (second >> np.uint64(11)) * (2.0**-53 * 2 * np.pi)
            np.multiply(radius, np.cos(angle), out=out[2 * begin : begin + end])
            np.multiply(radius, np.sin(angle), out=out[begin + end : 2 * end])
        return out[:count]

    def save(self, path: str | Path) -> None:
        """Write the key to a new file that only its owner can read. Delete it when the run is finished."""
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            os.write(handle, self._key.hex().encode() + b"\n")
            os.fsync(handle)
        finally:
            os.close(handle)

    @classmethod
    def load(cls, path: str | Path) -> Secret:
        """The secret in a file that `save` wrote.

        Raises:
            DatasetError: it cannot be read.
            PrivacyError: other users can read it.
        """
        try:
            private_file(path)
            return cls(bytes.fromhex(Path(path).read_text().strip()))
        except (OSError, ValueError) as error:
            raise DatasetError(
                f"{path}: the secret of the run cannot be read ({error}). Without it the run cannot go on: start a new one, "
                "which spends its budget anew."
            ) from error


def private_file(path: str | Path) -> None:
    """Refuse a key file that others than its owner can read, as ssh does. Raises PrivacyError, OSError where there is none."""
    mode = os.stat(path).st_mode
    if mode & (stat.S_IRWXG | stat.S_IRWXO):
        raise PrivacyError(
            f"{path}: its group or others may use this key file (mode {stat.S_IMODE(mode):03o}). Take the rights away with "
            f"`chmod 600 {path}`; if somebody may have read it, make a new key."
        )
