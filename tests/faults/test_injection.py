"""Calls of the C library fail under every verb that writes, and processes die in them; then the same command comes.

What must hold after each: a command that says it is done has done it; one that fails names a file and what to do, and is no
defect; the same command ends as a sound one does, `verify` is clean, and nothing is stuck. `make faults` injects 500 errors and
200 kills, `make test` a few.
"""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.faults.serial import LONG

ROOT = Path(__file__).parents[2]
ERRORS, KILLS = (500, 200) if LONG else (20, 10)
QUICK = ("run", "forget", "gc", "export", "tokenizer", "budget")


@pytest.fixture(scope="module")
def shim(tmp_path_factory):
    """The library that makes calls fail, built here."""
    compiler = shutil.which("gcc") or shutil.which("cc")
    if compiler is None or not sys.platform.startswith("linux"):
        pytest.skip("no C compiler for Linux: calls cannot be made to fail")
    library = tmp_path_factory.mktemp("shim") / "shim.so"
    source = Path(__file__).with_name("shim.c")
    subprocess.run([compiler, "-shared", "-fPIC", "-O1", "-Wall", "-Werror", "-o", library, source, "-ldl"], check=True)
    return library


@pytest.mark.slow
@pytest.mark.parametrize(("what", "trials", "least"), [("errors", ERRORS, 20), ("kills", KILLS, 10)])
def test_no_failing_call_and_no_death_is_silent_or_leaves_a_verb_stuck(shim, what, trials, least):
    command = [sys.executable, "-m", "tests.faults.injection", f"--{what}", str(trials), *([] if LONG else QUICK)]
    environment = os.environ | {"LD_PRELOAD": str(shim), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    found = json.loads(done.stdout)
    print(f"{found['trials']} {what}: {found['by']}")
    assert found["trials"] == trials >= least
    assert not found["problems"], "\n".join(found["problems"])
