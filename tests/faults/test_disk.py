"""A disk that says no, and a clock that jumps: one clear error, the last snapshot as it was, and the next run heals."""

import contextlib
import errno
import json
import os
import random
import resource
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from corpusmill.pipelines.dataset.snapshot import Dataset
from corpusmill.pipelines.operations import gc
from corpusmill.pipelines.operations.forget import Takedown, forget
from corpusmill.pipelines.operations.rollback import rollback
from corpusmill.pipelines.runners import local
from corpusmill.transforms.errors import DatasetError, UnreadableFileError
from tests.corpora import rows
from tests.faults.faulty_files import FaultyFiles, forked
from tests.faults.living import contents, differences, folder, one_salt, recipe_in, refresh, write_source
from tests.faults.serial import LONG, serially

SIZES = 20 if LONG else 5


def prepare(base: Path) -> None:
    """A dataset of one snapshot, whose sources have changed since."""
    write_source(base, 0, 0)
    write_source(base, 1, 1)
    recipe_in(base)
    refresh(base)
    write_source(base, 1, 2)
    write_source(base, 2, 3, n=40)


class Broken:
    """A prepared dataset, broken any number of times in a child process; what a run that is not broken makes of it."""

    def __init__(self, home: Path, act: Callable[[Path], Any] = refresh) -> None:
        self.base, self.prepared, self.act = home / "base", home / "prepared", act
        prepare(self.base)
        self.base.rename(self.prepared)
        self.anew()
        act(self.base)
        self.expected = contents(self.base / "out")
        self.first = {k: v for k, v in contents(self.prepared / "out").items() if not k.startswith(".corpusmill/")}

    def anew(self) -> None:
        """The dataset as it was prepared."""
        shutil.rmtree(self.base, ignore_errors=True)
        shutil.copytree(self.prepared, self.base)

    def attempt(self, around: Callable[[], contextlib.AbstractContextManager[Any]]) -> str | None:
        """The message of the error that the command ends with inside `around`; None if it ends well."""
        out, into = os.pipe()

        def child() -> None:
            said: tuple[str, str] | None = None
            with around():
                try:
                    self.act(self.base)
                except BaseException as error:
                    said = (type(error).__name__, str(error))
            os.write(into, json.dumps(said).encode())

        status = forked(child)
        os.close(into)
        with open(out, "rb") as file:
            found = json.loads(file.read())
        assert status == 0
        if found is None:
            return None
        assert found[0] in (DatasetError.__name__, UnreadableFileError.__name__), found
        return str(found[1])

    def intact(self) -> None:
        """The snapshots are what they were, or the new one is there already, whole."""
        dataset = Dataset(self.base / "out")
        for number in dataset.numbers:
            assert dataset.verify(number) == []
        now = contents(self.base / "out")
        for name, data in self.first.items():
            if name.startswith(("data/", "snapshots/", "dropped/")):
                assert now[name] == data, name

    def heals(self) -> None:
        """The same command, with nothing in its way."""
        assert forked(lambda: self.act(self.base)) == 0
        assert differences(self.expected, contents(self.base / "out")) == []


@contextlib.contextmanager
def tmpfs(path: Path) -> Iterator[Path]:
    """A disk of its own in memory; the test is skipped where nobody may mount one."""
    path.mkdir()
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64m", "tmpfs", str(path)], capture_output=True)
    if done.returncode:
        pytest.skip(f"no file system can be mounted here: {done.stderr.decode().strip()}")
    try:
        yield path
    finally:
        subprocess.run(["umount", "--lazy", str(path)], check=True)


def remount(path: Path, option: str) -> None:
    subprocess.run(["mount", "-o", f"remount,{option}", str(path)], check=True)


def used(path: Path) -> int:
    s = os.statvfs(path)
    return (s.f_blocks - s.f_bfree) * s.f_frsize


@pytest.mark.slow
def test_a_disk_that_fills_up_at_any_operation():
    with folder() as home, serially():
        broken = Broken(home)
        broken.anew()
        counted = FaultyFiles(str(broken.base / "out"))
        with counted():
            refresh(broken.base)
        for i in range(SIZES):
            broken.anew()
            limit = counted.count * i // SIZES

            def full(n: int, what: str, path: str, limit: int = limit) -> OSError | None:
                no = n >= limit and what in ("open", "write", "mkdir", "link")
                return OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), path) if no else None

            said = broken.attempt(FaultyFiles(str(broken.base / "out"), fail=full))
            assert said is None or (str(broken.base / "out") in said and "free some space" in said), said
            assert said or i == SIZES - 1, "only the history may be missing"
            broken.intact()
            broken.heals()


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="a file system is mounted as Linux does it")
@pytest.mark.parametrize("engine", ["serial", "beam"])
def test_a_disk_of_20_sizes(tmp_path, monkeypatch, engine):
    monkeypatch.setattr(local, "SMALL", -1)  # by a graph, however little there is to do
    with tmpfs(tmp_path / "disk") as disk, serially() if engine == "serial" else contextlib.nullcontext():
        # Beam's threads do not survive a fork: the dataset is prepared without it, and each child starts its own
        with serially():
            broken = Broken(disk)
            broken.anew()
            before = used(disk)
            refresh(broken.base)
            need = used(disk) - before
        failed = 0
        for i in range(SIZES if engine == "serial" else 2):
            broken.anew()
            remount(disk, f"size={used(disk) + need * (2 * i + 1) // (2 * SIZES)}")
            said = broken.attempt(contextlib.nullcontext)
            remount(disk, "size=64m")
            failed += said is not None
            assert said is None or (f"{broken.base / 'out'}/" in said and "the disk is full" in said), said
            broken.intact()
            with serially():
                broken.heals()
        assert failed > 0


