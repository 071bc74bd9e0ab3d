"""Studies of balanced sampling for `effects`: a corpus of one big and many small topics, sampled by clusters that are learned.

No arm knows the topics: all documents are of one source without a label. The method was chosen by looking at the shares of topics
in both corpora, and at the models of the first.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from tests.benchmarks.effects_runs import BUDGET, Lab, rows_of, stream
from tests.benchmarks.effects_selection import english
from tests.benchmarks.effects_studies import Comparison, Study, study_of
from tests.benchmarks.effects_text import cut_off, of, prepared, shuffled

BIG_BYTES, SMALL_BYTES, HELD = 2_400_000, 60_000, 40_000
CLUSTER = {"clusters": 32, "rarity": True}
CLAIM = "Sampling that flattens clusters and gives more to rare words teaches all topics of a skewed corpus better."
ABOUT = (
    f"{BIG_BYTES / 1e6:.1f} MB of %s, 60 kB each of seven other topics, in English, as one source without a label. Each arm "
    "trains on 163,840 tokens. `balance` samples by the clusters that the step `cluster` finds and by their rarity; `random` is a "
    "half of the corpus, drawn by ids. Held out: other documents of each topic; `mean` is over all topics."
)
Read = Callable[[Path], pa.Table]


def _source(name: str) -> Read:
    return lambda data: english(of(data, name))


def _labelled(name: str) -> Read:
    def read(data: Path) -> pa.Table:
        table = pq.read_table(data / f"labelled/{name}.parquet")
        texts = ["\n".join(map(str, row.values())) for row in table.drop(["id"]).to_pylist()]
        return shuffled(pa.table({"id": [f"{name}-{i}" for i in range(len(texts))], "text": texts}))

    return read


def _shakespeare(data: Path) -> pa.Table:
    text = (data / "text/tinyshakespeare.txt").read_text()
    pieces = [text[i : i + 2000] for i in range(0, len(text), 2000)]
    return shuffled(pa.table({"id": [f"scene-{i}" for i in range(len(pieces))], "text": pieces}))


SMALL = ("rust-lang/book", "ethereum/EIPs", "python/peps", "swiftlang/swift-evolution", "vuejs/docs")
MANUALS = {"windows-driver-docs": _source("MicrosoftDocs/windows-driver-docs")} | {
    name.split("/")[1]: _source(name) for name in (*SMALL, "rust-lang/rfcs", "EbookFoundation/free-programming-books")
}
MATHS = (
    {"gsm8k": _labelled("gsm8k")}
    | {name.split("/")[1]: _source(name) for name in SMALL}
    | {"shakespeare": _shakespeare, "PowerShell-Docs": _source("MicrosoftDocs/PowerShell-Docs")}
)


@study_of("balance", CLAIM, ABOUT % "Windows driver documentation, which is a big source of many topics itself")
def balance(lab: Lab, study: Study) -> None:
    """Natural, random and balanced samples of a skewed corpus."""
    _compare(lab, study, MANUALS)


@study_of("balance-maths", CLAIM, ABOUT % "grade-school maths problems, which are of one topic")
def balance_maths(lab: Lab, study: Study) -> None:
    """The same on a corpus that the method was not chosen by."""
    _compare(lab, study, MATHS)


def _compare(lab: Lab, study: Study, topics: dict[str, Read]) -> None:
    """topics: the big one first."""
    tables, held_texts = [], {}
    for number, (name, read) in enumerate(topics.items()):
        every = shuffled(read(lab.data))
        every = every.filter(pc.greater(pc.binary_length(every["text"]), 300))
        held_texts[name] = cut_off(every["text"].to_pylist(), HELD)
        rest = every.slice(len(held_texts[name]))
        cut = pa.table({"id": rest["id"], "text": [t[:3000] for t in rest["text"].to_pylist()]})
        ends = np.cumsum(pc.binary_length(cut["text"]).to_numpy())
        tables.append(cut.slice(0, int(np.searchsorted(ends, SMALL_BYTES if number else BIG_BYTES)) + 1))
    pool = shuffled(pa.concat_tables(tables))
    vocabulary = lab.tokenizer(study.name, cut_off(pool["text"].to_pylist(), 400_000), 1024)
    held = {name: rows_of(stream(texts, vocabulary)) for name, texts in held_texts.items()}
    arms: dict[str, list[Any]] = {
        "natural": [],
        "random": [{"sample": {"fraction": 0.5}}],
        "balance": [{"cluster": CLUSTER}, {"balance": {"rarity": "cluster.rarity", "shards": 1}}],
    }
    small = {i for t in tables[1:] for i in t["id"].to_pylist()}
    for name, steps in arms.items():
        folder = f"{study.name}-{name}".replace(", ", "-").replace(" ", "-")
        table, seconds = prepared(lab.out, folder, {"pool": pool}, steps)
        texts = table["text"].to_pylist() if "epoch" in table.column_names else shuffled(table)["text"].to_pylist()
        sizes = np.array([len(t) for t in table["text"].to_pylist()])
        share = sizes[[i in small for i in table["id"].to_pylist()]].sum() / sizes.sum()
        arm = study.arm(name, seconds, f"{share:.0%} of the text is of small topics")
        rows = rows_of(stream(texts, vocabulary, BUDGET))
        lab.language_model(arm, vocabulary, rows, held)
        if arm.missing:
            continue
        each = np.array([arm.figures[domain] for domain in held])  # [domains, seeds]
        arm.figures |= {"mean": each.mean(0).tolist(), "worst": each.max(0).tolist(), "biggest": each[0].tolist()}
    study.notes.append(
        "`natural` and `random` have the same shares of topics: what they differ by is the order of rows. The means differ by "
        "little more than that at this length."
    )
    study.comparisons = [
        Comparison("balance", against, figure, goal)
        for against in ("natural", "random")
        for figure, goal in (("mean", 0.0), ("worst", 0.0), ("biggest", None))
    ]
