"""Death at every file operation of run, forget, rollback and gc, then the same command: the same manifests and bytes.

Twice at each: once the process is killed (what it was writing is torn), once the power is lost (what was not forced to disk
may be gone: data, and names). `make faults` dies at every operation; `make test` at some.
"""

import hashlib
import json
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from corpusmill.pipelines.dataset.snapshot import Dataset
from corpusmill.pipelines.operations import gc
from corpusmill.pipelines.operations.forget import Takedown, forget
from corpusmill.pipelines.operations.rollback import rollback
from corpusmill.transforms.storage import TEMPORARY
from tests.corpora import rows
from tests.faults.deaths import deaths
from tests.faults.faulty_files import FaultyFiles, forked
from tests.faults.living import contents, differences, folder, one_salt, recipe_in, refresh, write_source
from tests.faults.serial import LONG, serially

SOME = 8
"""Deaths of each kind in the short form."""


def first(base: Path) -> None:
    write_source(base, 0, 0)
    write_source(base, 1, 1)
    recipe_in(base)


def second(base: Path) -> None:
    first(base)
    refresh(base)
    write_source(base, 1, 2)
    write_source(base, 2, 3)


def twice(base: Path) -> None:
    second(base)
    refresh(base)


def taken(base: Path) -> None:
    twice(base)
    forget(str(base / "out"), Takedown(ids=(rows(5, seed=0)[1]["id"],)), workers=1)


def takedown(base: Path, purge: bool) -> None:
    asked = Takedown(ids=(rows(5, seed=0)[0]["id"],), users=("u1",), purge=purge)
    forget(str(base / "out"), asked, workers=1)


COMMANDS: dict[str, tuple[Callable[[Path], object], Callable[[Path], object]]] = {
    "run": (first, refresh),
    "refresh": (second, refresh),
    "forget": (twice, lambda base: takedown(base, False)),
    "forget-purge": (twice, lambda base: takedown(base, True)),
    "rollback": (taken, lambda base: rollback(str(base / "out"), 1)),
    "gc": (taken, lambda base: gc.collect(str(base / "out"), keep=1)),
}


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.skipif(sys.platform != "linux", reason="files that are open are told by /proc")
@pytest.mark.parametrize("power", [False, True], ids=["killed", "power-lost"])
@pytest.mark.parametrize("command", COMMANDS)
def test_death_at_every_file_operation_then_the_same_command(command, power):
    prepare, act = COMMANDS[command]
    with folder() as home, serially(), one_salt():
        base, prepared = home / "base", home / "prepared"
        out = base / "out"
        prepare(base)
        base.rename(prepared)
        # done here twice, so that a child has only the command itself to do: imported, compiled, the place probed
        for _ in range(2):
            anew(prepared, base)
            faults = FaultyFiles(str(out))
            with faults():
                act(base)
            done, work = contents(out), kept_work(out)
            later(base)
        expected, total = contents(out), faults.count
        assert total > 10
        step = 1 if LONG else max(1, total // SOME)
        wrong: list[str] = []
        seen: set[str] = set()
        anew(prepared, base)
        for k, where in deaths(base, act, power, lambda k: k % step == total % step and k < total + power):
            state = fingerprint(base)
            if state in seen:  # what follows from the same bytes under the same names is the same
                continue
            seen.add(state)
            # work and history are not forced to disk: `verify` reports what a loss of power tore of them
            problems = [p for p in sound(out) if not (power and p.startswith((".corpusmill/", "history.jsonl")))]
            failed = forked(lambda: act(base))
            if failed or differences(done, contents(out)) or work != kept_work(out):
                failed |= forked(lambda: later(base))
                left = differences(expected, contents(out))
                # work that a loss of power took is not made again where nothing asks for it
                problems += [p for p in left if not (power and p.startswith("missing .corpusmill/"))]
            problems += ["the command failed"] * failed
            if problems:
                wrong.append(f"{k} of {total}, {where}: {problems[:4]}")
        assert not wrong, "\n".join([f"{len(wrong)} deaths", *wrong[:12]])
        # of a loss of power many leave the same: what was not forced to disk is gone
        assert len(seen) > total // step // (4 if power else 2)


def fingerprint(base: Path) -> str:
    """Digest of all names and bytes in a folder."""
    h = hashlib.sha256()
    for path in sorted(base.rglob("*")):
        h.update(f"{path.relative_to(base)}\0{path.is_file()}\0".encode())
        if path.is_file():
            h.update(hashlib.sha256(path.read_bytes()).digest())
    return h.hexdigest()


def kept_work(out: Path) -> dict[str, object]:
    """What a later run may use of the work: names and bytes, less the times that outcomes tell; and what nobody gave a name."""
    found: dict[str, object] = {}
    for path in sorted(p for p in out.rglob("*") if p.is_file()):
        name = path.relative_to(out).as_posix()
        if path.name.startswith(TEMPORARY):
            found[name] = None
        elif name.startswith(".corpusmill/done/"):
            try:
                found[name] = {k: v for k, v in json.loads(path.read_bytes()).items() if k != "cpu_seconds"}
            except ValueError:  # a loss of power tore it: what comes later must do without
                found[name] = None
        elif name.startswith((".corpusmill/work/", ".corpusmill/plans/")):
            found[name] = hashlib.sha256(path.read_bytes()).digest()
    return found


def later(base: Path) -> None:
    """A refresh with more to do, which finds what the death has left in the work."""
    write_source(base, 3, 4)
    refresh(base)


def anew(prepared: Path, base: Path) -> None:
    shutil.rmtree(base, ignore_errors=True)
    shutil.copytree(prepared, base)


def sound(out: Path) -> list[str]:
    """What is wrong with the snapshots that a death has left."""
    try:
        dataset = Dataset(out)
    except Exception as error:
        return [] if "no snapshot" in str(error) or "does not exist" in str(error) else [str(error)]
    # what follows from the newest manifest may be that of the one before
    found = [p for n in dataset.numbers for p in dataset.verify(n)]
    return [p for p in found if not p.startswith(("README.md", "SHA256SUMS"))]
