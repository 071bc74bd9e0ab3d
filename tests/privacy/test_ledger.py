"""What is spent is on disk before it is spent, and nobody can spend more than there is."""

import hashlib
import json
import multiprocessing
import os
import shutil
import signal
import subprocess
import sys
import time

import pytest

from corpusmill.privacy.accounting import Event, epsilon, filter_epsilon
from corpusmill.privacy.anchors import head_of
from corpusmill.privacy.ledger import Ledger, faults
from corpusmill.privacy.ledger_lines import sealed
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
from corpusmill.privacy.anchors import head_of
from corpusmill.privacy.ledger import Ledger, faults
from corpusmill.privacy.ledger_lines import sealed
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


# damage and forgetting


def _flips(data: bytes) -> list[bytes]:
    """The data with one bit flipped, for every bit of it."""
    return [data[:i] + bytes([data[i] ^ (1 << bit)]) + data[i + 1 :] for i in range(len(data)) for bit in range(8)]


def test_every_flipped_bit_of_the_last_line_is_noticed(ledger):
    ledger.reserve("run-1", RUN, "fine-tune", "document")
    data = ledger.path.read_bytes()
    begin = data.rindex(b"\n", 0, -1) + 1
    head, last = data[:begin], data[begin:]
    for flipped in _flips(last):
        ledger.path.write_bytes(head + flipped)
        with pytest.raises((VerifyError, DatasetError)):
            ledger.spent()
        assert faults(ledger.path)
    ledger.path.write_bytes(data)
    assert faults(ledger.path) == []


def test_every_flipped_bit_of_a_fresh_budget_is_noticed(ledger):
    data = ledger.path.read_bytes()
    for flipped in _flips(data):
        ledger.path.write_bytes(flipped)
        with pytest.raises((VerifyError, DatasetError)):
            assert ledger.budget["epsilon"] != 3.0
    ledger.path.write_bytes(data)
    for flipped in _flips(head_of(ledger.path).read_bytes()):
        head_of(ledger.path).write_bytes(flipped)
        with pytest.raises(VerifyError):
            ledger.spent()


def test_a_lost_line_end_is_no_torn_line_even_without_the_note(ledger):
    ledger.reserve("run-1", RUN, "fine-tune", "document")
    data = ledger.path.read_bytes()
    ledger.path.write_bytes(data[:-1] + b"J")
    head_of(ledger.path).unlink()
    with pytest.raises(VerifyError, match=r"privacy\.jsonl:2"):
        ledger.spent()


def test_a_cut_tail_an_edited_line_and_a_missing_note_are_noticed(ledger):
    for name in ("run-1", "run-2"):
        ledger.reserve(name, RUN.times(10), "fine-tune", "document").close(10)
    whole = ledger.path.read_bytes()
    ledger.path.write_bytes(b"".join(whole.splitlines(keepends=True)[:-2]))
    with pytest.raises(VerifyError, match="3 lines, and had 5"):
        ledger.spent()
    line = json.loads(whole.splitlines()[-1])
    line["steps"] = 0
    edited = sealed({k: v for k, v in line.items() if k != "digest"})  # with the digests recomputed
    ledger.path.write_bytes(b"".join(whole.splitlines(keepends=True)[:-1]) + edited)
    with pytest.raises(VerifyError, match="line 5 is not the one that was written"):
        ledger.spent()
    ledger.path.write_bytes(whole)
    head_of(ledger.path).unlink()
    with pytest.raises(VerifyError, match=r"privacy.jsonl.head is missing"):
        ledger.reserve("run-3", RUN.times(10), "more", "document")


