"""Progress off a terminal: a line when a stage ends, each once."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from corpusmill.pipelines.report.progress import Display


def test_plain_lines(capsys: pytest.CaptureFixture[str]) -> None:
    with Display() as display:
        for done in (0, 1, 2, 2):
            display.update(SimpleNamespace(stage="pass 1", done=done, total=2, reused=1))
        display.update(SimpleNamespace(stage="pass 2", done=1, total=1, reused=0))
    out, err = capsys.readouterr()
    assert out == ""
    lines = err.splitlines()
    assert len(lines) == 2
    assert lines[0].startswith("pass 1: 2/2 tasks, 1 reused")
    assert lines[1].startswith("pass 2: 1/1 task, ")


def test_bars_on_a_terminal(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr("corpusmill.pipelines.report.progress.is_rich", lambda stream: True)
    with Display() as display:
        display.update(SimpleNamespace(stage="pass 1", done=2, total=2, reused=0))
    assert "pass 1" in capsys.readouterr().err
