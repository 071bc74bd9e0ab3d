"""What can be said of the images without a builder: versions agree, every file that is copied is there."""

import os
import re
import runpy
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
DOCKERFILE = (ROOT / "docker/Dockerfile").read_text()


def test_beam_is_the_same_in_locks_image_and_here():
    image = re.search(r"^ARG BEAM_VERSION=(\S+)", DOCKERFILE, re.M)[1]
    files = (ROOT / "constraints.txt", ROOT / "docker/cluster.lock", ROOT / "docker/dataflow.lock")
    locks = {re.search(r"^apache-beam==(\S+)", file.read_text(), re.M)[1] for file in files}
    assert locks == {image} == {version("apache-beam")}


def test_python_is_the_same_in_every_image_and_in_the_locks():
    python = runpy.run_path(str(ROOT / "docker/lock.py"))["PYTHON"]
    images = r"=python:(3\.\d+)\.\d+-|beam_python(3\.\d+)_sdk|dataflow-templates-base/python(3\d+)-"
    found = ["".join(match).replace(".", "") for match in re.findall(images, DOCKERFILE)]
    assert found == [python.replace(".", "")] * 3


def test_what_is_copied_is_there_and_not_ignored():
    kept = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    for line in re.findall(r"^COPY (?!--from)(.+)$", DOCKERFILE, re.M):
        for name in line.split()[:-1]:
            assert (ROOT / name).exists(), name
            assert name in kept


def test_the_last_stages_have_no_compiler_and_no_root():
    stages = re.split(r"^FROM ", DOCKERFILE, flags=re.M)[1:]
    names = [re.search(r"AS (\w+)", s)[1] for s in stages]
    assert names == ["boot", "launcher", "build", "base", "beam", "flex", "session"]
    assert "USER 10001" in stages[-1]
    assert not any(word in s for s in stages[3:] for word in ("apt-get", "pip install"))


def test_compose_and_cloud_build_use_targets_that_exist():
    compose = yaml.safe_load((ROOT / "docker/compose.yaml").read_text())
    assert compose["x-image"]["build"]["target"] == "session"
    build = yaml.safe_load((ROOT / "docker/cloudbuild.yaml").read_text())
    assert [s["args"][s["args"].index("--target") + 1] for s in build["steps"]] == ["session", "beam", "flex"]


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_every_kernel_that_steps_call_is_compiled_for_the_image():
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    subprocess.run([sys.executable, str(ROOT / "docker/warm.py")], check=True, env=environment)


def test_hadolint_finds_nothing():
    hadolint = Path(sys.executable).with_name("hadolint")
    if not hadolint.exists():
        pytest.skip("hadolint is not installed: `make lint` installs it (extra `lint`)")
    subprocess.run([hadolint, ROOT / "docker/Dockerfile"], check=True)
