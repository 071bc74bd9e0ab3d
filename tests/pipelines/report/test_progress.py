"""Progress: bars at a terminal; elsewhere a line when a stage ends, each once."""

from __future__ import annotations

import contextlib
import fcntl
import os
import pty
import re
import struct
import subprocess
import sys
import termios
from pathlib import Path

import pytest

from corpusmill.pipelines.report import progress
from corpusmill.pipelines.report.progress import Display
from corpusmill.pipelines.report.terminal import cell_width
from corpusmill.transforms.progress import Progress
from tests.corpora import rows, write_recipe, write_shards


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


def test_verbs_with_a_result_are_silent_while_they_are_quick(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    clock = iter([0.0, 1.0, 10.0, 16.0, 20.0])
    monkeypatch.setattr(progress.time, "monotonic", lambda: next(clock))
    with Display(brief=True) as display:
        for done in (0, 2):
            display.update(Progress("verify", done, 2, noun="file"))
        for done in (0, 5, 10):
            display.update(Progress("train", done, 10, part=done / 10, tokens=600 * done, noun="step", note="loss 2.5"))
    assert capsys.readouterr().err.splitlines() == [
        "train: 5/10 steps, 500 tokens/s, loss 2.5, 6.0 s left",
        "train: 10/10 steps, 600 tokens/s, loss 2.5, 10.0 s",
    ]


def test_what_is_left_of_a_resumed_run_counts_its_own_steps_alone(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    clock = iter([0.0, 10.0])
    monkeypatch.setattr(progress.time, "monotonic", lambda: next(clock))
    with Display(brief=True) as display:
        for done in (80, 90):
            display.update(Progress("train", done, 100, part=done / 100, noun="step"))
    assert capsys.readouterr().err == "train: 90/100 steps, 10.0 s left\n"


SHOWN = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


@pytest.mark.parametrize("encoding", ["utf-8", "latin-1"])
def test_a_run_and_a_verification_at_a_terminal_of_60_columns(tmp_path: Path, encoding: str) -> None:
    write_shards(tmp_path / "日本", rows(600), 2)
    sources = [{"name": "raw", "path": "日本/*.parquet", "columns": {"id": "id"}}]
    write_recipe(tmp_path, ["clean", "exact"], sources=sources)
    seen = at_terminal(tmp_path, encoding, "run", "recipe.yaml") + at_terminal(tmp_path, encoding, "verify", "out")
    lines = [SHOWN.sub("", line) for line in re.split(r"[\r\n]+", seen)]
    assert any("100%" in line for line in lines)
    assert any("600 documents" in line for line in lines)
    assert any(line.startswith("verify snapsh") and "100%" in line for line in lines)
    assert max(cell_width(line) for line in lines if "%" in line) <= 60
    assert "Traceback" not in seen


def at_terminal(folder: Path, encoding: str, *arguments: str) -> str:
    """What `corpusmill ARGUMENTS` shows at a terminal of 60 columns."""
    main, terminal = pty.openpty()
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 60, 0, 0))
    environment = {k: v for k, v in os.environ.items() if k not in ("COLUMNS", "NO_COLOR", "TERM")}
    process = subprocess.Popen(
        [sys.executable, "-m", "corpusmill.pipelines.cli", *arguments],
        stdin=terminal, stdout=terminal, stderr=terminal, cwd=folder,
        env=environment | {"TERM": "xterm", "PYTHONIOENCODING": encoding},
    )  # fmt: skip
    os.close(terminal)
    shown = b""
    with contextlib.suppress(OSError):  # how Linux tells that the terminal's other side is closed
        while part := os.read(main, 65536):
            shown += part
    os.close(main)
    assert process.wait(60) == 0, shown
    return shown.decode(encoding)
