"""Draws of a private run: fixed by key and step, of the right distribution, apart from each other."""

import numpy as np
import pytest
from scipy import stats

from corpusmill.privacy.secret import COUNT, NOISE, Secret
from corpusmill.transforms.errors import DatasetError, PrivacyError

KEY = bytes(range(32))


def test_the_stream_is_chacha20_of_rfc_8439():
    """The block function of the RFC's section 2.3.2, reached through purpose, part and step."""
    words = Secret(KEY).words(9, 0x4A000000000000, 0, 8)
    from cryptography.hazmat.primitives.ciphers import Cipher, algorithms

    nonce = bytes(4) + bytes([9, 0, 0, 0]) + (0x4A000000000000).to_bytes(8, "little")
    assert words.tobytes() == Cipher(algorithms.ChaCha20(KEY, nonce), None).encryptor().update(bytes(64))


def test_golden_draws():
    secret = Secret(KEY)
    assert secret.name == "d969808cdcadf5e410f6831f4c6f609b"
    assert secret.sampled(3, 50, 0.1).tolist() == [1, 8, 13, 41]
    assert secret.normal(2, 3).round(6).tolist() == [0.352712, 1.262102, -1.041901]


def test_fresh_secrets_differ_and_do_not_print_themselves():
    a, b = Secret(), Secret()
    assert a.name != b.name
    assert a._key.hex() not in repr(a)
    with pytest.raises(PrivacyError, match="32 bytes"):
        Secret(b"seed 1")


def test_sampling_has_its_rate_and_steps_are_independent():
    secret = Secret(KEY)
    masks = np.zeros((40, 20_000), np.bool_)
    for step in range(40):
        masks[step, secret.sampled(step, 20_000, 0.05)] = True
    assert abs(masks.mean() - 0.05) < 4 * np.sqrt(0.05 * 0.95 / masks.size)
    together = (masks[:-1] & masks[1:]).mean()
    assert abs(together - 0.0025) < 4 * np.sqrt(0.0025 / (39 * 20_000))
    assert len(secret.sampled(0, 7, 1.0)) == 7


def test_the_mask_of_a_unit_does_not_depend_on_how_many_there_are():
    secret = Secret(KEY)
    few, many = secret.sampled(5, 1000, 0.2), secret.sampled(5, 5000, 0.2)
    assert many[many < 1000].tolist() == few.tolist()


def test_noise_is_standard_normal():
    draws = Secret(KEY).normal(0, 300_001)
    assert stats.kstest(draws, "norm").pvalue > 0.001
    assert abs(draws.std() - 1) < 0.006
    assert abs(np.corrcoef(draws[:-1], draws[1:])[0, 1]) < 0.01
    assert np.isfinite(draws).all()


def test_purposes_steps_and_parts_are_apart():
    secret = Secret(KEY)
    streams = [secret.normal(s, 2000, part, purpose) for s in (0, 1) for part in (0, 1) for purpose in (NOISE, COUNT)]
    assert np.abs(np.corrcoef(streams) - np.eye(len(streams))).max() < 0.1


def test_a_secret_is_kept_in_a_file_of_its_owner(tmp_path):
    secret = Secret()
    secret.save(tmp_path / "secret")
    assert (tmp_path / "secret").stat().st_mode & 0o777 == 0o600
    assert Secret.load(tmp_path / "secret").name == secret.name
    with pytest.raises(FileExistsError):
        secret.save(tmp_path / "secret")
    with pytest.raises(DatasetError, match="spends its budget anew"):
        Secret.load(tmp_path / "none")


def test_a_secret_that_others_can_read_is_refused(tmp_path):
    secret = Secret()
    secret.save(tmp_path / "secret")
    assert Secret.load(tmp_path / "secret").name == secret.name
    (tmp_path / "secret").chmod(0o644)
    with pytest.raises(PrivacyError, match="chmod 600"):
        Secret.load(tmp_path / "secret")
