"""A model in the loop, on real text: does self-training gain, does generated text collapse a model, what does a teacher give?

    python -m tests.benchmarks.loop [selftrain] [collapse] [distill] [--data ../shared/data] [--out build/loop]

    selftrain  10 labels a class, 5 seeds: test accuracy before and after, and what the gate refused       about 2 CPU minutes
    collapse   a trigram model, 5 generations: replace, accumulate, and our steps                          about 2 CPU minutes
    distill    bits per byte of a small student, plain, with full, sampled and top-k logits, 3 seeds       about 11 CPU minutes

Every run stands in its folder and is made once: the same command goes on where it was stopped.
"""

from __future__ import annotations

import argparse
import json
import os
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

from tests.benchmarks import loop_collapse, loop_distill, loop_selftrain

STUDIES = {"selftrain": (loop_selftrain, 5), "collapse": (loop_collapse, 3), "distill": (loop_distill, 3)}


def main() -> None:
    """Run the named studies (all by default); prints each result and keeps it as OUT/STUDY/result.json."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("studies", nargs="*", choices=[*STUDIES, []], metavar="STUDY")
    parser.add_argument("--data", type=Path, default=Path(__file__).parents[2] / "../shared/data")
    parser.add_argument("--out", type=Path, default=Path("build/loop"))
    parser.add_argument("--seeds", type=int)
    options = parser.parse_args()
    if not options.data.is_dir():
        raise SystemExit(f"{options.data}: holds no real text; name its folder with --data")
    for name in options.studies or STUDIES:
        module, seeds = STUDIES[name]
        print(f"{name}:", flush=True)
        result = module.study(options.data, options.out / name, options.seeds or seeds)
        text = json.dumps(result, indent=1)
        (options.out / name / "result.json").write_text(text + "\n")
        print(text, flush=True)


if __name__ == "__main__":
    main()
