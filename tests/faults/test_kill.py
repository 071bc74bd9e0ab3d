"""kill -9 at random moments, then the same command: the same bytes, one snapshot, nothing left over.

`make faults` runs 25 kills; `make test` a few.
"""

import os
import random
import shutil
import signal
import subprocess
import sys
import time

import pytest

from pipelines.recipe import load
from pipelines.run import run
from pipelines.snapshot import Dataset
from tests.corpora import rows, write_recipe, write_shards

STEPS = [{"gopher-quality": {"min_words": 5}}, {"exact": {}}, {"minhash": {}}]
COMMAND = [
    sys.executable,
    "-c",
    "import sys; from pipelines.recipe import load; from pipelines.run import run; run(load(sys.argv[1]), workers=2)",
]
KILLS = 25 if os.environ.get("FAULTS") == "long" else 4


def published(folder):
    out = folder / "out"
    names = sorted(
        p.relative_to(out).as_posix() for p in out.rglob("*") if p.is_file() and ".corpusmill" not in p.parts
    )
    return {n: (out / n).read_bytes() for n in names if n not in ("events.jsonl", "history.jsonl")}


def done(folder):
    """Units whose outcome is stored."""
    return sum(len(files) for _, _, files in os.walk(folder / "out" / ".corpusmill" / "done"))


@pytest.mark.slow
def test_kill_at_random_moments_then_the_same_command(tmp_path):
    write_shards(tmp_path / "whole" / "raw", rows(600), 6)
    run(load(write_recipe(tmp_path / "whole", STEPS)), workers=2)
    expected, units = published(tmp_path / "whole"), done(tmp_path / "whole")

    broken = tmp_path / "broken"
    shutil.copytree(tmp_path / "whole" / "raw", broken / "raw")
    recipe = write_recipe(broken, STEPS)
    rng = random.Random(0)
    killed = 0
    for turn in range(KILLS):
        # before the first unit, behind any number of them, or about the commit, and a moment of chance later
        target = units * turn // (KILLS - 1)
        if done(broken) > target:
            shutil.rmtree(broken / "out", ignore_errors=True)
        process = subprocess.Popen([*COMMAND, str(recipe)], start_new_session=True, stderr=subprocess.DEVNULL)
        while process.poll() is None and done(broken) < target:
            time.sleep(0.001)
        time.sleep(rng.uniform(0, 0.03))
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            killed += 1
        process.wait()
        assert len(list((broken / "out").glob("snapshots/*.json"))) <= 1
    assert killed > 0
    run(load(recipe), workers=2)
    assert published(broken) == expected
    assert Dataset(broken / "out").verify() == []
