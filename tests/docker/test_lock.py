"""The image's locks are what constraints.txt and pyproject.toml ask for, and pip takes nothing that they do not name."""

import re
import runpy
import tomllib
from importlib.metadata import requires
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
EXTRAS = runpy.run_path(str(ROOT / "docker/lock.py"))["EXTRAS"]
IMAGE = {
    "implementation_name": "cpython",
    "os_name": "posix",
    "platform_machine": "x86_64",
    "platform_python_implementation": "CPython",
    "platform_system": "Linux",
    "python_full_version": "3.11.13",
    "python_version": "3.11",
    "sys_platform": "linux",
}


def locked(name: str) -> dict[str, tuple[str, list[str]]]:
    """Package -> (version, hashes)."""
    entries = (ROOT / f"docker/{name}.lock").read_text().replace("\\\n", "").splitlines()[1:]
    found = {}
    for entry in entries:
        pinned, *hashes = entry.split()
        package, version = pinned.split("==")
        found[package] = version, hashes
    return found


def needed(name: str) -> set[str]:
    """All packages that a lock's extras ask for, by the metadata of those that are installed here."""
    project, extras = PROJECT["project"], EXTRAS[name]
    if extras is None:
        asked = PROJECT["build-system"]["requires"]
    else:
        asked = [*project["dependencies"], *(r for e in extras for r in project["optional-dependencies"][e])]
    waiting = [Requirement(r) for r in asked]
    seen: set[tuple[str, str]] = set()
    while waiting:
        requirement = waiting.pop()
        package = canonicalize_name(requirement.name)
        for extra in {"", *requirement.extras}:
            if (package, extra) in seen:
                continue
            seen.add((package, extra))
            each = (Requirement(r) for r in requires(package) or ())
            waiting += [r for r in each if not r.marker or r.marker.evaluate(IMAGE | {"extra": extra})]
    return {package for package, _ in seen}


@pytest.mark.parametrize("name", EXTRAS)
def test_a_lock_holds_what_is_needed_and_no_more(name):
    assert set(locked(name)) == needed(name), "run `make lock`"


@pytest.mark.parametrize("name", EXTRAS)
def test_versions_are_those_of_the_constraints(name):
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    constraints = [Requirement(line) for line in lines if line and not line.startswith("#")]
    constraints = [c for c in constraints if not c.marker or c.marker.evaluate(IMAGE)]
    pins = {canonicalize_name(c.name): str(c.specifier).removeprefix("==") for c in constraints}
    assert len(pins) == len(constraints), "constraints.txt pins a package twice for the image"
    for package, (version, _) in locked(name).items():
        assert pins.get(package) == version, f"{package}: run `make lock`"


@pytest.mark.parametrize("name", EXTRAS)
def test_each_package_has_hashes_and_no_lock_names_a_place(name):
    for package, (_, hashes) in locked(name).items():
        assert hashes, package
        assert all(re.fullmatch(r"--hash=sha256:[0-9a-f]{64}", h) for h in hashes), package
    assert "/" not in (ROOT / f"docker/{name}.lock").read_text()


def test_the_image_installs_by_the_locks_alone():
    dockerfile = (ROOT / "docker/Dockerfile").read_text()
    default = re.search(r"^ARG LOCK=(\S+)", dockerfile, re.M)[1]
    build = (ROOT / "docker/cloudbuild.yaml").read_text()
    assert {default, *re.findall(r"LOCK=(\w+)", build), "build"} == set(EXTRAS)
    installs = re.findall(r"pip install (.*)", dockerfile)
    assert installs
    assert all("--require-hashes" in line or "--no-index --no-deps" in line for line in installs)
