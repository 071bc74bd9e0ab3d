"""One bit flips in any file that a run, a refresh or a takedown wrote; then verify, a refresh, a changed last step, a new file and
a takedown follow.

Never silent: what is committed is what a sound dataset gives, or `verify` names the damage. Never stuck: each command succeeds,
or names a file and what to do; no error is a defect. `make faults` flips 500 bits, `make test` 24.
"""

import random
import shutil
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from corpusmill.pipelines.dataset import suppression
from corpusmill.pipelines.dataset.snapshot import Dataset
from corpusmill.pipelines.operations.forget import Takedown, forget
from corpusmill.pipelines.recipe.model import load
from corpusmill.pipelines.run import run
from corpusmill.transforms.errors import CorpusmillError, EngineError
from tests.corpora import rows
from tests.faults.living import folder, one_salt, recipe_in, refresh, write_source
from tests.faults.serial import LONG, serially

FLIPS = 500 if LONG else 24
STEPS: list[Any] = [{"exact": {}}, {"minhash": {}}, {"length": {"min_chars": 5}}]
LAST = "steps.length.min_chars=6"


def kind_of(name: str) -> str:
    """The kind of a file, by where it lies and what it holds."""
    path = Path(name)
    if path.parts[0] != ".corpusmill":
        return path.parts[0]
    return f"{'/'.join(path.parts[:2])}*{''.join(path.suffixes[-2:])}" if len(path.parts) > 2 else name


def grown(base: Path) -> None:
    """A dataset of two snapshots, with a takedown."""
    write_source(base, 0, 0, n=20)
    write_source(base, 1, 1, n=20)
    recipe_in(base, steps=STEPS)
    refresh(base)
    forget(str(base / "out"), Takedown(ids=(rows(20, seed=0)[3]["id"],)), workers=1)


def life(base: Path) -> list[str]:
    """What becomes of the dataset: after each command, the digest of the newest content, or the error in one line."""
    out = str(base / "out")
    told = []

    def step(command: Any) -> None:
        try:
            command()
            told.append(Dataset(out).manifest()["content"])
        except CorpusmillError as error:
            kind = "defect" if isinstance(error, EngineError) else "error"
            told.append(f"{kind}: {error}")
        suppression._load.cache_clear()

    step(lambda: refresh(base))
    step(lambda: run(load(base / "recipe.yaml", [LAST]), workers=1))
    write_source(base, 2, 2, n=20)
    step(lambda: refresh(base))
    step(lambda: forget(out, Takedown(ids=(rows(20, seed=1)[4]["id"],)), recipe=load(base / "recipe.yaml"), workers=1))
    return told


def problems(out: Path) -> list[str]:
    """What verifying every snapshot says."""
    suppression._load.cache_clear()
    try:
        dataset = Dataset(out)
        return [p for n in dataset.numbers for p in dataset.verify(n)]
    except CorpusmillError as error:
        return [str(error)]


@pytest.mark.slow
def test_no_flipped_bit_is_silent_and_none_leaves_a_dataset_stuck():
    rng = random.Random(7)
    with folder() as home, serially(), one_salt():
        (home / "sound").mkdir()
        grown(home / "sound")
        shutil.copytree(home / "sound", home / "expected", copy_function=shutil.copy2)
        expected = life(home / "expected")
        assert all(len(line) == 40 for line in expected), expected
        out = home / "sound" / "out"
        kinds: dict[str, list[str]] = {}
        for path in sorted(p for p in out.rglob("*") if p.is_file() and p.stat().st_size and p.name != "lock"):
            name = path.relative_to(out).as_posix()
            kinds.setdefault(kind_of(name), []).append(name)
        assert len(kinds) >= 12, sorted(kinds)
        order = sorted(kinds)
        outcomes: Counter[str] = Counter()
        wrong = []
        for i in range(FLIPS):
            kind = order[i % len(order)]
            name = rng.choice(kinds[kind])
            copy = home / "copy"
            shutil.copytree(home / "sound", copy, copy_function=shutil.copy2)
            path = copy / "out" / name
            bit = rng.randrange(8 * path.stat().st_size)
            data = bytearray(path.read_bytes())
            data[bit // 8] ^= 1 << bit % 8
            path.write_bytes(data)
            where = f"{name}, bit {bit}"
            found = problems(copy / "out")
            told = life(copy)
            after = problems(copy / "out")
            wrong += fault(where, expected, told, found + after)
            outcomes["named by verify" if found else "harmless or made again"] += 1
            outcomes["a command named it"] += any(len(line) != 40 for line in told)
            shutil.rmtree(copy)
        print(f"{FLIPS} flips in {len(kinds)} kinds of files: {dict(outcomes)}")
        assert not wrong, "\n".join(wrong)


def fault(where: str, expected: list[str], told: list[str], named: list[str]) -> list[str]:
    """What is wrong with a life after a flip: content that differs without a word, a defect, an error without advice."""
    found = []
    for number, (right, line) in enumerate(zip(expected, told, strict=True)):
        if line.startswith("defect"):
            found.append(f"{where}: command {number} is told as a defect: {line[:300]}")
        elif line.startswith("error") and not any(word in line for word in ("estore", "remove", "To go on", "again")):
            found.append(f"{where}: command {number} says nothing to do: {line[:300]}")
        elif len(line) == 40 and line != right and not named and not any(t.startswith("error") for t in told[:number]):
            found.append(f"{where}: command {number} committed other content, and verify is clean")
    return found
