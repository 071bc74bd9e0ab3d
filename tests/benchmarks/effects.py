"""Does prepared data train better models? Each technique's claim, tested on real text with small models.

    python -m tests.benchmarks.effects [--data ../shared/data] [--out build/effects] [--seeds 3] [--only noise,mixing]

Writes docs/benchmarks/effects.md and effects.svg after each study, from all that is done. Every run is kept in --out under
the hash of its settings and data, so that the command can be stopped at any time and goes on; about half an hour of one CPU in all.
"""

from __future__ import annotations

import argparse
import logging
from collections.abc import Iterator
from pathlib import Path

from tests.benchmarks import (  # noqa: F401  whose studies are behind the others
    effects_balance,
    effects_extract,
    effects_loop,
    effects_perplexity,
    effects_selection,
)
from tests.benchmarks.effects_report import markdown, plot
from tests.benchmarks.effects_runs import Lab
from tests.benchmarks.effects_studies import STUDIES, Study

HERE = Path(__file__).parent
REPORTS = HERE.parents[1] / "docs/benchmarks"


def studies(lab: Lab, names: list[str]) -> Iterator[Study]:
    """The studies of these names, each as soon as it is done."""
    for name in names:
        print(name, flush=True)
        study = STUDIES[name](lab)
        absent = [arm.name for arm in study.arms.values() if arm.missing]
        if absent:
            study.notes.append(f"Not run yet: {', '.join(absent)}.")
        study.comparisons = [c for c in study.comparisons if c.arm not in absent and c.against not in absent]
        yield study


def main() -> None:
    """Run the studies and write the report."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, default=HERE.parents[1] / "../shared/data")
    parser.add_argument("--out", type=Path, default=HERE.parents[1] / "build/effects")
    parser.add_argument("--report", type=Path, default=REPORTS, help="folder of effects.md and effects.svg")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--only", default="", help=f"of {', '.join(STUDIES)}; all when left out")
    parser.add_argument("--only-kept", action="store_true", help="train nothing: report the runs that are done")
    options = parser.parse_args()
    if not (options.data / "corpus").is_dir():
        raise SystemExit(f"{options.data}: holds no corpus; name the folder with corpus/ and labelled/ with --data")
    names = options.only.split(",") if options.only else list(STUDIES)
    if unknown := [name for name in names if name not in STUDIES]:
        raise SystemExit(f"--only: no study is called {', '.join(unknown)}; there are {', '.join(STUDIES)}")
    logging.getLogger().setLevel(logging.ERROR)
    found = []
    for study in studies(Lab(options.data, options.out, options.seeds, options.only_kept), names):
        found.append(study)
        text = markdown(found, options.seeds, "make effects")
        (options.report / "effects.md").write_text(text, encoding="utf-8")
        plot(found, options.report / "effects.svg")
    print(text)


if __name__ == "__main__":
    main()
