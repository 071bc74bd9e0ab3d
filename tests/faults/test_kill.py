"""kill -9 at random moments: of a run, then the same command; and of two writers and their workers that go on and on.

`make faults` kills 25 runs, and 100 writers or workers; `make test` a few.
"""

import contextlib
import itertools
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest

from corpusmill.pipelines.dataset import history
from corpusmill.pipelines.dataset.snapshot import Dataset
from corpusmill.pipelines.recipe.model import load
from corpusmill.pipelines.run import run
from corpusmill.transforms.errors import CorpusmillError, LockedError
from corpusmill.transforms.manifest import manifest_name, snapshot_numbers
from corpusmill.transforms.shards import read_shard
from corpusmill.transforms.storage.local import TEMPORARY
from tests.corpora import rows, write_recipe, write_shards
from tests.faults.living import folder, recipe_in, refresh, write_source
from tests.faults.serial import LONG, Forking, serially

STEPS = [{"gopher-quality": {"min_words": 5}}, {"exact": {}}, {"minhash": {}}]
COMMAND = [
    sys.executable,
    "-c",
    "import sys; from corpusmill.pipelines.recipe.model import load; "
    "from corpusmill.pipelines.run import run; run(load(sys.argv[1]), workers=2)",
]
KILLS = 25 if LONG else 4
WRITER_KILLS = 100 if LONG else 6


def published(folder):
    out = folder / "out"
    names = sorted(
        p.relative_to(out).as_posix() for p in out.rglob("*") if p.is_file() and ".corpusmill" not in p.parts
    )
    # a killed writer may leave a file that never got its name, which `gc` removes
    names = [n for n in names if not Path(n).name.startswith(TEMPORARY)]
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


def writer(base: Path) -> int:
    """A process that refreshes the dataset for ever; LockedError means that the other one does."""
    pid = os.fork()
    os.setpgid(pid, 0)
    if pid:
        return pid
    try:
        rng = random.Random(os.getpid())
        while True:
            with contextlib.suppress(CorpusmillError):
                refresh(base)
            time.sleep(rng.uniform(0, 0.01))
    finally:
        os._exit(1)


def workers_of(pid: int) -> list[int]:
    try:
        tasks = Path(f"/proc/{pid}/task").glob("*/children")  # of every thread
        return [int(p) for children in tasks for p in children.read_text().split()]
    except OSError:
        return []


def manifests(out: Path) -> dict[int, bytes]:
    return {n: (out / manifest_name(n)).read_bytes() for n in snapshot_numbers(str(out))}


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_two_writers_and_their_workers_are_killed_at_random(tmp_path):
    rng = random.Random(1)
    with folder() as base, serially(Forking):
        write_source(base, 0, 0)
        recipe_in(base)
        refresh(base)
        out, seen = base / "out", manifests(base / "out")
        writers, killed = [0, 0], Counter()
        waiting = itertools.count(1)
        try:
            while missing := {w for w in ("writer", "worker") if not killed[w] or killed.total() < WRITER_KILLS}:
                write_source(base, next(waiting) % 12, 100 + killed.total(), n=4)
                writers = [w or writer(base) for w in writers]
                time.sleep(rng.uniform(0, 0.25))
                victims = [("writer", i, pid) for i, pid in enumerate(writers)]
                victims += [("worker", -1, w) for pid in writers for w in workers_of(pid)] * 2
                victims = [victim for victim in victims if victim[0] in missing]
                if not victims:  # no worker is there at this moment
                    continue
                what, i, pid = rng.choice(victims)
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
                    killed[what] += 1
                if what == "writer":
                    os.waitpid(pid, 0)
                    writers[i] = 0
                # what was committed once stays as it is
                now = manifests(out)
                assert {n: now.get(n) for n in seen} == seen
                seen = now
        finally:
            for pid in filter(None, writers):
                os.killpg(pid, signal.SIGKILL)
                os.waitpid(pid, 0)
        result = None
        while result is None:  # a worker that was just forked holds the lock until it is dead, too
            with contextlib.suppress(LockedError):
                result = refresh(base)
        # a linear history: no number is missing, and each snapshot names the one before by its digest
        dataset = Dataset(out)
        assert dataset.numbers == list(range(1, len(dataset.numbers) + 1))
        for number in dataset.numbers:
            manifest = dataset.manifest(number)
            before = dataset.manifest(number - 1) if number > 1 else None
            assert manifest["parent"] == (before and {"number": number - 1, "digest": before["digest"]})
            assert dataset.verify(number) == []
        told = [int(e["outputs"][0]["facets"]["version"]["datasetVersion"]) for e in dataset.events()]
        assert told == dataset.numbers
        outcomes = Counter(r["outcome"] for r in history.read(str(out)))
        assert 0 < outcomes["committed"] <= len(dataset.numbers)
        # nothing is lost and nothing doubled: it is what a run from scratch gives
        fresh = run(load(base / "recipe.yaml", ["output.path=fresh"]), workers=1)
        assert fresh.manifest["content"] == result.manifest["content"]
        assert fresh.funnel == result.funnel
        ids = Counter(i for f in dataset.files() for b in read_shard(f, ["id"]) for i in b["id"].to_pylist())
        assert set(ids.values()) == {1}
