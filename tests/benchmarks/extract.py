"""F and pages per CPU second of `extract`, beside trafilatura and resiliparse, on the labelled pages.

    python tests/benchmarks/extract.py [PAGES.parquet]

The figures of `learned` with the shipped trees are of pages that these were trained on; cross-validated figures are those of
extract_train.py. Methods are timed from bytes to text, the first 20 pages beforehand.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import pyarrow as pa
import pyarrow.parquet as pq

from corpusmill.transforms.web.extract import Extract
from tests.benchmarks.extract_train import PAGES, folded


def methods() -> dict[str, Callable[[list[bytes]], list[str]]]:
    def step(**fields: Any) -> Callable[[list[bytes]], list[str]]:
        return lambda pages: (
            Extract(column="html", drop=(), **fields)(
                pa.record_batch({"id": [str(i) for i in range(len(pages))], "html": pages})
            )
            .column("text")
            .to_pylist()
        )

    known: dict[str, Callable[[list[bytes]], list[str]]] = {
        "learned": step(),
        "learned, Markdown": step(format="markdown"),
        "resiliparse": step(method="resiliparse"),
        "all-text": step(method="all-text"),
        "vote of two": step(method="vote", voters=("learned", "resiliparse"), min_votes=1),
    }
    try:
        from trafilatura import extract
    except ImportError:
        return known
    known["trafilatura"] = lambda pages: [extract(p, include_comments=False) or "" for p in pages]
    known["trafilatura, fast"] = lambda pages: [extract(p, include_comments=False, fast=True) or "" for p in pages]
    return known


def main() -> None:
    table = pq.read_table(Path(sys.argv[1]) if len(sys.argv) > 1 else PAGES)
    pages = table["html"].to_pylist()
    for name, method in methods().items():
        method(pages[:20])
        begin = time.process_time()
        texts = [folded(t or "") for t in method(pages)]
        seconds = time.process_time() - begin
        hits = wrong = total = 0
        for text, present, absent in zip(texts, table["present"].to_pylist(), table["absent"].to_pylist(), strict=True):
            hits += sum(folded(f) in text for f in present)
            wrong += sum(folded(f) in text for f in absent)
            total += len(present)
        precision, recall = hits / max(1, hits + wrong), hits / total
        f = 2 * precision * recall / max(1e-9, precision + recall)
        print(
            f"{name:20} precision {precision:.3f}, recall {recall:.3f}, F {f:.3f}, {len(pages) / seconds:6.1f} pages per CPU s",
            flush=True,
        )


if __name__ == "__main__":
    main()
