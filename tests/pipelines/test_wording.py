"""What is printed is safe on every terminal."""

import ast
import io
import json
import sys
import unicodedata
from pathlib import Path

import pytest

from corpusmill.pipelines.commands import print_json
from corpusmill.pipelines.wording import clean, printable, say

PIPELINES = Path(__file__).resolve().parents[2] / "pipelines"
HOSTILE = "a\x1b[31mred\x1b[0m\x1b]0;title\x07\rb\x9b2J\u202egnp\u2066.\u200b\u2028x\udc80\x00"


class Stream(io.TextIOWrapper):
    """A stream of an encoding that may say that it is a terminal."""

    def __init__(self, encoding: str, terminal: bool = False) -> None:
        super().__init__(io.BytesIO(), encoding=encoding, write_through=True)
        self._terminal = terminal

    def isatty(self) -> bool:
        return self._terminal

    @property
    def text(self) -> str:
        return self.buffer.getvalue().decode(self.encoding)  # type: ignore[attr-defined]


def dangerous(text: str) -> list[str]:
    """Characters that move a cursor, turn the direction or hide text."""
    bidi = {"LRE", "RLE", "PDF", "LRO", "RLO", "LRI", "RLI", "FSI", "PDI"}
    return [
        c
        for c in text
        if (unicodedata.category(c) in ("Cc", "Cs", "Zl", "Zp") and c not in "\n\t")
        or unicodedata.bidirectional(c) in bidi
    ]


@pytest.mark.parametrize("terminal", [False, True])
@pytest.mark.parametrize("encoding", ["utf-8", "latin-1", "ascii", "cp1252", "shift_jis"])
def test_printing_removes_controls_and_never_fails(encoding, terminal, monkeypatch):
    monkeypatch.setenv("NO_COLOR", "1")
    for name in ("stdout", "stderr"):
        stream = Stream(encoding, terminal)
        monkeypatch.setattr(sys, name, stream)
        say(HOSTILE + " 数据 ö █", err=name == "stderr")
        assert stream.text.startswith(("a", "\ufeffa"))
        assert not dangerous(stream.text)


def test_colours_stay_on_a_terminal_that_shows_them(monkeypatch):
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    stream = Stream("utf-8", terminal=True)
    monkeypatch.setattr(sys, "stdout", stream)
    say("\x1b[1;31mred\x1b[0m \x1b[2Jcleared")
    assert stream.text == "\x1b[1;31mred\x1b[0m \ufffd[2Jcleared\n"


def test_text_of_documents_stays_on_one_line_and_joiners_stay():
    assert dangerous(printable(HOSTILE)) == []
    assert "\n" not in printable("a\nb\x0bc\u2029d")
    for text in ("می\u200cخواهم", "👩\u200d🔬", "tab\tstays", "שלום"):
        assert printable(text) == text == clean(text)
    assert clean("a\nb") == "a\nb"


@pytest.mark.parametrize("encoding", ["utf-8", "latin-1", "ascii"])
def test_json_is_read_back_as_it_was(encoding, monkeypatch):
    stream = Stream(encoding)
    monkeypatch.setattr(sys, "stdout", stream)
    data = {"text": "数据 \x1b[2J \u202e \x7f \U000e0041 é"}
    print_json(data)
    assert json.loads(stream.text) == data
    assert not dangerous(stream.text)


def test_bars_and_rules_have_other_signs_on_a_latin_terminal(monkeypatch):
    stream = Stream("latin-1")
    monkeypatch.setattr(sys, "stdout", stream)
    say("██▌ │ ± …")
    assert stream.text == "##= | ± ~\n"


def test_the_command_line_prints_by_say_alone():
    rooms = ("operations", "selftrain", "report", "commands")
    for file in [PIPELINES / "cli.py", *(f for room in rooms for f in (PIPELINES / room).rglob("*.py"))]:
        calls = [n.func for n in ast.walk(ast.parse(file.read_text("utf-8"))) if isinstance(n, ast.Call)]
        names = {ast.unparse(f) for f in calls if isinstance(f, ast.Name | ast.Attribute)}
        assert not names & {"print", "click.echo", "click.secho", "sys.stdout.write", "sys.stderr.write"}, file
