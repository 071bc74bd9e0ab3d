"""The step `quality` beside fastText, fasttext-turbo and datatrove: accuracy on the same labels, and MB per CPU second.

    python -m tests.benchmarks.quality [--rounds N]

Writes docs/benchmarks/quality.md. The peers run only with PEERS=1: fastText's models are trained by its own module, in an
environment of its own. Labels: technical manuals, proposals and standards to be like; all other sources to be unlike.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from corpusmill.transforms.hashing import hash64
from corpusmill.transforms.select._measure import area_under_curve
from corpusmill.transforms.select._train import train
from corpusmill.transforms.select.fasttext.model import open_fasttext
from corpusmill.transforms.select.quality import Quality
from tests.benchmarks.corpora import corpus
from tests.benchmarks.measure import ROOT, Cost, Row, in_process, in_turns, markdown, run_command, text_mb
from tests.benchmarks.peers.rows import environment, run_peer, sample
from tests.benchmarks.steps import run_recipe

HERE = Path(__file__).parent
REPORT = ROOT / "docs/benchmarks/quality.md"
LIKE = ("rust-lang/book", "rust-lang/rfcs", "python/peps", "swiftlang/swift-evolution")
WHEELS = {"fasttext-wheel": "fasttext-numpy2-wheel==0.9.2", "fasttext-turbo": "fasttext-turbo==0.1.0"}
"""fasttext-wheel with numpy 2, under which fasttext-wheel itself raises an error when it predicts."""
TRAIN = """
import sys, fasttext
model = fasttext.train_supervised(sys.argv[1], thread=1, verbose=0, wordNgrams=2, dim=100, bucket=2000000, **eval(sys.argv[3]))
model.save_model(sys.argv[2])
"""
SETTINGS = {"its defaults": "{}", "lr 0.5, 25 epochs": "dict(lr=0.5, epoch=25)"}


def labelled(source: Path) -> tuple[pa.Table, pa.Table]:
    """(to train on, to test on): columns text and like, a quarter to test on, by a hash of the text."""
    table = pa.concat_tables(pq.read_table(f, columns=["text", "source"]) for f in sorted(source.glob("*.parquet")))
    table = table.filter(pc.greater(pc.binary_length(table["text"]), 200)).combine_chunks()
    text = pc.utf8_slice_codeunits(table["text"], 0, 3000).combine_chunks()
    like = pc.is_in(table["source"], pa.array(LIKE)).combine_chunks().to_numpy(zero_copy_only=False)
    draw = hash64(text)
    chosen = np.concatenate(
        [(at := np.flatnonzero(like == side))[np.argsort(draw[at])[:n]] for side, n in ((True, 1500), (False, 2500))]
    )
    made = pa.table({"text": text.take(pa.array(chosen)), "like": like[chosen]})
    tested = draw[chosen] >> np.uint64(5) & np.uint64(3) == 0
    return made.filter(pa.array(~tested)), made.filter(pa.array(tested))


def wheel(name: str) -> Path:
    """The Python of an environment with one of fastText's modules; the two share a name, so each has its own."""
    folder = ROOT / f".venv-{name}"
    python = folder / "bin/python"
    if not python.exists():
        subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
        wanted = ["numpy", "pyarrow", WHEELS[name]]
        subprocess.run([str(python), "-m", "pip", "install", "-q", "--disable-pip-version-check", *wanted], check=True)
    return python


def accuracy(given: pa.Table, held: pa.Table, scratch: Path, peers: bool) -> list[str]:
    """Lines of the table of areas under the curve; leaves scorer files and fastText's models in `scratch`."""
    texts, labels = (
        t.combine_chunks() if isinstance(t, pa.ChunkedArray) else t for t in (given["text"], given["like"])
    )
    which = np.where(labels.to_numpy(zero_copy_only=False), 0, 1)
    held_texts, held_like = held["text"].combine_chunks(), held["like"].to_numpy()
    lines = [f"| | AUC on {len(held):,} held-out documents | accuracy | training, CPU s |", "|---|--:|--:|--:|"]

    def line(name: str, odds: np.ndarray, cpu: float) -> None:
        right = ((odds > 0) == held_like).mean()
        lines.append(f"| {name} | {area_under_curve(odds, held_like):.4f} | {right:.4f} | {cpu:.1f} |")

    forms: dict[str, dict[str, tuple[int, int] | int]] = {
        "linear": {},
        "embeddings": {"dims": 16},
        "characters": {"characters": (2, 4)},
    }
    for name, form in forms.items():
        made = train(texts, which, ("like", "unlike"), 2, 1 << 20, 5, **form)  # type: ignore[arg-type]
        cost = in_process(lambda form=form: train(texts, which, ("like", "unlike"), 2, 1 << 20, 5, **form), 1)  # type: ignore[misc,arg-type]
        made.save(str(scratch / f"{name}.safetensors"))
        shown = {
            "linear": "`scorer train`",
            "embeddings": "`scorer train --dims 16`",
            "characters": "`scorer train --characters 2-4`",
        }
        line(shown[name], made.scored(held_texts, 0)[1], cost.cpu)
    if not peers:
        return lines
    file = scratch / "train.txt"
    rows = zip(texts.to_pylist(), labels.to_pylist(), strict=True)
    file.write_text("".join(f"__label__{'like' if y else 'unlike'} {' '.join(t.split())}\n" for t, y in rows))
    for number, (name, settings) in enumerate(SETTINGS.items()):
        model = scratch / f"fasttext-{number}.bin"
        cost = run_command([str(wheel("fasttext-wheel")), "-c", TRAIN, str(file), str(model), settings])
        opened = open_fasttext(str(model))
        line(f"fastText, {name}", opened.scored(held_texts, opened.labels.index("like"))[1], cost.cpu)
    return lines


