"""Two runs cannot write one output folder at once."""

import subprocess
import sys

import pytest

from corpusmill.training.loop import train
from corpusmill.training.output_lock import held
from corpusmill.transforms.errors import LockedError

HOLDER = """
import sys
from corpusmill.training.output_lock import held
with held(sys.argv[1]):
    print("held", flush=True)
    sys.stdin.read()
"""


def test_a_second_run_is_refused_with_the_exit_code_of_a_lock(make):
    settings = make(steps=2)
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER, settings.output], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == b"held\n"
        with pytest.raises(LockedError, match=rf"process {other.pid} on .* trains into this folder") as caught:
            train(settings)
        assert caught.value.exit_code == 75
        other.kill()  # a holder that dies frees the lock
        other.wait()
        assert train(settings)["step"] == 2


def test_other_processes_of_the_same_run_take_no_lock(tmp_path):
    with held(tmp_path / "run"), held(tmp_path / "run", rank=1):
        pass
    with held(tmp_path / "run"):
        pass