@pytest.mark.skipif(sys.platform != "linux", reason="a file system is mounted as Linux does it")
def test_a_disk_that_is_read_only(tmp_path):
    with tmpfs(tmp_path / "disk") as disk, serially():
        broken = Broken(disk)
        broken.anew()
        remount(disk, "ro")
        said = broken.attempt(contextlib.nullcontext)
        remount(disk, "rw")
        assert said is not None
        assert str(broken.base / "out") in said
        assert "read-only" in said
        broken.intact()
        broken.heals()


@pytest.mark.parametrize("closed", ["", "data", "snapshots", "dropped", ".corpusmill/work", ".corpusmill/done"])
def test_folders_that_cannot_be_written(closed):
    with folder() as home, serially():
        broken = Broken(home)
        broken.anew()
        out = broken.base / "out"

        def no(n: int, what: str, path: str) -> OSError | None:
            inside = os.path.dirname(path).startswith(str(out / closed).rstrip("/"))
            return PermissionError(errno.EACCES, os.strerror(errno.EACCES), path) if inside else None

        said = broken.attempt(FaultyFiles(str(out), fail=no))
        assert said is not None
        assert str(out / closed) in said
        assert "permission denied" in said
        assert "let this user" in said
        broken.intact()
        broken.heals()


@pytest.mark.slow
def test_too_many_open_files():
    with folder() as home, serially():
        broken = Broken(home)
        failed = 0
        for spare in range(1, 9):  # with none, the recipe is not read
            broken.anew()

            @contextlib.contextmanager
            def few(spare: int = spare) -> Iterator[None]:
                soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
                resource.setrlimit(resource.RLIMIT_NOFILE, (min(soft, 256), hard))
                taken = []
                with contextlib.suppress(OSError):
                    while True:
                        taken.append(os.dup(2))
                for fd in taken[len(taken) - spare :]:
                    os.close(fd)
                try:
                    yield
                finally:
                    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))

            said = broken.attempt(few)
            failed += said is not None
            assert said is None or (
                "too many open files" in said.lower() and "ulimit -n" in said and str(home) in said
            ), said
            broken.intact()
            broken.heals()
        assert 0 < failed < 8


@pytest.mark.slow
def test_a_file_larger_than_the_limit():
    with folder() as home, serially():
        broken = Broken(home)
        broken.anew()

        @contextlib.contextmanager
        def short() -> Iterator[None]:
            signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
            hard = resource.getrlimit(resource.RLIMIT_FSIZE)[1]
            resource.setrlimit(resource.RLIMIT_FSIZE, (4096, hard))
            try:
                yield
            finally:
                resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))

        said = broken.attempt(short)
        assert said is not None
        assert f"{broken.base / 'out'}/" in said
        assert "larger than" in said
        broken.intact()
        broken.heals()


HELD = """if True:
    import sys, threading
    from corpusmill.pipelines import cli
    from corpusmill.pipelines.dataset import results
    came, finish, terminate = threading.Event(), results.Store.finish, cli._Signals._terminate
    def held(self, request, outcome):
        finish(self, request, outcome)
        print("stored", flush=True)
        came.wait()
    def told(self, *signal):
        came.set()
        terminate(self, *signal)
    results.Store.finish, cli._Signals._terminate = held, told
    cli.main()
"""
"""A command that does not go on behind its first outcome until it got a SIGTERM."""


@pytest.mark.slow
def test_sigterm_is_one_message_and_the_next_run_goes_on(tmp_path):
    with serially():
        broken = Broken(tmp_path)
    broken.anew()
    command = [sys.executable, "-c", HELD, "run", str(broken.base / "recipe.yaml"), "--workers", "1"]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "stored\n"
    process.send_signal(signal.SIGTERM)
    said = process.communicate(timeout=280)[1]
    assert process.returncode == 143
    assert "Stopped by SIGTERM. Finished shards are kept" in said
    assert "Traceback" not in said
    broken.intact()
    with serially():
        broken.heals()


def test_a_clock_that_jumps(monkeypatch):
    """Whatever the clock says, and whatever times the files bear: the same manifests and bytes."""

    def life(base: Path, meanwhile: Callable[[], None]) -> dict[str, Any]:
        prepare(base)
        out = str(base / "out")
        for act in (
            lambda: refresh(base),
            lambda: forget(out, Takedown(ids=(rows(5, seed=0)[0]["id"],)), workers=1),
            lambda: rollback(out, 1),
            lambda: gc.collect(out, keep=3),
            lambda: refresh(base),
            lambda: forget(out, Takedown(users=("u1",), purge=True), workers=1),
            lambda: gc.collect(out, keep=1),
            lambda: refresh(base),
        ):
            meanwhile()
            act()
            assert [Dataset(out).verify(n) for n in Dataset(out).numbers] == [[]] * len(Dataset(out).numbers)
        return {k: v for k, v in contents(base / "out").items() if not k.startswith(".corpusmill/")}

    rng = random.Random(0)
    with folder() as home, serially(), one_salt():
        base = home / "base"
        expected = life(base, lambda: None)
        shutil.rmtree(base)
        real = time.time

        def jump() -> None:
            for path in (p for p in (base / "out").rglob("*") if p.is_file()):
                os.utime(path, (max(0.0, real() + rng.uniform(-3e9, 1e9)),) * 2)

        monkeypatch.setattr(time, "time", lambda: max(0.0, real() + rng.uniform(-3e9, 1e9)))
        got = life(base, jump)
    assert differences(expected, got) == []
