"""What each step costs, as `corpusmill run` in a fresh process into a fresh folder.

Beside the figure for the corpus stands what more text costs: four corpora (the words of the copies replaced, so that they
are other text with the same duplicates within), less one, divided by three, every stage of both by Beam, which is loaded for one
corpus only when asked. Start-up (Python, Beam, compiled kernels, tables) is in the first figure and not in the second.
"""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml

from tests.benchmarks.corpora import repeated
from tests.benchmarks.measure import ROOT, Cost, Row, in_turns, run_command, text_mb

FILTERS: list[dict[str, Any]] = [{"gopher-quality": {}}, {"gopher-repetition": {}}, {"c4-code": {}}, {"fineweb": {}}]
RECIPES: dict[str, list[dict[str, Any]]] = {
    "no step: read, check, write, commit": [],
    "clean": [{"clean": {}}],
    "all filters": FILTERS,
    "exact": [{"exact": {}}],
    "MinHash, verified": [{"minhash": {}}],
    "substring": [{"substring": {}}],
}
BY_BEAM = "--direct_running_mode=in_memory"
"""Any option of Beam's has every stage done by its graph."""
FLOOR = "I/O floor: read and write with pyarrow"


def recipe(folder: Path, source: Path, steps: list[dict[str, Any]], scratch: str = "out") -> Path:
    """A recipe over the Parquet shards of `source`, into a folder below `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "recipe.yaml"
    columns = {"id": "id"}
    wanted = {
        "name": "bench",
        "sources": [{"name": "corpus", "path": str(source / "*.parquet"), "columns": columns}],
        "steps": steps,
        "output": {"path": str(folder / scratch)},
    }
    path.write_text(yaml.safe_dump(wanted, sort_keys=False))
    return path


def run_recipe(folder: Path, source: Path, steps: list[dict[str, Any]], workers: int = 1, *options: str) -> Cost:
    """Cost of `corpusmill run` into a folder that is empty before and gone behind it. options: Beam's."""
    path = recipe(folder, source, steps)
    try:
        program = "from corpusmill.pipelines.cli import main; main()"
        behind = ["--", *options] if options else []
        return run_command([sys.executable, "-c", program, "run", str(path), "--workers", str(workers), *behind])
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def run_floor(folder: Path, source: Path) -> Cost:
    """Cost of reading and writing the same shards with pyarrow, in a fresh process."""
    try:
        return run_command([sys.executable, "-m", "tests.benchmarks.measure", str(source), str(folder)])
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def rows(source: Path, scratch: Path, rounds: int, only: set[str] | None = None) -> tuple[list[Row], list[Row]]:
    """(rows over the corpus, rows of what the same amount of text more costs), the floor first in each."""
    recipes = {k: v for k, v in RECIPES.items() if not only or any(word in k.lower() for word in only)}
    four = repeated(source, scratch / "four", 4, near=False)
    once_mb, four_mb = text_mb(sorted(source.glob("*.parquet"))), text_mb(sorted(four.glob("*.parquet")))
    place = scratch / "run"
    # kernels are compiled on their first run and kept: what is measured is any later run
    for steps in recipes.values():
        run_recipe(place, source, steps)
    whole = [Row(name, once_mb, cost) for name, cost in in_turns(_tasks(recipes, place, source), rounds).items()]
    fewer = max(1, rounds - 1)
    one, big_ones = (in_turns(_tasks(recipes, place, folder, BY_BEAM), fewer) for folder in (source, four))
    more = []
    for name, cost in one.items():
        big = big_ones[name]
        per_copy = Cost((big.cpu - cost.cpu) / 3, (big.wall - cost.wall) / 3, big.rss)
        more.append(Row(name, (four_mb - once_mb) / 3, per_copy))
    return whole, more


def _tasks(
    recipes: dict[str, list[dict[str, Any]]], place: Path, folder: Path, *options: str
) -> dict[str, Callable[[], Cost]]:
    tasks: dict[str, Callable[[], Cost]] = {FLOOR: lambda: run_floor(place, folder)}
    for name, steps in recipes.items():
        tasks[name] = lambda steps=steps: run_recipe(place, folder, steps, 1, *options)
    return tasks


__all__ = ["FILTERS", "FLOOR", "RECIPES", "ROOT", "recipe", "rows", "run_floor", "run_recipe"]