def test_a_forged_close_is_refused(ledger):
    ledger.reserve("run-1", RUN, "fine-tune", "document")
    spent = ledger.spent()
    for token in ({}, {"token": "00" * 32}):
        with pytest.raises(VerifyError, match="without the token"):
            ledger._append({"kind": "close", "run": "run-1", "steps": 0} | token)
        before = json.loads(ledger.path.read_bytes().splitlines()[-1])
        assert before["kind"] == "reserve"
        data = ledger.path.read_bytes()
        chain = {"before": hashlib.sha256(data.splitlines()[-1]).hexdigest(), "at": before["at"]}
        ledger.path.write_bytes(data + sealed({"kind": "close", "run": "run-1", "steps": 0} | token | chain))
        with pytest.raises(VerifyError, match="without the token"):
            ledger.spent()
        ledger.path.write_bytes(data)
    assert ledger.spent() == spent
    with pytest.raises(PrivacyError, match="only who holds the secret"):
        Ledger(ledger.path).reserve("run-1", RUN, "fine-tune", "document").close(0)
    Ledger(ledger.path).reserve("run-2", RUN.times(1), "one", "document", token="t" * 64)
    Ledger(ledger.path).reserve("run-2", RUN.times(1), "one", "document", token="t" * 64).close(0)


@pytest.fixture
def source(tmp_path):
    (tmp_path / "raw").mkdir()
    (tmp_path / "raw" / "letters.jsonl").write_text('{"id": "1", "text": "dear"}\n')
    return tmp_path / "raw" / "letters.jsonl"


def test_a_deleted_ledger_is_not_begun_anew(tmp_path, source):
    ledger = Ledger.create(tmp_path / "a.jsonl", "letters", "document", 3.0, 1e-6, sources=[str(source)])
    ledger.reserve("run-1", RUN, "fine-tune", "document")
    ledger.path.unlink()
    assert "is gone" in faults(ledger.path)[0]
    with pytest.raises(VerifyError, match="was here"):
        ledger.spent()
    with pytest.raises(PrivacyError, match=r"a ledger of letters was here \(2 lines\)"):
        Ledger.create(ledger.path, "letters", "document", 3.0, 1e-6)
    head_of(ledger.path).unlink()
    with pytest.raises(PrivacyError, match="which is gone"):
        Ledger.create(ledger.path, "letters", "document", 3.0, 1e-6, sources=[str(source)])


def test_a_second_ledger_of_the_same_source_is_refused(tmp_path, source):
    Ledger.create(tmp_path / "a.jsonl", "letters", "document", 3.0, 1e-6, sources=[str(source)])
    for again in (source, source.parent, source.parent / "*.jsonl"):
        with pytest.raises(PrivacyError, match=r"Name it: `ledger: .*a\.jsonl`"):
            Ledger.create(tmp_path / "b.jsonl", "others", "document", 3.0, 1e-6, sources=[str(again)])
    other = Ledger.create(tmp_path / "c.jsonl", "web", "document", 3.0, 1e-6)
    for act in (
        lambda: other.reserve("run-1", RUN, "fine-tune", "document", sources=[str(source)]),
        lambda: other.spend(Event(kind="gaussian", sigma=8.0), "counts", "document", sources=[str(source)]),
    ):
        with pytest.raises(PrivacyError, match="A population has one ledger"):
            act()
    (source.parent / "mails.jsonl").write_text('{"id": "2", "text": "hello"}\n')
    Ledger.create(tmp_path / "d.jsonl", "mails", "document", 3.0, 1e-6, sources=[str(source.parent / "mails.jsonl")])


def test_two_copies_of_a_ledger_cannot_both_go_on(tmp_path, source):
    (tmp_path / "a").mkdir()
    ledger = Ledger.create(tmp_path / "a", "letters", "document", 3.0, 1e-6, sources=[str(source)])
    shutil.copytree(tmp_path / "a", tmp_path / "b")
    ledger.reserve("run-1", RUN, "fine-tune", "document")
    with pytest.raises(VerifyError, match="its end was cut off"):
        Ledger(tmp_path / "b").reserve("run-2", RUN, "fine-tune", "document")
    assert faults(tmp_path / "b")
    assert faults(tmp_path / "a") == []
    next(source.parent.glob(".corpusmill-ledger-*")).unlink()
    assert "was removed" in faults(tmp_path / "a")[0]


