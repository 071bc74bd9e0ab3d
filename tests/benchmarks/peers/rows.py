"""Other tools on the same input, each in a fresh process of an environment that holds nothing but them."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from tests.benchmarks.measure import ROOT, Cost, Row, in_turns, run_command, text_mb

HERE = Path(__file__).parent
VENV = ROOT / ".venv-peers"
PEERS = {
    # script: (what it is called, whether the whole corpus would take too long)
    "gaoya_minhash": ("gaoya: MinHash 16x8", False),
    "rensa_minhash": ("rensa: R-MinHash 128, 16 bands", False),
    "datatrove_minhash": ("datatrove: MinHash 14x8", True),
    "datatrove_filters": ("datatrove: Gopher, C4 and FineWeb filters", True),
}
SAMPLE_MB, SMALL_MB = 10.0, 2.0


def environment() -> Path:
    """The Python of the peers' environment, made and filled if need be."""
    python, wanted, stamp = VENV / "bin" / "python", HERE / "requirements.txt", VENV / ".installed"
    if not stamp.exists() or stamp.read_bytes() != wanted.read_bytes():
        subprocess.run([sys.executable, "-m", "venv", str(VENV)], check=True)
        pip = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        subprocess.run([*pip, "-r", str(wanted)], check=True)
        stamp.write_bytes(wanted.read_bytes())
    return python


def sample(source: Path, target: Path, mb: float) -> Path:
    """About `mb` MB of the corpus' text: every k-th document of every shard."""
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir(parents=True)
    files = sorted(source.glob("*.parquet"))
    every = max(1, round(text_mb(files) / mb))
    for path in files:
        table = pq.read_table(path)
        pq.write_table(table.take(pa.array(range(0, table.num_rows, every))), target / path.name, compression="zstd")
    return target


def run_peer(python: Path, script: str, source: Path, target: Path, *before: str) -> Cost:
    """Cost of a peer's script, into a folder that is empty before and gone behind it. before: arguments before the folders."""
    shutil.rmtree(target, ignore_errors=True)
    try:
        argv = [str(python), str(HERE / f"{script}.py"), *before, str(source), str(target)]
        return run_command(argv, timeout=1800)
    finally:
        shutil.rmtree(target, ignore_errors=True)


def rows(source: Path, scratch: Path) -> list[Row]:
    """A row a peer; slow ones on a sample, less the cost of a smaller sample, so that start-up counts as little as possible."""
    python = environment()
    target = scratch / "peer"
    large = sample(source, scratch / "sample", SAMPLE_MB)
    small = sample(source, scratch / "small", SMALL_MB)
    mb = {folder: text_mb(sorted(folder.glob("*.parquet"))) for folder in (source, large, small)}
    found = []
    for script, (name, slow) in PEERS.items():
        if not slow:
            cost = in_turns({script: lambda s=script: run_peer(python, s, source, target)}, 1)[script]  # type: ignore[misc]
            found.append(Row(name, mb[source], cost))
            continue
        costs = {f: run_peer(python, script, f, target) for f in (large, small)}
        found.append(Row(name, mb[large], costs[large], f"a sample of {mb[large]:.0f} MB"))
        net = Cost(costs[large].cpu - costs[small].cpu, costs[large].wall - costs[small].wall, costs[large].rss)
        what = f"{name}, without start-up"
        found.append(Row(what, mb[large] - mb[small], net, f"samples of {mb[large]:.0f} and {mb[small]:.0f} MB"))
    return found
