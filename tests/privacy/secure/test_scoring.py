import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from corpusmill.privacy.secure import scoring
from corpusmill.privacy.secure.homomorphic import checked, parameters, public_bytes
from corpusmill.transforms.errors import ProtocolError, SourceError
from tests.privacy.secure.parties import Threads

pytest.importorskip("tenseal", reason="encrypted scores need tenseal")

RNG = np.random.default_rng(3)


def documents(path, n, features):
    x = RNG.normal(size=(n, features))
    x /= np.linalg.norm(x, axis=1, keepdims=True)
    column = pa.FixedSizeListArray.from_arrays(pa.array(x.reshape(-1)), features).cast(pa.list_(pa.float64()))
    pq.write_table(pa.table({"id": [f"d{i}" for i in range(n)], "embedding": column}), path)
    return x


def model(path, features, factors=0):
    found = {"bias": -0.1, "linear": RNG.normal(size=features).tolist()}
    if factors:
        found |= {"factors": RNG.normal(size=(factors, features)).tolist(), "signs": [1, -1][:factors]}
    path.write_text(json.dumps(found))
    return scoring.load_model(str(path), scoring.Score(features=features, degree=2 if factors else 1))


@pytest.mark.parametrize(("degree", "features", "n"), [(1, 12, 8200), (2, 12, 4096), (2, 3, 8200)])
def test_encrypted_scores_are_the_plain_ones(tmp_path, degree, features, n):
    x = documents(tmp_path / "d.parquet", n, features)
    plain = model(tmp_path / "m.json", features, 2 if degree == 2 else 0).plain(x)
    job = {"job": "s", "kind": "score", "score": {"features": features, "degree": degree}}
    parties = Threads(tmp_path / "p", job, timeout=60)
    settings = parties.job.score
    found = parties.run({
        "north": lambda node: scoring.as_owner(node, settings, [str(tmp_path / "d.parquet")]),
        "hub": lambda node: scoring.as_model_owner(node, settings, [str(tmp_path / "m.json")]),
    })  # fmt: skip
    table, told = found["north"]
    assert table["id"].to_pylist() == [f"d{i}" for i in range(n)]
    scores = table["score"].to_numpy()
    assert np.abs(scores - plain).max() < 1e-4
    sure = np.abs(plain) > 1e-4
    assert ((scores > 0) == (plain > 0))[sure].all()
    assert told["encryption"]["secure_128"]
    assert told["encryption_error"] < 1e-5


@pytest.mark.parametrize("degree", [1, 2])
def test_the_model_is_evaluated_without_the_key(degree):
    private = scoring.ckks(degree)
    public = checked(public_bytes(private), "ckks", "north")
    assert parameters(public)["secure_128"]
    x = np.array([[0.5, -0.25]] * 4097 + [[-0.125, 0.75]])  # the last one is in an imaginary part
    pieces = scoring.encrypt(private, x)
    more = {"factors": ((1.0, 1.0), (2.0, -1.0)), "signs": (1.0, -1.0)} if degree == 2 else {}
    model = scoring.Model(bias=1.0, linear=(2.0, 0.0), **more)
    bits = scoring.weight_bits(model, scoring.Score(features=2, degree=degree))
    key = scoring.conjugation_key(private)
    scored = scoring.evaluate(public, pieces, model, bits, key)
    with pytest.raises(ValueError, match=r"[sS]ecret.[kK]ey"):
        scoring.decrypt(public, scored, 1)
    assert scoring.decrypt(private, scored, 4098) == pytest.approx(model.plain(x), abs=1e-5)
    with pytest.raises(ProtocolError, match="do not fit"):
        scoring.evaluate(public, [b"nothing", b"at all"], model, bits, key)
    other = scoring.encrypt(scoring.ckks(3 - degree), x)
    with pytest.raises(ProtocolError, match="do not fit"):
        scoring.evaluate(public, other, model, bits, key)


def slots(private, data):
    """What the owner decrypts of one ciphertext: complex [ring / 2]."""
    seal = scoring.Seal(private)
    plain = seal.api.Plaintext()
    seal.api.Decryptor(seal.context, private.secret_key().data).decrypt(seal.read(data), plain)
    return np.array(seal.encoder.decode_complex(plain))


