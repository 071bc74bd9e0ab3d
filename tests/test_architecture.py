"""Imports point one way, folders stay small, and users import one name."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ("transforms", "privacy", "training", "pipelines")
"""Each may import those before it."""
ROOMS = (
    ("wording",),
    ("dataset", "recipe"),
    ("engine",),
    ("beam", "runners"),
    ("run",),
    ("operations", "selftrain"),
    ("coverage",),
    ("report",),
    ("browse",),
    ("commands",),
    ("cli",),
)
"""The folders and modules of `pipelines`: each may import itself and those of earlier lines."""


def imports(file: Path) -> Iterator[tuple[str, ...]]:
    """The parts of every module's name that a file imports from corpusmill, without that first part."""
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module:
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        elif isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        else:
            continue
        for name in names:
            first, *rest = name.split(".")
            assert first not in PACKAGES, f"{file}: write `corpusmill.{name}`"
            if first == "corpusmill" and rest:
                yield tuple(rest)


@pytest.mark.parametrize("package", PACKAGES)
def test_packages_import_only_what_lies_below_them(package):
    allowed = set(PACKAGES[: PACKAGES.index(package) + 1])
    for file in (ROOT / package).rglob("*.py"):
        upward = {name[0] for name in imports(file)} & set(PACKAGES) - allowed
        assert not upward, f"{file.relative_to(ROOT)} imports {upward}"


def test_rooms_of_pipelines_import_only_what_lies_below_them():
    floor = {room: number for number, rooms in enumerate(ROOMS) for room in rooms}
    for file in (ROOT / "pipelines").rglob("*.py"):
        room = file.relative_to(ROOT / "pipelines").with_suffix("").parts[0]
        if room == "__init__":
            continue
        for name in imports(file):
            if len(name) > 1 and name[0] == "pipelines" and name[1] in floor and name[1] != room:
                assert floor[name[1]] < floor[room], f"{file.relative_to(ROOT)} imports {'.'.join(name)}"


def test_no_folder_holds_more_than_25_modules():
    folders = [d for p in PACKAGES for d in (ROOT / p, *(ROOT / p).rglob("*/")) if d.is_dir()]
    large = {str(d.relative_to(ROOT)): n for d in folders if (n := len([*d.glob("*.py")])) > 26}  # with __init__.py
    assert not large


def test_every_package_says_what_lies_in_it():
    for init in [i for p in PACKAGES for i in (ROOT / p).rglob("__init__.py")]:
        assert ast.get_docstring(ast.parse(init.read_text(encoding="utf-8"))), f"{init.relative_to(ROOT)}: no docstring"


def test_the_public_name_is_light():
    code = (
        "import sys, corpusmill; print([m for m in ('apache_beam', 'torch', 'pyarrow', 'numba') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
