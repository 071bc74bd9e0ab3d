"""What adversarial documents cost each step beside ordinary text: `python -m tests.benchmarks.adversarial`.

Every step of the registry runs over one document of each kind, and over ordinary text of the same size. The table has, for each
step, the CPU seconds of ordinary text, and the kinds that cost more than it, the dearest first.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from corpusmill.transforms.base import Transform
from corpusmill.transforms.errors import MissingDependencyError
from tests.transforms.adversarial import KINDS, ORDINARY, ordinary, steps, work

BOUND = 3.0
"""No document may cost more than this many times ordinary text."""
HOPELESS = 12.0
"""A document that costs more than this many times ordinary text in a sixteenth of the size is not measured in full."""


@dataclass(frozen=True)
class Measured:
    """CPU seconds of a step for one document of `kind` with n bytes, with 4 n, and for ordinary text of 4 n."""

    step: str
    kind: str
    small: float
    large: float
    ordinary: float


def cpu(step: Transform, text: str, rounds: int) -> float:
    """Least CPU seconds of `rounds`."""
    best = float("inf")
    for _ in range(rounds):
        begin = time.process_time()
        work(step, text)
        best = min(best, time.process_time() - begin)
    return best


def ready(chosen: list[str] | None) -> Iterator[tuple[str, Transform]]:
    """The steps, compiled and loaded."""
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for name, step in steps(Path(folder)):
            if chosen and name not in chosen:
                continue
            try:
                work(step, ordinary(2000))
            except MissingDependencyError as error:
                print(f"{name} is left out: {error}", file=sys.stderr)
                continue
            yield name, step


def measure(n: int, rounds: int = 2, chosen: list[str] | None = None) -> Iterator[Measured]:
    """Every step with every kind of document, in two sizes: a linear step takes four times as long for four times the text."""
    for name, step in ready(chosen):
        base = cpu(step, ordinary(4 * n), rounds)
        for kind, make in KINDS.items():
            small, large = cpu(step, make(n), rounds), cpu(step, make(4 * n), rounds)
            yield Measured(name, kind, small, large, base)


def ratios(n: int, chosen: list[str] | None = None) -> Iterator[tuple[str, float, dict[str, float]]]:
    """(step, CPU seconds for ordinary text of n bytes, {kind: times that}); a pair over the bound is measured three times."""
    for name, step in ready(chosen):
        make_ordinary = ORDINARY.get(name, ordinary)
        base, part = cpu(step, make_ordinary(n), 2), cpu(step, make_ordinary(n // 16), 2)
        found = {}
        for kind, make in KINDS.items():
            found[kind] = cpu(step, make(n // 16), 1) / part
            if found[kind] < HOPELESS or part < 0.01:
                found[kind] = cpu(step, make(n), 1) / base
                if BOUND < found[kind] < HOPELESS:
                    found[kind] = cpu(step, make(n), 2) / base
        yield name, base, found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--bytes", type=int, default=10_000_000, help="size of the documents")
    parser.add_argument("--show", type=int, default=3, help="how many kinds to name for each step")
    parser.add_argument("steps", nargs="*", help="only these")
    options = parser.parse_args()
    over = 0
    print("| step | s for ordinary text | dearest documents, in times of it |\n|---|---|---|")
    for name, base, found in ratios(options.bytes, options.steps):
        order = sorted(found, key=lambda kind: -found[kind])
        shown = [k for i, k in enumerate(order) if i < options.show or found[k] > BOUND]
        over += sum(found[k] > BOUND for k in order)
        print(f"| {name} | {base:.3f} | {', '.join(f'{k} {found[k]:.1f}' for k in shown)} |", flush=True)
    print(f"{over} of the pairs of a step and a document cost more than {BOUND:.0f} times ordinary text.")


if __name__ == "__main__":
    main()
