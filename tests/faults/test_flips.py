"""One bit of one published file flips: `verify` says so, every time; and reading never gives another text for it.

`make faults` flips 300 bits; `make test` 30.
"""

import json
import random
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from corpusmill.pipelines.cli import cli
from corpusmill.pipelines.dataset import suppression
from corpusmill.pipelines.dataset.snapshot import Dataset
from corpusmill.pipelines.operations.forget import Takedown, forget
from corpusmill.transforms.errors import BadFileError, DatasetError
from corpusmill.transforms.shards import read_shard
from tests.corpora import rows
from tests.faults.living import folder, recipe_in, refresh, write_source
from tests.faults.serial import LONG, serially

FLIPS = 300 if LONG else 30


def flip(path: Path, bit: int) -> None:
    data = bytearray(path.read_bytes())
    data[bit // 8] ^= 1 << bit % 8
    path.write_bytes(data)


def problems(out: Path) -> list[str]:
    """What verifying every snapshot says."""
    try:
        dataset = Dataset(out)
        return [p for n in dataset.numbers for p in dataset.verify(n)]
    except DatasetError as error:
        return [str(error)]


def read(path: Path) -> Any:
    """What a reader gets of a file: its rows, or that it is damaged."""
    if path.suffix == ".json":
        number = int(path.stem)
        try:
            if path.parent.name == suppression.FOLDER:
                suppression._load.cache_clear()
                return suppression.load(str(path.parents[1]), number).digest
            return Dataset(path.parents[1]).manifest(number)["content"]
        except DatasetError:
            return None
    if path.suffix != ".parquet":
        return path.read_bytes()
    try:
        batches = list(read_shard(str(path)))
    except BadFileError:
        return None
    return [b.schema.remove_metadata() for b in batches][:1], [repr(row) for b in batches for row in b.to_pylist()]


@pytest.mark.slow
def test_every_single_bit_flip_is_found():
    rng = random.Random(0)
    with folder() as base, serially():
        write_source(base, 0, 0, n=30)
        recipe_in(base)
        refresh(base)
        write_source(base, 1, 1, n=30)
        refresh(base)
        out = base / "out"
        forget(str(out), Takedown(ids=(rows(5, seed=0)[1]["id"],)), workers=1)
        forget(str(out), Takedown(ids=(rows(5, seed=0)[2]["id"],), purge=True), workers=1)
        assert problems(out) == []
        dataset = Dataset(out)
        named = {f for n in dataset.numbers for f in listed(dataset.manifest(n))}
        named |= {f"snapshots/{n:06d}.json" for n in dataset.numbers} | {"README.md", "SHA256SUMS"}
        named |= {f"suppressed/{n:06d}.json" for n in suppression.numbers(str(out))}
        kinds = sorted({Path(f).parts[0] for f in named})
        assert {"data", "dropped", "quarantine", "snapshots", "suppressed"} < set(kinds)
        unseen, wrong = [], []
        for i in range(FLIPS):
            # every kind of file as often as any other; of a kind, every byte
            kind = kinds[i % len(kinds)]
            name = rng.choice(sorted(f for f in named if Path(f).parts[0] == kind))
            path = out / name
            good = path.read_bytes()
            before = read(path)
            bit = rng.randrange(8 * len(good))
            flip(path, bit)
            if not problems(out):
                unseen.append(f"{name}, bit {bit} of {8 * len(good)}")
            got = read(path)
            if path.suffix in (".parquet", ".json") and got is not None and differ(before, got):
                wrong.append(f"{name}, bit {bit} of {8 * len(good)}")
            path.write_bytes(good)
        assert not unseen, unseen
        assert not wrong, wrong
        assert problems(out) == []


def differ(a: Any, b: Any) -> bool:
    """Whether a reader was told something else without a word: other rows under the same schema."""
    return a[1] != b[1] if isinstance(a, tuple) and a[0] == b[0] else not isinstance(a, tuple) and a != b


def listed(manifest: dict[str, Any]) -> list[str]:
    return [f["path"] for f in [*manifest["files"], *(f for t in manifest["tables"].values() for f in t)]]


def test_what_is_found_is_told_and_the_next_run_mends_what_it_can(tmp_path):
    with serially():
        write_source(tmp_path, 0, 0)
        recipe_in(tmp_path)
        refresh(tmp_path)
        out = tmp_path / "out"
        good = {n: (out / n).read_bytes() for n in ("README.md", "SHA256SUMS", "events.jsonl")}
        for name in good:
            flip(out / name, 8 * (len(good[name]) // 2))
            refresh(tmp_path)
            if name == "events.jsonl":  # nobody rewrites it: the line is named, and goes by hand
                assert [p.split(":")[0] for p in problems(out)] == ["events.jsonl, line 1"]
                (out / name).write_bytes(good[name])
            assert (out / name).read_bytes() == good[name]
            assert problems(out) == []
        for name in ("data", "dropped", "snapshots/000001.json"):
            path = out / name
            path = path if path.is_file() else next(path.iterdir())
            good_bytes = path.read_bytes()
            flip(path, 8 * (len(good_bytes) // 2))
            done = CliRunner().invoke(cli, ["verify", str(out), "--all"])
            assert done.exit_code == 1
            assert path.name in done.output
            path.write_bytes(good_bytes)
        assert json.loads(CliRunner().invoke(cli, ["verify", str(out), "--all", "--json"]).stdout)[0]["ok"]
