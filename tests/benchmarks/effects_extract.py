"""The study of `extract` for `effects`: what text from the same pages is worth, by the method that took it out."""

from __future__ import annotations

import time
from typing import Any
from urllib.parse import urlsplit

import pyarrow as pa
import pyarrow.parquet as pq

from corpusmill.transforms.web.extract import Extract
from tests.benchmarks.effects_runs import BUDGET, Lab, rows_of, stream
from tests.benchmarks.effects_studies import Comparison, Study, study_of
from tests.benchmarks.effects_text import cut_off, shuffled

ARMS: dict[str, dict[str, Any]] = {
    "all text": {"method": "all-text"},
    "resiliparse": {"method": "resiliparse"},
    "trafilatura": {"method": "trafilatura"},
    "learned": {"method": "learned"},
    "vote, union": {"method": "vote", "min_votes": 1},
}
HELD = 4
"""Every fourth host is held out."""


@study_of(
    "extract",
    "The extractor alone moves a model (AICC); the union of extractors gives more text of equal worth.",
    "Web pages of shared/data/pages, mostly German. Each arm trains on 163,840 tokens of what a method takes out of the same "
    "pages. Held out: the fragments that annotators marked as main content, on pages of other hosts. The shipped trees of "
    "`learned` were trained on all of these pages' labels.",
)
def extraction(lab: Lab, study: Study) -> None:
    """All text, three extractors and their union."""
    pages = pq.read_table(lab.data / "pages/pages.parquet").append_column("id", pa.array(map(str, range(536))))
    hosts = [urlsplit(u).netloc or u.partition("-")[0] for u in pages["url"].to_pylist()]
    names = shuffled(pa.table({"id": sorted(set(hosts))}))["id"].to_pylist()
    away = set(names[::HELD])
    held_rows = [i for i, h in enumerate(hosts) if h in away]
    read = shuffled(pages.take(pa.array([i for i, h in enumerate(hosts) if h not in away])))
    clean = [f for i in held_rows for f in pages["present"][i].as_py() if len(f) > 40]
    texts: dict[str, list[str]] = {}
    seconds: dict[str, float] = {}
    batch = read.select(["id", "html"]).combine_chunks().to_batches()[0]
    for name, fields in ARMS.items():
        began = time.process_time()
        texts[name] = [t for t in Extract(column="html", drop=(), **fields)(batch).column("text").to_pylist() if t]
        seconds[name] = time.process_time() - began
    # one tokenizer for all arms, which favours none of them
    vocabulary = lab.tokenizer("extract", [t for each in texts.values() for t in cut_off(each, 200_000)])
    held = {"held": rows_of(stream(clean, vocabulary))}
    for name, each in texts.items():
        tokens = stream(cut_off(each, 4_000_000), vocabulary, BUDGET)
        size = sum(map(len, each))
        arm = study.arm(name, seconds[name], f"{len(each):,} pages, {size / 1e6:.2f} million characters")
        lab.language_model(arm, vocabulary, rows_of(tokens), held)
    study.comparisons = [
        *(Comparison(a, "all text", "held") for a in ARMS if a != "all text"),
        *(Comparison("learned", a, "held") for a in ("resiliparse", "trafilatura")),
        Comparison("vote, union", "learned", "held"),
    ]
