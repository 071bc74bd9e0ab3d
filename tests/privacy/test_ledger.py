"""What is spent is on disk before it is spent, and nobody can spend more than there is."""

import json
import multiprocessing
import os
import signal
import subprocess
import sys
import time

import pytest

from corpusmill.privacy.accounting import Event, epsilon
from corpusmill.privacy.ledger import Ledger
from corpusmill.transforms.errors import BudgetError, DatasetError, PrivacyError, VerifyError

RUN = Event(kind="poisson-gaussian", sigma=1.0, rate=0.01, count=500)


@pytest.fixture
def ledger(tmp_path):
    return Ledger.create(tmp_path, "letters", "document", 3.0, 1e-6, units=10_000)


def test_runs_compose_and_an_unfinished_one_counts_whole(ledger):
    spend = ledger.reserve("run-1", RUN, "fine-tune", "document")
    assert ledger.spent() == pytest.approx(epsilon([RUN], 1e-6))
    spend.close(200)
    assert ledger.spent() == pytest.approx(epsilon([RUN.times(200)], 1e-6))
    ledger.spend(Event(kind="gaussian", sigma=8.0), "counts", "document")
    ledger.reserve("run-2", RUN, "refresh", "document")
    total = [RUN.times(700), Event(kind="gaussian", sigma=8.0)]
    assert ledger.spent() == pytest.approx(epsilon(total, 1e-6))
    assert [run_open for _, _, run_open in ledger.entries()] == [False, False, True]


def test_more_than_is_left_is_refused_and_leaves_no_trace(ledger):
    ledger.reserve("run-1", RUN, "fine-tune", "document")
    before = ledger.path.read_bytes()
    with pytest.raises(BudgetError, match=r"No data was touched"):
        ledger.reserve("run-2", RUN.times(5000), "refresh", "document")
    with pytest.raises(BudgetError):
        ledger.spend(Event(kind="gaussian", sigma=0.5), "counts", "document")
    with pytest.raises(BudgetError):
        ledger.spend(Event(kind="gaussian", sigma=0.0), "no noise", "document")
    with pytest.raises(BudgetError, match=r"of 1 \(delta"):  # less than the budget, for this run
        ledger.reserve("run-2", RUN.times(1), "refresh", "document", at_most=1.0)
    assert ledger.path.read_bytes() == before


def test_tuning_runs_count(ledger):
    for i in range(10):
        try:
            ledger.reserve(f"tune-{i}", RUN.times(300), "learning rate", "document").close(300)
        except BudgetError:
            break
    assert 2 < i < 9
    assert ledger.spent() <= 3.0


def test_the_same_run_goes_on_with_what_it_has(ledger):
    ledger.reserve("run-1", RUN, "fine-tune", "document")
    again = ledger.reserve("run-1", RUN, "fine-tune", "document")
    assert len(ledger.lines()) == 2
    with pytest.raises(PrivacyError, match="now asks for"):
        ledger.reserve("run-1", RUN.times(600), "fine-tune", "document")
    with pytest.raises(PrivacyError, match="501 steps"):
        again.close(501)
    again.close(500)
    with pytest.raises(PrivacyError, match="closed"):
        ledger.reserve("run-1", RUN, "fine-tune", "document")


def test_units_do_not_mix(ledger):
    with pytest.raises(PrivacyError, match="not `user`"):
        ledger.reserve("run-1", RUN, "fine-tune", "user")


def test_a_ledger_is_made_once_and_read_with_suspicion(ledger, tmp_path):
    with pytest.raises(PrivacyError, match="already"):
        Ledger.create(tmp_path, "letters", "document", 30.0, 1e-6)
    with pytest.raises(PrivacyError, match="1 / 10,000,000"):
        Ledger.create(tmp_path / "b", "letters", "document", 3.0, 1e-6, units=10_000_000)
    with pytest.raises(DatasetError, match="no privacy ledger"):
        Ledger(tmp_path / "none").reserve("r", RUN, "", "document")
    assert not (tmp_path / "none").exists()
    ledger.reserve("run-1", RUN, "fine-tune", "document")
    ledger.reserve("run-2", RUN.times(1), "one more", "document")
    lines = ledger.path.read_text().splitlines(keepends=True)
    line = json.loads(lines[1])
    for changed in (lines[:1] + lines[2:], [lines[0], lines[1].replace('"count": 500', '"count": 5'), lines[2]]):
        assert line["event"]["count"] == 500
        ledger.path.write_text("".join(changed))
        with pytest.raises(VerifyError, match=r"privacy.jsonl:\d"):
            ledger.spent()


def test_a_line_cut_short_by_a_crash_is_written_over(ledger):
    ledger.reserve("run-1", RUN, "fine-tune", "document")
    whole = ledger.path.read_bytes()
    for cut in (1, 40, 200):
        ledger.path.write_bytes(whole + whole[-cut - 1 : -1])
        assert len(ledger.lines()) == 2
    ledger.reserve("run-2", RUN.times(1), "more", "document")
    assert [x["kind"] for x in ledger.lines()] == ["budget", "reserve", "reserve"]


def _one(path: str, name: str) -> None:
    Ledger(path).reserve(name, RUN.times(100), "side by side", "document")


def test_processes_side_by_side_lose_nothing(ledger):
    with multiprocessing.get_context("spawn").Pool(2) as pool:
        pool.starmap(_one, [(str(ledger.path), f"run-{i}") for i in range(4)])
    assert sorted(x["run"] for x in ledger.lines()[1:]) == [f"run-{i}" for i in range(4)]


SPENDER = """
import sys
from corpusmill.privacy.accounting import Event
from corpusmill.privacy.ledger import Ledger
ledger = Ledger(sys.argv[1])
for i in range(10_000):
    event = Event(kind="approximate", epsilon=1e-4)
    line = {"kind": "spend", "event": event.model_dump(), "what": str(i), "by": ""}
    ledger._append(line)
    print(i, flush=True)      # the spend that follows the line
"""


@pytest.mark.parametrize(
    "after", [0.02, 0.1, 0.2] if os.environ.get("FAULTS") != "long" else [i * 0.013 for i in range(40)]
)
def test_kill_at_any_moment_loses_no_spend(ledger, after):
    process = subprocess.Popen([sys.executable, "-c", SPENDER, str(ledger.path)], stdout=subprocess.PIPE)
    assert process.stdout is not None
    process.stdout.readline()
    time.sleep(after)
    os.kill(process.pid, signal.SIGKILL)
    spent = 1 + len(process.stdout.read().split())
    process.wait()
    written = sum(line["kind"] == "spend" for line in ledger.lines())
    assert written >= spent
    ledger.reserve("next", RUN, "goes on", "document")
