"""Private counts on Beam: those of the tables in one place, charged before anything is read."""

import json
import tempfile
from pathlib import Path

import apache_beam as beam
import numpy as np
import pyarrow as pa
import pytest
from apache_beam.runners.portability.fn_api_runner import FnApiRunner

from corpusmill.pipelines.beam.counts import PrivateCounts
from corpusmill.privacy.accounting import epsilon
from corpusmill.privacy.ledger import Ledger
from corpusmill.privacy.statistics import count_units
from corpusmill.transforms.errors import BudgetError, PrivacyError, RecipeError

N = 1200
KEY = bytes(range(32))


@pytest.fixture(autouse=True)
def coins(monkeypatch):
    """Draws are the same in every run: what is asserted of them holds always, or never."""
    monkeypatch.setattr("corpusmill.pipelines.beam.counts.secrets.token_bytes", lambda n: KEY[:n])


def documents(n: int = N) -> pa.RecordBatch:
    """Each user has three documents, in two languages; every tenth of the texts is long."""
    rng = np.random.default_rng(0)
    return pa.record_batch(
        {
            "id": [f"d{i}" for i in range(n)],
            "text": ["文" * 200 if i % 10 == 0 else "a few words" for i in range(n)],
            "source": rng.choice(["mail", "chat"], n, p=[0.7, 0.3]),
            "lang": pa.array([["en", "zh", None][i % 3] for i in range(n)]),
            "user": [f"u{i // 3}" for i in range(n)],
        }
    )


def counts(batches: list[pa.RecordBatch], transform: PrivateCounts) -> list[dict]:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "counts.jsonl"
        pipeline = beam.Pipeline(runner=FnApiRunner())
        _ = pipeline | beam.Create(batches) | transform | beam.Map(append, str(path))
        pipeline.run()
        lines = path.read_text().splitlines() if path.exists() else []
    return sorted(map(json.loads, lines), key=lambda row: (row["by"], str(row["group"])))


def append(row: dict, path: str) -> None:
    with open(path, "a") as f:
        f.write(json.dumps(row) + "\n")


def test_counts_are_right_within_their_noise_and_the_ledger_is_charged_for_all_of_them(tmp_path):
    ledger = Ledger.create(tmp_path, "p", "document", 2.5, 1e-5)
    whole = documents()
    transform = PrivateCounts(ledger, 2.0, 1e-6)
    found = counts([whole.slice(i, 100) for i in range(0, N, 100)], transform)
    got = {(r["by"], r["group"]): r for r in found}
    sources = whole.column("source").to_pylist()
    wanted = {("source", s): sources.count(s) for s in ("mail", "chat")}
    wanted |= {("lang", x): N // 3 for x in ("en", "zh", None)} | {
        ("length", "512"): N // 10,
        ("length", "8"): N * 9 // 10,
    }
    assert set(got) == set(wanted)
    assert all(abs(got[k]["units"] - n) < 5 * got[k]["deviation"] for k, n in wanted.items())
    assert ledger.spent() <= epsilon(ledger.events(), 1e-6) <= 2.0
    assert len(ledger.entries()) == 2
    with pytest.raises(BudgetError, match="No data was touched"):
        counts([whole], PrivateCounts(ledger, 2.0, 1e-6))
    assert len(ledger.entries()) == 2


def test_a_user_counts_once_however_the_rows_lie_in_batches(tmp_path):
    whole = documents()
    order = np.random.default_rng(1).permutation(N)
    for batches in ([whole], [whole.take(pa.array(order[i::7])) for i in range(7)]):
        found = counts(batches, PrivateCounts(None, 4.0, 1e-6, by=("lang",), unit="user", max_groups=2))
        by_lang = {r["group"]: r["units"] for r in found}
        assert sum(by_lang.values()) == pytest.approx(2 * N / 3, abs=5 * sum(r["deviation"] for r in found))
        assert min(by_lang.values()) > 200


def test_parts_that_meet_are_the_table_in_one_place():
    whole = documents()
    transform = PrivateCounts(None, 1.0, 1e-4, by=("source",), unit="user")
    found = counts([whole.slice(i, 50) for i in range(0, N, 50)], transform)
    from corpusmill.privacy.secret import Secret

    groups = pa.table({"set": np.zeros(N, np.int32), "group": whole.column("source")})
    one = count_units(groups, whole.column("user"), transform.sigma, transform.threshold_delta, secret=Secret(KEY))
    assert [r["units"] for r in found] == one.table["units"].to_pylist()


def test_empty_small_and_wrong():
    assert counts([documents(1).slice(0, 0)], PrivateCounts(None, 1.0, 1e-6)) == []
    assert counts([documents(1)], PrivateCounts(None, 1.0, 1e-6)) == []  # one unit names no group
    with pytest.raises(Exception, match="no column `topic`"):
        counts([documents(3)], PrivateCounts(None, 1.0, 1e-6, by=("topic",)))
    with pytest.raises(RecipeError, match="each once"):
        PrivateCounts(None, 1.0, 1e-6, by=("lang", "lang"))
    with pytest.raises(PrivacyError, match="at least one group"):
        PrivateCounts(None, 1.0, 1e-6, max_groups=0)
