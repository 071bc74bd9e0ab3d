"""What long operations report."""

from corpusmill.transforms import progress
from corpusmill.transforms.progress import Meter


def clocked(monkeypatch, *times):
    clock = iter(times)
    monkeypatch.setattr(progress.time, "monotonic", lambda: next(clock))


def test_reports_come_at_intervals_and_at_both_ends(monkeypatch):
    seen = []
    clocked(monkeypatch, 0.0, 0.1, 0.15, 0.3, 0.3, 0.31, 0.4)
    with Meter(seen.append, "verify", 4, "file", 100) as meter:
        for _ in range(4):
            meter.add(1, documents=2, bytes=10, work=25)
    assert [(r.done, r.documents, r.bytes, r.part) for r in seen] == [
        (0, 0, 0, 0.0),
        (3, 6, 30, 0.75),
        (4, 8, 40, 1.0),
    ]


def test_what_was_done_before_and_what_stops_early_is_told_as_it_is():
    seen = []
    with Meter(seen.append, "train", 10, "step", done=4) as meter:
        meter.add(1, tokens=7, note="loss 2.0")
    assert (seen[0].done, seen[0].part) == (4, 0.4)
    assert (seen[-1].done, seen[-1].part, seen[-1].tokens, seen[-1].note) == (5, 0.5, 7, "loss 2.0")


def test_a_share_is_not_made_up_where_the_work_is_not_known():
    seen = []
    with Meter(seen.append, "merge", 1, "tokenizer", 0) as meter:
        meter.add(bytes=5)
        meter.add(1)
    assert [r.part for r in seen] == [None, 1.0]


def test_nobody_listens():
    with Meter(None, "verify", 1, "file") as meter, meter.ticking():
        meter.add(1)