def kernels(source: Path, scratch: Path, rounds: int) -> list[Row]:
    """`quality` alone on batches in memory, a row a model."""
    held = [
        b
        for f in sorted(source.glob("*.parquet"))
        for b in pq.ParquetFile(f).iter_batches(4096, columns=["id", "text"])
    ]
    mb = text_mb(sorted(source.glob("*.parquet")))
    names = {
        "linear.safetensors": "scorer",
        "embeddings.safetensors": "scorer, embeddings",
        "characters.safetensors": "scorer, characters",
    }
    names |= {p.name: "fastText's .bin" for p in sorted(scratch.glob("fasttext-0.bin"))}
    found = []
    for file, name in names.items():
        step = Quality(model=str(scratch / file), label="like")

        def judge(step: Quality = step) -> None:
            for batch in held:
                step.scores_of(batch)

        found.append(Row(f"quality, {name}", mb, in_process(judge, rounds)))
    return found


def within_a_pass(source: Path, scratch: Path, rounds: int) -> list[Row]:
    """What `quality` adds to a run that reads, cleans and writes: runs with and without it, in turns."""
    place = scratch / "run"
    base = [{"clean": {}}]
    models = {"quality, scorer": "linear.safetensors", "quality, fastText's .bin": "fasttext-0.bin"}
    tasks: dict[str, Callable[[], Cost]] = {"": lambda: run_recipe(place, source, base)}
    for name, file in models.items():
        if (scratch / file).exists():
            steps = [*base, {"quality": {"model": str(scratch / file), "label": "like"}}]
            tasks[name] = lambda steps=steps: run_recipe(place, source, steps)  # type: ignore[misc]
    for task in tasks.values():
        task()
    costs = in_turns(tasks, rounds)
    mb, plain = text_mb(sorted(source.glob("*.parquet"))), costs.pop("")
    return [
        Row(name, mb, Cost(c.cpu - plain.cpu, c.wall - plain.wall, c.rss), "run with it, less run without")
        for name, c in costs.items()
    ]


def others(source: Path, scratch: Path, rounds: int) -> list[Row]:
    """fastText's modules and datatrove with the same model: a sample, less a smaller one, so that start-up does not count."""
    model = str(scratch / "fasttext-0.bin")
    large, small = sample(source, scratch / "large", 12.0), sample(source, scratch / "small", 2.0)
    mb = text_mb(sorted(large.glob("*.parquet"))) - text_mb(sorted(small.glob("*.parquet")))
    runs = {
        "fasttext-wheel": (wheel("fasttext-wheel"), "fasttext_predict"),
        "fasttext-turbo": (wheel("fasttext-turbo"), "fasttext_predict"),
    }
    runs["datatrove with fastText"] = (environment(), "datatrove_fasttext")
    found = []
    place = scratch / "peer"
    for name, (python, script) in runs.items():
        tasks = {f.name: partial(run_peer, python, script, f, place, model) for f in (large, small)}
        costs = in_turns(tasks, rounds)
        cpu, wall = (getattr(costs["large"], n) - getattr(costs["small"], n) for n in ("cpu", "wall"))
        found.append(Row(name, mb, Cost(cpu, wall, costs["large"].rss), "without start-up"))
    return found


def main() -> None:
    """Measure, print and write the report."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--report", type=Path, default=REPORT)
    options = parser.parse_args()
    peers = os.environ.get("PEERS") == "1"
    with tempfile.TemporaryDirectory() as folder:
        scratch = Path(folder)
        source = corpus(scratch)
        given, held = labelled(source)
        table = accuracy(given, held, scratch, peers)
        some = sample(source, scratch / "some", 30.0)
        rows = [*kernels(some, scratch, options.rounds), *within_a_pass(some, scratch, options.rounds)]
        rows += others(source, scratch, options.rounds) if peers else []
    text = (
        "# Speed and accuracy of `quality`\n\nWritten by `PEERS=1 python -m tests.benchmarks.quality`. The peers score with the "
        "model of fastText's defaults, which `quality` scores with, too. Rates are MB (10^6 bytes) of text per CPU second, the "
        f"least of {options.rounds} rounds in turns.\n\n## Accuracy\n\n"
        f"Trained on {len(given):,} documents (their first 3,000 characters): {', '.join(LIKE)} to be like, other sources to be "
        "unlike.\n\n" + "\n".join(table) + "\n\n## Speed\n\n" + markdown(rows) + "\n"
    )
    print(text)
    options.report.write_text(text)


if __name__ == "__main__":
    main()
