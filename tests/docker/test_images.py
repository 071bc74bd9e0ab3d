"""What can be said of the images without a builder: versions agree, every file that is copied is there."""

import re
import runpy
import shutil
import subprocess
from importlib.metadata import version
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
DOCKERFILE = (ROOT / "docker/Dockerfile").read_text()


def test_beam_is_the_same_in_lock_image_and_here():
    image = re.search(r"^ARG BEAM_VERSION=(\S+)", DOCKERFILE, re.M)[1]
    lock = re.search(r"^apache-beam==(\S+)", (ROOT / "constraints.txt").read_text(), re.M)[1]
    assert image == lock == version("apache-beam")


def test_what_is_copied_is_there_and_not_ignored():
    kept = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    for line in re.findall(r"^COPY (?!--from)(.+)$", DOCKERFILE, re.M):
        for name in line.split()[:-1]:
            assert (ROOT / name).exists(), name
            assert name in kept


def test_the_last_stages_have_no_compiler_and_no_root():
    stages = re.split(r"^FROM ", DOCKERFILE, flags=re.M)[1:]
    names = [re.search(r"AS (\w+)", s)[1] for s in stages]
    assert names == ["boot", "build", "base", "beam", "session"]
    assert "USER 10001" in stages[-1]
    assert not any(word in s for s in stages[2:] for word in ("apt-get", "pip install"))


def test_compose_and_cloud_build_use_targets_that_exist():
    compose = yaml.safe_load((ROOT / "docker/compose.yaml").read_text())
    assert compose["x-image"]["build"]["target"] == "session"
    build = yaml.safe_load((ROOT / "docker/cloudbuild.yaml").read_text())
    assert [s["args"][s["args"].index("--target") + 1] for s in build["steps"]] == ["session", "beam"]


def test_the_kernels_of_the_image_compile():
    runpy.run_path(str(ROOT / "docker/warm.py"))["main"]()


def test_hadolint_finds_nothing():
    if not shutil.which("hadolint"):
        pytest.skip("hadolint is not installed")
    subprocess.run(["hadolint", str(ROOT / "docker/Dockerfile")], check=True)
