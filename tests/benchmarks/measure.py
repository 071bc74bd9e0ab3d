"""What the benchmarks share: the cost of a command, repeated in turns; a floor to compare with; tables.

CPU seconds are user and system time of a process and of all its descendants that it waited for, start-up included; the
clock on the wall is never compared. Repetitions are interleaved (a, b, a, b), so that a busy minute of the machine hits
all alike, and the least CPU time of each counts: noise only ever adds.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Cost:
    """cpu, wall: seconds; rss: greatest resident set of one process, in bytes."""

    cpu: float
    wall: float
    rss: int


@dataclass(frozen=True)
class Row:
    """A line of a table: what was run, over how much text (MB = 10^6 bytes), what it cost, and a remark."""

    what: str
    mb: float
    cost: Cost
    note: str = ""

    @property
    def rate(self) -> float:
        """MB of text per CPU second."""
        return self.mb / self.cost.cpu


_LAUNCH = """
import json, os, sys
pid = os.posix_spawn(sys.argv[2], sys.argv[2:], os.environ)
_, status, usage = os.wait4(pid, 0)
with open(int(sys.argv[1]), "w") as f:
    json.dump([usage.ru_utime + usage.ru_stime, usage.ru_maxrss, os.waitstatus_to_exitcode(status)], f)
"""


def run_command(argv: Sequence[str], good: Sequence[int] = (0,), timeout: float | None = None) -> Cost:
    """Cost of a command, run to its end in the project's root.

    A small process between this one and the command starts it: the greatest resident set that the system notes for a
    process begins with that of the process it was forked from.

    Raises:
        RuntimeError: it exits with a code that is not `good`, or runs longer than `timeout` seconds; its output is in the
            message.
    """
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    read, write = os.pipe()
    with tempfile.TemporaryFile() as output, open(read) as told:
        launch = [sys.executable, "-I", "-S", "-c", _LAUNCH, str(write), *argv]
        begin = time.perf_counter()
        # a session of its own: whatever it started ends with it
        child = subprocess.Popen(
            launch,
            cwd=ROOT,
            env=env,
            stdout=output,
            stderr=output,
            stdin=subprocess.DEVNULL,
            pass_fds=[write],
            start_new_session=True,
        )
        os.close(write)
        try:
            child.wait(timeout)
        except BaseException as error:
            os.killpg(child.pid, signal.SIGKILL)
            child.wait()
            if isinstance(error, subprocess.TimeoutExpired):
                raise RuntimeError(f"{' '.join(argv)}: stopped after {timeout:.0f} s") from None
            raise
        wall = time.perf_counter() - begin
        cpu, rss, code = json.loads(told.read() or "[0, 0, -1]")
        if code not in good:
            output.seek(0)
            tail = output.read().decode(errors="replace")[-2000:]
            raise RuntimeError(f"{' '.join(argv)}: exit code {code} after {wall:.0f} s\n{tail}")
    return Cost(cpu, wall, rss * (1 if sys.platform == "darwin" else 1024))


def in_turns(tasks: dict[str, Callable[[], Cost]], rounds: int) -> dict[str, Cost]:
    """Each task `rounds` times, in turns; of each the least CPU time, the least wall time and the greatest memory."""
    costs: dict[str, list[Cost]] = {name: [] for name in tasks}
    for _ in range(rounds):
        for name, task in tasks.items():
            costs[name].append(task())
    return {
        name: Cost(min(c.cpu for c in each), min(c.wall for c in each), max(c.rss for c in each))
        for name, each in costs.items()
    }


def in_process(task: Callable[[], object], rounds: int = 3) -> Cost:
    """CPU time of a function in this process, the least of some rounds behind one that warms up."""
    task()
    best, walls = [], []
    for _ in range(rounds):
        wall, cpu = time.perf_counter(), time.process_time()
        task()
        best.append(time.process_time() - cpu)
        walls.append(time.perf_counter() - wall)
    return Cost(min(best), min(walls), 0)


def text_mb(files: Sequence[Path]) -> float:
    """MB (10^6 bytes) of UTF-8 in column `text` of Parquet files."""
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    total = 0
    for path in files:
        for batch in pq.ParquetFile(path).iter_batches(4096, columns=["text"], use_threads=False):
            total += pc.sum(pc.binary_length(batch.column(0))).as_py() or 0
    return total / 1e6


def floor(source: Path, target: Path) -> None:
    """Read and write the Parquet files of a folder batch by batch, on one thread, with zstd at level 3."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    pa.set_cpu_count(1)
    target.mkdir(parents=True, exist_ok=True)
    for path in sorted(source.glob("*.parquet")):
        file = pq.ParquetFile(path, pre_buffer=False)
        with pq.ParquetWriter(target / path.name, file.schema_arrow, compression="zstd", compression_level=3) as writer:
            for batch in file.iter_batches(4096, use_threads=False):
                writer.write_batch(batch)


def markdown(rows: Sequence[Row], floor_cpu: float | None = None) -> str:
    """The rows as a Markdown table; with `floor_cpu`, a column of multiples of the floor's CPU seconds."""
    lines = ["| what | MB | CPU s | MB per CPU s |" + (" times the floor |" if floor_cpu else "") + " peak MB | |"]
    lines.append("|---|--:|--:|--:|" + ("--:|" if floor_cpu else "") + "--:|---|")
    for row in rows:
        times = f" {row.cost.cpu / floor_cpu:.1f} |" if floor_cpu else ""
        memory = f"{row.cost.rss / 1e6:.0f}" if row.cost.rss else ""
        lines.append(
            f"| {row.what} | {row.mb:.1f} | {row.cost.cpu:.2f} | {_figure(row.rate)} |{times} {memory} | {row.note} |"
        )
    return "\n".join(lines)


def _figure(value: float) -> str:
    return f"{value:.0f}" if value >= 100 else f"{value:.1f}" if value >= 1 else f"{value:.2f}"


if __name__ == "__main__":
    floor(Path(sys.argv[1]), Path(sys.argv[2]))
