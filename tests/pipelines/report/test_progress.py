"""Progress off a terminal: a line when a stage ends, each once."""

from __future__ import annotations

import pytest

from corpusmill.pipelines.report import progress
from corpusmill.pipelines.report.progress import Display
from corpusmill.pipelines.run import Progress


def test_plain_lines(capsys: pytest.CaptureFixture[str]) -> None:
    with Display() as display:
        for done in (0, 1, 2, 2):
            display.update(Progress(stage="pass 1", done=done, total=2, reused=1))
        display.update(Progress(stage="pass 2", done=1, total=1, reused=0))
    out, err = capsys.readouterr()
    assert out == ""
    lines = err.splitlines()
    assert len(lines) == 2
    assert lines[0].startswith("pass 1: 2/2 tasks, 1 reused")
    assert lines[1].startswith("pass 2: 1/1 task, ")


def test_bars_on_a_terminal(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr("corpusmill.pipelines.report.progress.is_rich", lambda stream: True)
    with Display() as display:
        display.update(Progress(stage="pass 1", done=2, total=2, reused=0))
    assert "pass 1" in capsys.readouterr().err


def test_a_stage_without_work_is_not_shown(capsys: pytest.CaptureFixture[str]) -> None:
    with Display() as display:
        display.update(Progress(stage="pass 1", done=2, total=2, reused=2))
    assert capsys.readouterr().err == ""


def test_figures_and_what_is_left(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    clock = iter([0.0, 10.0, 20.0, 41.0, 50.0])
    monkeypatch.setattr(progress.time, "monotonic", lambda: next(clock))
    with Display() as display:
        for done, part in ((0, 0.0), (0, 0.25), (0, 0.5), (1, 0.8), (2, 1.0)):
            display.update(Progress("pass 1", done, 2, 0, documents=1000 * done + 7, bytes=int(1e8 * part), part=part))
    lines = capsys.readouterr().err.splitlines()
    assert lines == [
        "pass 1: 0/2 tasks, 7 documents, 2.5 MB/s, 30.0 s left",
        "pass 1: 1/2 tasks, 1,007 documents, 2.0 MB/s, 10.2 s left",  # 30 s later, not 10
        "pass 1: 2/2 tasks, 2,007 documents, 2.0 MB/s, 50.0 s",
    ]


@pytest.mark.parametrize("width", [40, 60, 120])
def test_bars_fit_a_narrow_terminal(width, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr("corpusmill.pipelines.report.progress.is_rich", lambda stream: True)
    monkeypatch.setenv("COLUMNS", str(width))
    with Display() as display:
        display.update(Progress("pass 1 of 3: clean, language, gopher-quality", 1, 2, 0, 12_345, 10**7, 0.5))
    assert all(len(line) <= width for line in capsys.readouterr().err.splitlines())
