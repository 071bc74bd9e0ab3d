"""Peak memory of a run when the corpus is repeated 1, 4 and 16 times with edits.

Every stage is run by Beam (any option of Beam's says so), so that sizes compare: a small corpus is done without Beam, which saves
its libraries; that figure stands first.
"""

from __future__ import annotations

import shutil
from pathlib import Path

from tests.benchmarks.corpora import repeated
from tests.benchmarks.measure import Row, text_mb
from tests.benchmarks.steps import BY_BEAM, run_recipe

STEPS: list[dict] = [{"clean": {}}, {"gopher-quality": {}}, {"exact": {}}, {"minhash": {}}]
TIMES = (1, 4, 16)


def rows(source: Path, scratch: Path, workers: int = 1, times: tuple[int, ...] = TIMES) -> list[Row]:
    """A row a size; the copies are removed behind each, the largest take 1.5 GB."""
    small = run_recipe(scratch / "run", source, STEPS, workers)
    first = Row(
        "corpus 1 times, as it is run by default", text_mb(sorted(source.glob("*.parquet"))), small, "without Beam"
    )
    found: list[Row] = []
    for n in times:
        folder = repeated(source, scratch / "memory", n, near=True)
        mb = text_mb(sorted(folder.glob("*.parquet")))
        cost = run_recipe(scratch / "run", folder, STEPS, workers, BY_BEAM)
        more = f"{cost.rss / found[0].cost.rss - 1:+.0%}" if found else ""
        found.append(Row(f"corpus {n} times", mb, cost, more))
        shutil.rmtree(scratch / "memory")
    return [first, *found]
