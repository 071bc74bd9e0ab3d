"""What a refresh costs: 1 new shard among 128, and nothing new, beside the run of all of them.

    python -m tests.benchmarks.refresh [--times 4 16] [--scratch DIR]

The corpus (and copies of it with other words) is cut into 128 shards. CPU seconds are those of a fresh process, start-up
included; what a process takes that finds nothing new is shown beside it: Python, imports, the listing.
"""

from __future__ import annotations

import argparse
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path

import pyarrow.parquet as pq

from tests.benchmarks.corpora import corpus, repeated
from tests.benchmarks.measure import Cost, Row, markdown, run_command, text_mb
from tests.benchmarks.scaling import COMMAND
from tests.benchmarks.steps import recipe

SHARDS = 128
TIMES = (4, 16)
STEPS: list[dict] = [
    {"clean": {}},
    {"gopher-quality": {}},
    {"gopher-repetition": {}},
    {"c4-code": {}},
    {"fineweb": {}},
    {"exact": {}},
    {"minhash": {}},
]


def cut(source: Path, target: Path) -> list[Path]:
    """The files of a folder in `SHARDS` shards."""
    target.mkdir(parents=True)
    files = sorted(source.glob("*.parquet"))
    each, made = SHARDS // len(files), []
    for file in files:
        table = pq.read_table(file)
        for i in range(each):
            begin, end = table.num_rows * i // each, table.num_rows * (i + 1) // each
            made.append(target / f"{len(made):03d}.parquet")
            pq.write_table(table.slice(begin, end - begin), made[-1], compression="zstd", row_group_size=1000)
    return made


def run(path: Path) -> Cost:
    """Cost of a run that goes on where the folder is."""
    return run_command([*COMMAND, "run", str(path), "--workers", "1"], good=(0, 3))


def measure(scratch: Path, times: Sequence[int]) -> str:
    """The table, as Markdown: the corpus so many times over, each."""
    source = corpus(scratch)
    rows = []
    for n in times:
        place = scratch / f"refresh-{n}"
        rows += _rows(source if n == 1 else repeated(source, place / "times", n, near=False), place)
        shutil.rmtree(place)
    return markdown(rows)


def _rows(folder: Path, scratch: Path) -> list[Row]:
    shards = cut(folder, scratch / "in")
    away = scratch / "away.parquet"
    shards[-1].rename(away)
    path = recipe(scratch / "run", scratch / "in", STEPS)
    full = run(path)
    mb = text_mb(shards[:-1])
    away.rename(shards[-1])
    more = run(path)
    none = run(path)
    net = (more.cpu - none.cpu) / (full.cpu - none.cpu)
    return [
        Row(f"{SHARDS - 1} shards", mb, full),
        Row(
            "1 shard more", text_mb(shards[-1:]), more, f"{more.cpu / full.cpu:.1%} of all; {net:.1%} without start-up"
        ),
        Row("nothing new", mb, none, f"{none.cpu / full.cpu:.1%} of all"),
    ]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--times", type=int, nargs="+", default=TIMES, help="the corpus so many times over")
    parser.add_argument("--scratch", type=Path, help="a folder for temporary files, 5 GB free (default: a new one)")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="corpusmill-refresh-", dir=options.scratch) as scratch:
        print(measure(Path(scratch), options.times))


if __name__ == "__main__":
    main()
