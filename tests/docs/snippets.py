"""Runs what the documentation shows: a page is a session in a folder of its own, its blocks one after the other.

Blocks of `sh` and `python` run, blocks of `yaml` are recipes or parts of one, or with `title="NAME"` a file that is written.
A comment before a block changes that:

    <!-- needs: WHAT -->     it cannot run here; WHAT says what is missing, such as an account
    <!-- exits: 3 -->        its last command leaves with that code
    <!-- tested by: FILE --> a test of the repository runs it
    <!-- part of: KIND -->   a part of another settings file: train, selftrain, party or job
    <!-- in: FOLDER -->      this and what follows runs in a copy of that folder of the examples, or `a scratch copy` of all

A block of `diff` puts its lines with a plus behind the line before them, in the file of its title.
"""

import contextlib
import io
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import yaml

from corpusmill.pipelines.recipe.model import loads

ROOT = Path(__file__).resolve().parents[2]
NOT_RUN = ("text", "pycon", "json", "html", "")
"""Languages of blocks that show something."""
SCRATCH = "a scratch copy"
CODE = ("corpusmill", "pipelines", "transforms", "training", "privacy", "tests", "pyproject.toml")
_FENCE = re.compile(r"^( *)```(\w*)(.*)$")
_TITLE = re.compile(r'title="([^"]+)"')
_MARK = re.compile(r"<!-- *(needs|exits|tested by|part of|in): *(.*?) *-->")


@dataclass
class Block:
    """A fenced block: its language, text, title, line, and the marks before it."""

    language: str
    text: str
    title: str
    line: int
    marks: dict[str, str] = field(default_factory=dict)


def blocks(text: str) -> Iterator[Block]:
    """The fenced blocks of a page."""
    marks: dict[str, str] = {}
    lines = iter(enumerate(text.splitlines(), 1))
    for number, line in lines:
        if found := _FENCE.match(line):
            indent, language, rest = found.groups()
            body = []
            for _, inner in lines:
                if inner.strip() == "```":
                    break
                body.append(inner.removeprefix(indent))
            title = _TITLE.search(rest)
            yield Block(language, "\n".join(body) + "\n", title[1] if title else "", number, marks)
            marks = {}
        elif found := _MARK.match(line.strip()):
            marks[found[1]] = found[2]
        elif line.strip():
            marks = {k: v for k, v in marks.items() if k == "in"}


class Session:
    """A folder, and the names that a page's Python blocks have defined."""

    def __init__(self, folder: Path) -> None:
        self.folder = self._root = folder
        self._names: dict[str, object] = {"__name__": "page"}
        shutil.copytree(
            ROOT / "examples", folder / "examples", ignore=shutil.ignore_patterns("__pycache__", "out", "raw")
        )

    def run(self, block: Block) -> None:
        """Do what a block says, or raise an AssertionError or the error of the block."""
        if block.marks.get("in") == SCRATCH:
            self.folder = self._scratch()
        elif "in" in block.marks:
            self.folder = self._root / block.marks["in"]
        if file := block.marks.get("tested by"):
            assert (ROOT / file).exists(), f"line {block.line}: there is no {file}"
            return
        if "needs" in block.marks or block.language in NOT_RUN:
            return
        if block.language == "diff":
            self._insert(block)
        elif block.title and block.language != "sh":
            (self.folder / block.title).write_text(block.text)
        elif block.language == "yaml":
            check_yaml(block)
        elif block.language == "python":
            self._python(block)
        elif block.language in ("sh", "bash", "console"):
            self._shell(block)
        else:
            raise AssertionError(f"line {block.line}: a block of `{block.language}` is neither run nor marked")

    def _scratch(self) -> Path:
        folder = self._root / "scratch"
        if not folder.exists():
            for name in CODE:
                if (ROOT / name).is_dir():
                    ignored = shutil.ignore_patterns("__pycache__")
                    shutil.copytree(ROOT / name, folder / name, symlinks=True, ignore=ignored)
                else:
                    shutil.copy(ROOT / name, folder / name)
        return folder

    def _insert(self, block: Block) -> None:
        before, *added = block.text.splitlines()
        file = self.folder / block.title
        lines = file.read_text(encoding="utf-8").splitlines()
        assert before[1:] in lines, f"line {block.line}: {block.title} has no line `{before[1:]}`"
        at = lines.index(before[1:]) + 1
        assert all(line.startswith("+") for line in added)
        file.write_text("\n".join([*lines[:at], *(line[1:] for line in added), *lines[at:]]) + "\n", encoding="utf-8")

    def _shell(self, block: Block) -> None:
        bin = Path(sys.executable).parent
        environment = os.environ | {"PATH": f"{bin}:{os.environ['PATH']}", "OMP_NUM_THREADS": "1", "NO_COLOR": "1"}
        if self.folder.name == "scratch":
            environment["PYTHONPATH"] = str(self.folder)
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", block.text],
            cwd=self.folder,
            env=environment,
            capture_output=True,
            text=True,
        )
        wanted = int(block.marks.get("exits", 0))
        assert done.returncode == wanted, f"line {block.line} left with {done.returncode}:\n{done.stdout}{done.stderr}"

    def _python(self, block: Block) -> None:
        before, modules, path = Path.cwd(), set(sys.modules), list(sys.path)
        os.chdir(self.folder)
        sys.path.insert(0, str(self.folder))
        try:
            with contextlib.redirect_stdout(io.StringIO()):
                exec(compile(block.text, f"line {block.line}", "exec"), self._names)
        finally:
            os.chdir(before)
            sys.path[:] = path
            for name in set(sys.modules) - modules:
                if str(self.folder) in str(getattr(sys.modules[name], "__file__", "")):
                    del sys.modules[name]


def check_yaml(block: Block) -> None:
    """A recipe or a part of one must be right, and a part of another settings file must be YAML."""
    values = yaml.safe_load(block.text)
    if "part of" in block.marks:
        assert values
        return
    if isinstance(values, list):
        values = {"steps": values}
    whole = {"name": "page", "sources": [{"name": "a", "path": "a.jsonl"}], "output": {"path": "out"}} | values
    loads(yaml.safe_dump(whole, sort_keys=False), f"line {block.line}", ROOT / "examples/own_steps", check_paths=False)
