"""Each party killed in each phase of sums, encrypted sums and encrypted scores, and started again: the result is the right one.

(Deduplication: `test_dedup.py`; fine-tuning: `test_rounds.py`, `test_federated.py`; parties that do not come back: there and in
`test_aggregation.py`.) Threads of one process by default; with FAULTS=long processes that are killed by the system, too.
"""

import json
import os

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from corpusmill.privacy.secure import counts, scoring
from corpusmill.privacy.secure.settings import Score
from tests.privacy.secure.parties import OWNERS, Parties, Threads

pytest.importorskip("cryptography", reason="secure sums need cryptography")

LONG = os.environ.get("FAULTS") == "long"
BY = {"by": [{"column": "lang", "values": ["en", "zh"]}]}
JOBS = {
    "masks": {"job": "j", "kind": "mix", "count": BY},
    "encrypted": {
        "job": "j",
        "kind": "mix",
        "count": {**BY, "method": "encrypted"},
        "parties": {"key_holder": "north"},
    },
    "score": {"job": "j", "kind": "score", "score": {"features": 2, "degree": 2}, "parties": {"owners": ["north"]}},
}
PHASES = {
    "masks": [("south", k) for k in ("public", "shares", "held", "masked", "unmask")]
    + [("hub", k) for k in ("roster", "alive", "sum")],
    "encrypted": [("north", k) for k in ("context", "cipher", "plain-sum")]
    + [("south", "cipher")]
    + [("hub", k) for k in ("context", "cipher", "alive", "plain-sum")],
    "score": [("north", k) for k in ("size", "context", "cipher")] + [("hub", "cipher")],
}
CASES = [(verb, name, kind) for verb, phases in PHASES.items() for name, kind in phases]
MODEL = {"bias": 0.25, "linear": [1.0, -2.0], "factors": [[0.5, 1.0]], "signs": [-1]}


def prepared(tmp_path, verb):
    """(job, owners, files of each party, what the result must be)."""
    files = {}
    if verb == "score":
        pytest.importorskip("tenseal", reason="encrypted scores need tenseal")
        x = np.array([[0.6, 0.8], [1.0, 0.0], [-0.5, 0.5]])
        pq.write_table(pa.table({"id": ["a", "b", "c"], "embedding": x.tolist()}), tmp_path / "north.parquet")
        (tmp_path / "hub.json").write_text(json.dumps(MODEL))
        files = {"north": [tmp_path / "north.parquet"], "hub": [tmp_path / "hub.json"]}
        return JOBS[verb], ("north",), files, scoring.Model(**MODEL).plain(x).tolist()
    if verb == "encrypted":
        pytest.importorskip("tenseal", reason="encrypted sums need tenseal")
    for i, o in enumerate(OWNERS):
        files[o] = [tmp_path / f"{o}.parquet"]
        pq.write_table(pa.table({"lang": ["en"] * (i + 1) + ["zh"]}), files[o][0])
    return JOBS[verb], OWNERS, files, [6, 3, 0]


@pytest.mark.parametrize(("verb", "name", "kind"), CASES)
def test_a_party_that_starts_again_in_any_phase_changes_nothing(tmp_path, verb, name, kind):
    job, owners, files, expected = prepared(tmp_path, verb)
    parties = Threads(tmp_path / "p", json.loads(json.dumps(job)), timeout=60, owners=owners)
    given = {n: list(map(str, f)) for n, f in files.items()}

    def part(node):
        if verb != "score":
            return counts.joint(node, parties.job.count, given.get(node.name, []))[0].tolist()
        if node.name == "hub":
            return scoring.as_model_owner(node, Score(features=2, degree=2), given["hub"])["documents"]
        return scoring.as_owner(node, Score(features=2, degree=2), given["north"])[0]["score"].to_pylist()

    found = parties.restarting(dict.fromkeys((*owners, "hub"), part), name, kind)
    assert {k: str(v) for k, v in found.items() if isinstance(v, BaseException)} == {}
    if verb == "score":
        assert found == {"hub": 3, "north": pytest.approx(expected, abs=1e-4)}
    else:
        assert found == dict.fromkeys((*owners, "hub"), expected)


@pytest.mark.skipif(not LONG, reason="processes that are killed in each phase: FAULTS=long")
@pytest.mark.parametrize(("verb", "name", "kind"), CASES)
def test_a_process_killed_in_any_phase_starts_again(tmp_path, verb, name, kind):
    job, owners, files, expected = prepared(tmp_path, verb)
    parties = Parties(tmp_path / "p", json.loads(json.dumps(job)), owners, timeout=200)
    try:
        found = parties.all_with_a_kill(name, kind, files)
        if verb == "score":
            scores = pq.read_table(found["north"][1]["result"])["score"].to_pylist()
            assert scores == pytest.approx(expected, abs=1e-4)
        for n in parties.names if verb != "score" else ():
            with open(found[n][1]["result"], encoding="utf-8") as file:
                assert [w["count"] for w in json.load(file)] == expected[:2]
    finally:
        parties.kill()
