"""How a run grows: 1, 4 and 16 corpora, one worker and two, threads and a Dask cluster, beside what `plan` said it would take.

    python -m tests.benchmarks.scaling [--scratch DIR]

The copies are other text with the same duplicates within (`corpora.repeated`). The estimate is that of `corpusmill plan --for`
after the run of one corpus, for as much more source as there is text (the words of the copies are drawn by lot, which does not
compress as words do): CPU seconds of units, without start-up, which is subtracted from what it is compared with.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from tests.benchmarks.corpora import corpus, repeated
from tests.benchmarks.measure import ROOT, Cost, Row, markdown, run_command, text_mb
from tests.benchmarks.memory import STEPS
from tests.benchmarks.steps import recipe

COMMAND = [sys.executable, "-c", "from corpusmill.pipelines.cli import main; main()"]


def run(place: Path, source: Path, *options: str) -> tuple[Cost, Path]:
    """Cost of a run into a fresh folder, and the recipe."""
    shutil.rmtree(place, ignore_errors=True)
    path = recipe(place, source, STEPS)
    return run_command([*COMMAND, "run", str(path), *options]), path


def planned(path: Path, size: int) -> dict[str, Any]:
    """What `plan --for` says of so many bytes of source, from the run that the recipe had."""
    argv = [*COMMAND, "plan", str(path), "--workers", "1", "--for", f"{size}B", "--json"]
    done = subprocess.run(argv, cwd=ROOT, check=True, capture_output=True, text=True)
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--scratch", type=Path, help="a folder for temporary files, 10 GB free (default: a new one)")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="corpusmill-scaling-", dir=options.scratch) as scratch:
        print(measure(Path(scratch)))


def measure(scratch: Path) -> str:
    """Both tables, as Markdown."""
    source, place = corpus(scratch), scratch / "run"
    folders = {n: repeated(source, scratch / f"times-{n}", n, near=False) for n in (1, 4, 16)}
    text = {n: text_mb(sorted(folder.glob("*.parquet"))) for n, folder in folders.items()}
    size = sum(p.stat().st_size for p in source.glob("*.parquet"))
    sizes = {n: round(size * mb / text[1]) for n, mb in text.items()}
    run(place, folders[1], "--workers", "1")  # kernels are compiled on their first run
    first, path = run(place, folders[1], "--workers", "1")
    said = {n: planned(path, size)["cpu_hours"] * 3600 for n, size in sizes.items()}
    begin = first.cpu - said[1]
    rows = [Row("1 corpus, 1 worker", text[1], first, f"{begin:.1f} s of it start-up")]
    costs = {}
    for n in (4, 16):
        costs[n], _ = run(place, folders[n], "--workers", "1")
        off = (costs[n].cpu - begin) / said[n] - 1
        # one corpus is done without Beam, whose libraries are in all larger ones
        memory = f", memory {costs[n].rss / costs[4].rss:.2f} times that of 4" if n > 4 else ""
        note = f"CPU {costs[n].cpu / first.cpu:.1f} times{memory}; {off:+.0%} of the plan"
        rows.append(Row(f"{n} corpora, 1 worker", text[n], costs[n], note))
    twos = {n: run(place, folders[n], "--workers", "2")[0] for n in (4, 16)}
    for n, two in twos.items():
        note = f"{costs[n].wall / two.wall:.2f} times as fast by the clock"
        rows.append(Row(f"{n} corpora, 2 workers", text[n], two, note))
    dask, _ = run(place, folders[4], "--runner", "dask", "--workers", "2")
    note = f"CPU {dask.cpu / twos[4].cpu:.2f} times that of threads"
    rows.append(Row("4 corpora, Dask, 2 processes", text[4], dask, note))
    return markdown(rows)


if __name__ == "__main__":
    main()