def attacked(features, documents):
    """Weights that an owner computes from the answer to one document: least squares on the noise of its own ciphertexts in
    the slots that hold none. Returns (weights, what it computes)."""
    rng = np.random.default_rng(5)
    model = scoring.Model(bias=0.7, linear=tuple(rng.normal(size=features)))
    private = scoring.ckks(1)
    x = rng.normal(size=(documents, features))
    x /= np.linalg.norm(x, axis=1, keepdims=True)
    pieces = scoring.encrypt(private, x)
    bits = scoring.weight_bits(model, scoring.Score(features=features))
    public = checked(public_bytes(private), "ckks", "owner")
    answer = scoring.evaluate(public, pieces, model, bits, b"", documents)
    assert scoring.decrypt(private, answer, documents) == pytest.approx(model.plain(x), abs=2e-5)
    noises, result = (
        np.stack([slots(private, piece) for piece in pieces], 1)[documents:],
        slots(private, answer)[documents:],
    )
    a = np.concatenate([noises.real, noises.imag])
    a = np.column_stack([a, np.concatenate([np.ones(len(noises)), scoring._units().imag[documents:]])])
    length = np.linalg.norm(a, axis=0)
    solved = np.linalg.lstsq(a / length, np.concatenate([result.real, result.imag]), rcond=None)[0] / length
    return np.array(model.linear), solved[:features], abs(solved[features] - 0.7)


def test_one_document_gave_the_model_away_and_does_not_now(monkeypatch):
    weights, solved, _ = attacked(24, 1)
    assert abs(np.corrcoef(weights, solved)[0, 1]) < 0.6  # of 24 unrelated numbers
    assert np.abs(solved - weights).max() > 100 * np.abs(weights).max()
    # the attack itself works: without what hides them, all weights are known to a thousandth
    monkeypatch.setattr(scoring, "_hidden", lambda model, documents: np.zeros(scoring.RING // 2, np.complex128))
    weights, solved, bias = attacked(24, 1)
    assert np.abs(solved - weights).max() < 0.1
    assert np.corrcoef(weights, solved)[0, 1] > 0.999
    assert bias < 1e-3


def test_the_second_polynomial_of_an_answer_is_fresh():
    """Two answers to one question would otherwise be equal there, and a linear function of the weights."""
    private = scoring.ckks(1)
    model = scoring.Model(linear=(2.0, -1.0))
    pieces = scoring.encrypt(private, np.array([[0.6, 0.8]]))
    bits = scoring.weight_bits(model, scoring.Score(features=2))
    one, two = (scoring.evaluate(private, pieces, model, bits, b"", 1) for _ in range(2))
    half = len(one) // 2
    assert one[half:] != two[half:]


def test_a_model_of_zeros_and_one_of_large_weights():
    private = scoring.ckks(2)
    x = np.array([[0.6, 0.8], [0.0, -1.0]])
    pieces, key = scoring.encrypt(private, x), scoring.conjugation_key(private)
    settings = scoring.Score(features=2, degree=2)
    for model in (
        scoring.Model(linear=(0.0, 0.0), factors=((0.0, 0.0),), signs=(1.0,)),
        scoring.Model(bias=-300.0, linear=(100.0, -50.0), factors=((40.0, -30.0),), signs=(-1.0,)),
    ):
        bits = scoring.weight_bits(model, settings)
        found = scoring.decrypt(private, scoring.evaluate(private, pieces, model, bits, key), 2)
        assert found == pytest.approx(model.plain(x), rel=1e-6, abs=1e-4)


def test_features_that_could_overflow_are_refused(tmp_path):
    documents(tmp_path / "d.parquet", 5, 3)
    batch = pq.read_table(tmp_path / "d.parquet").column("embedding").combine_chunks()
    assert len(scoring._features(batch, scoring.Score(features=3), "d")) == 5
    with pytest.raises(SourceError, match=r"above the agreed `norm` 0\.5"):
        scoring._features(batch, scoring.Score(features=3, norm=0.5), "d")
    (tmp_path / "m.json").write_text('{"linear": [1e9, 0, 0], "factors": [[1e9, 0, 0]], "signs": [1]}')
    with pytest.raises(SourceError, match="too few bits"):
        scoring.load_model(str(tmp_path / "m.json"), scoring.Score(features=3, degree=2))


def test_models_that_do_not_fit_are_refused(tmp_path):
    file = tmp_path / "m.json"
    for text in (
        "{",
        '{"linear": [1]}',
        '{"linear": [1, 2], "factors": [[1, 2]], "signs": [1]}',
        '{"linear": [1, NaN]}',
    ):
        file.write_text(text)
        with pytest.raises(SourceError, match=r"m\.json"):
            scoring.load_model(str(file), scoring.Score(features=2))
