"""All benchmarks: `make bench`, `make bench PEERS=1`, `make bench BENCH_ARGS="steps noise"`.

    python -m tests.benchmarks.run [--peers] [--rounds N] [--output FILE] [names...]

Names: the parts `steps`, `kernels`, `spans`, `memory`, `peers`, and every other module beside this one that has a `main`
(it is run as a program of its own, with PEERS=1 in its environment under --peers). Without names, all of them; `peers`
only under --peers. What all parts print is also written to docs/benchmarks/index.md, what some print to --output.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import os
import platform
import re
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.benchmarks import kernels, memory, spans, steps
from tests.benchmarks.corpora import corpus
from tests.benchmarks.measure import ROOT, Row, markdown, text_mb
from tests.benchmarks.peers import rows as peers

HERE = Path(__file__).parent
RESULTS = HERE.parents[1] / "docs/benchmarks/index.md"
OURS = ("steps", "kernels", "spans", "memory")


def programs() -> list[str]:
    """Modules beside this one that are programs of their own."""
    own = {"run", "measure"}
    return [p.stem for p in sorted(HERE.glob("*.py")) if p.stem not in own and "\ndef main(" in p.read_text()]


def header(source: Path, options: argparse.Namespace) -> str:
    """What was measured, on what, with which versions."""
    files = sorted(source.glob("*.parquet"))
    versions = " ".join(
        f"{name} {importlib.metadata.version(name)}" for name in ("numpy", "numba", "pyarrow", "apache-beam")
    )
    flags = [f"--rounds {options.rounds}", *(["--peers"] if options.peers else [])]
    command = " ".join(["python -m tests.benchmarks.run", *flags, *options.names])
    model = platform.processor() or platform.machine()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        named = re.search(r"model name\s*: (.+)", cpuinfo.read_text())
        model = named[1] if named else model
    return (
        f"# Benchmarks\n\nWritten by `{command}`: {text_mb(files):.1f} MB of text in {len(files)} Parquet shards; "
        f"{os.cpu_count()} cores ({model}), Python {platform.python_version()}, {versions}.\n\n"
        "CPU seconds are user and system time of all processes, the least of "
        f"{options.rounds} interleaved rounds; MB are 10^6 bytes of text.\n"
    )


def compare(whole: list[Row], more: list[Row], theirs: list[Row]) -> str:
    """The figures that the project promises, against what was measured."""
    at = {r.what: r for r in whole}
    net = {r.what: r for r in more}
    lines = ["| goal | measured | without start-up |", "|---|--:|--:|"]

    def line(goal: str, value: str, without: str = "") -> None:
        lines.append(f"| {goal} | {value} | {without} |")

    hashed = "MinHash, verified"
    if hashed in at:
        both = [f"{rows[hashed].cost.cpu / rows[steps.FLOOR].cost.cpu:.2f}" for rows in (at, net)]
        line("MinHash with verification: at most 3 times the CPU of the floor", *both)
    for name, goal in (("all filters", 40), ("substring", 10)):
        if name in at:
            line(f"{name}: at least {goal} MB per CPU second", f"{at[name].rate:.1f}", f"{net[name].rate:.1f}")
    for row in theirs:
        ours = "all filters" if "filters" in row.what else hashed
        goal = 50 if "datatrove: MinHash" in row.what else 2 if "gaoya" in row.what else None
        if ours in at:
            aim = f", at least {goal} times" if goal else ""
            line(
                f"{ours}: less CPU a MB than {row.what}{aim}",
                f"{at[ours].rate / row.rate:.1f}",
                f"{net[ours].rate / row.rate:.1f}",
            )
    return "\n".join(lines)


def main() -> None:
    """Run the parts that are named, print their tables and write them to docs/benchmarks/index.md."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*")
    parser.add_argument("--peers", action="store_true")
    parser.add_argument(
        "--output", type=Path, help="a Markdown file for the results (all parts: docs/benchmarks/index.md)"
    )
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--scratch", type=Path, help="a folder for temporary files, 10 GB free (default: a new one)")
    options = parser.parse_args()
    known = [*OURS, "peers", *programs()]
    unknown = [n for n in options.names if n not in known]
    if unknown:
        parser.error(f"unknown: {' '.join(unknown)}; known: {' '.join(known)}")
    names = options.names or [n for n in known if n != "peers" or options.peers]
    with tempfile.TemporaryDirectory(prefix="corpusmill-bench-", dir=options.scratch) as place:
        text = measure(names, options, Path(place))
    target = options.output or (None if options.names else RESULTS)
    if target:
        target.write_text(text)
        print(f"\nWritten to {target}.")


def measure(names: list[str], options: argparse.Namespace, scratch: Path) -> str:
    """Run the parts; what they say, as Markdown, is printed as it comes."""
    source = corpus(scratch)
    told: list[str] = []

    def tell(text: str) -> None:
        told.append(text)
        print(text, flush=True)

    tell(header(source, options))
    whole: list[Row] = []
    more: list[Row] = []
    theirs: list[Row] = []
    if "steps" in names:
        whole, more = steps.rows(source, scratch, options.rounds)
        tell("## Steps: `corpusmill run`, a fresh process and folder, one worker, start-up included\n")
        tell(markdown(whole, whole[0].cost.cpu) + "\n")
        tell("## Steps: what as much text more costs, (four corpora less one) / 3\n")
        tell(markdown(more, more[0].cost.cpu) + "\n")
    if "kernels" in names:
        tell("## Kernels alone, warm, in one process\n")
        tell(markdown(kernels.rows(source, options.rounds)) + "\n")
    if "spans" in names:
        tell("## Repeated spans\n\n" + spans.compare(source, scratch) + ".\n")
    if "peers" in names:
        theirs = peers.rows(source, scratch)
        tell("## Other tools on the same input, a fresh process, start-up included\n")
        tell(markdown(theirs) + "\n")
    if whole:
        tell("## Goals\n\n" + compare(whole, more, theirs) + "\n")
    if "memory" in names:
        tell("## Memory of a run: clean, gopher-quality, exact, minhash; one worker\n")
        tell(markdown(memory.rows(source, scratch)) + "\n")
    for name in names:
        if name in programs():
            tell(f"## {name}\n\n```\n{output(name, options.peers)}\n```\n")
    return "\n".join(told)


def output(name: str, with_peers: bool) -> str:
    """What a program beside this one prints."""
    env = {**os.environ, "PEERS": "1" if with_peers else "0"}
    command = [sys.executable, "-m", f"tests.benchmarks.{name}"]
    done = subprocess.run(command, cwd=ROOT, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    return done.stdout.rstrip() + (f"\n(exit code {done.returncode})" if done.returncode else "")


if __name__ == "__main__":
    main()