@pytest.mark.parametrize("run", ["docs-model", "docs-model/000001", "docs-model/000001/answers"])  # a recipe; a stage
def test_a_ledger_is_not_begun_where_a_model_of_the_population_is(tmp_path, run):
    step = tmp_path / run / "checkpoints" / "step-00000001"
    step.mkdir(parents=True)
    (step / "state.json").write_text(json.dumps({"guarantee": {"population": "letters"}}))
    (tmp_path / "docs").mkdir()
    with pytest.raises(PrivacyError, match="would be forgotten"):
        Ledger.create(tmp_path / "docs", "letters", "document", 3.0, 1e-6)
    Ledger.create(tmp_path / "docs", "others", "document", 3.0, 1e-6)


def test_a_ledger_of_an_earlier_version_is_read_and_goes_on(tmp_path):
    budget = {"kind": "budget", "population": "p", "unit": "document", "adjacency": "add-or-remove", "epsilon": 3.0}
    first = json.dumps(
        budget | {"delta": 1e-6, "units": None, "at": "2025-01-01", "before": ""}, sort_keys=True
    ).encode()
    old = {"kind": "reserve", "run": "r", "event": RUN.model_dump(), "what": "w", "by": "", "at": "2025-01-01"}
    second = json.dumps(old | {"before": hashlib.sha256(first).hexdigest()}, sort_keys=True).encode()
    (tmp_path / "privacy.jsonl").write_bytes(first + b"\n" + second + b"\n")
    ledger = Ledger(tmp_path)
    assert ledger.spent() == pytest.approx(epsilon([RUN], 1e-6))
    ledger.reserve("r", RUN, "w", "document").close(100)
    assert ledger.spent() == pytest.approx(epsilon([RUN.times(100)], 1e-6))
    assert faults(tmp_path) == []
    ledger.path.write_bytes(ledger.path.read_bytes().replace(b'"steps": 100', b'"steps": 0'))
    assert faults(tmp_path)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everything")
def test_a_read_only_ledger_is_one_clear_error(ledger):
    ledger.path.chmod(0o444)
    with pytest.raises(DatasetError, match="cannot be written"):
        ledger.reserve("run-1", RUN, "fine-tune", "document")


def test_a_ledger_that_the_system_refuses_is_one_clear_error(ledger, monkeypatch):
    def refuse(*_):
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr("corpusmill.privacy.ledger.os.open", refuse)
    with pytest.raises(DatasetError, match=r"cannot be written \(Read-only file system\)"):
        ledger.reserve("run-1", RUN, "fine-tune", "document")


def test_an_adaptive_ledger_spends_by_its_filter(tmp_path):
    """Budgets that are decided on after looking at earlier results are not what composed privacy loss distributions are
    proven for: a ledger may be kept by a filter of one order, fixed when it begins."""
    ledger = Ledger.create(tmp_path, "letters", "document", 3.0, 1e-6, composition="adaptive")
    order = ledger.budget["order"]
    assert ledger.accountant == f"filter-{order:g}"
    ledger.reserve("run-1", RUN, "fine-tune", "document").close(500)
    assert ledger.spent() == ledger.adaptive() == filter_epsilon([RUN], 1e-6, order)
    assert ledger.spent() > ledger.spent("pld")
    fits = next(n for n in range(100, 100_000, 100) if epsilon([RUN.times(500 + n)], 1e-6, ledger.accountant) > 3.0)
    assert epsilon([RUN.times(500 + fits)], 1e-6) < 3.0  # the other accountant would let it through
    with pytest.raises(BudgetError):
        ledger.reserve("run-2", RUN.times(fits), "more", "document")
    other = Ledger.create(tmp_path / "other.jsonl", "letters", "document", 3.0, 1e-6)
    assert other.accountant == "pld"
    other.reserve("run-1", RUN, "fine-tune", "document").close(500)
    assert other.adaptive() == ledger.spent()
