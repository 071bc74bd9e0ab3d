"""What adversarial documents cost each step beside ordinary text: `python -m tests.benchmarks.adversarial`.

Every step of the registry runs over one document of each kind, in two sizes. A linear step takes four times as long for four
times the text, a quadratic one sixteen times.
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
from tests.transforms.adversarial import KINDS, ordinary, steps, work


@dataclass(frozen=True)
class Measured:
    """CPU seconds of a step for one document of `kind` with n bytes, with 4 n, and for ordinary text of 4 n."""

    step: str
    kind: str
    small: float
    large: float
    ordinary: float

    @property
    def growth(self) -> float:
        """About 4 for a linear step, 16 for a quadratic one."""
        return self.large / max(self.small, 1e-9)


def cpu(step: Transform, text: str, rounds: int) -> float:
    """Least CPU seconds of `rounds`."""
    best = float("inf")
    for _ in range(rounds):
        begin = time.process_time()
        work(step, text)
        best = min(best, time.process_time() - begin)
    return best


def measure(n: int, rounds: int = 2, chosen: list[str] | None = None) -> Iterator[Measured]:
    """Every step with every kind of document."""
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for name, step in steps(Path(folder)):
            if chosen and name not in chosen:
                continue
            try:
                work(step, ordinary(2000))  # compile and load
            except MissingDependencyError as error:
                print(f"{name} is left out: {error}", file=sys.stderr)
                continue
            base = cpu(step, ordinary(4 * n), rounds)
            for kind, make in KINDS.items():
                small, large = cpu(step, make(n), rounds), cpu(step, make(4 * n), rounds)
                yield Measured(name, kind, small, large, base)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--bytes", type=int, default=64_000, help="size of the small documents; the large have four times"
    )
    parser.add_argument("steps", nargs="*", help="only these")
    options = parser.parse_args()
    print("| step | document | ms for n | ms for 4 n | growth | of ordinary text |\n|---|---|---|---|---|---|")
    for m in measure(options.bytes, chosen=options.steps):
        if (m.growth > 6 and m.large > 0.02) or (m.large > 3 * m.ordinary and m.large > 0.02):
            print(
                f"| {m.step} | {m.kind} | {m.small * 1e3:.1f} | {m.large * 1e3:.1f} | {m.growth:.1f} "
                f"| {m.large / max(m.ordinary, 1e-9):.1f} |",
                flush=True,
            )
    print("No other document grows by more than 6, or costs more than 3 times ordinary text.", file=sys.stderr)


if __name__ == "__main__":
    main()
