"""Real text for `effects`, prepared by corpusmill's own recipes and transforms."""

from __future__ import annotations

import functools
import hashlib
import json
import re
import time
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from corpusmill.pipelines.dataset.snapshot import Dataset
from corpusmill.pipelines.recipe.model import loads
from corpusmill.pipelines.run import run


@functools.cache
def corpus(data: Path) -> pa.Table:
    """All documents: id, text, source, path, lang."""
    return pa.concat_tables([pq.read_table(f) for f in sorted((data / "corpus").glob("*.parquet"))]).combine_chunks()


def of(data: Path, source: str, lang: str | None = None) -> pa.Table:
    """The documents of one source (and language), in an order that has nothing to do with their names."""
    table = corpus(data)
    keep = pc.equal(table["source"], source)
    if lang:
        keep = pc.and_(keep, pc.equal(table["lang"], lang))
    return shuffled(table.filter(keep))


def shuffled(table: pa.Table) -> pa.Table:
    """In the order of a hash of the ids."""
    ids = table["id"].to_pylist()
    return table.take(pa.array(sorted(range(len(ids)), key=lambda i: _hash(ids[i]))))


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def prepared(out: Path, name: str, sources: dict[str, pa.Table], steps: list[Any]) -> tuple[pa.Table, float]:
    """(documents that a recipe makes of the tables, CPU seconds that it took). Made once."""
    texts = {n: _hash(json.dumps([t["id"].to_pylist(), t["text"].to_pylist()])) for n, t in sources.items()}
    about = {"steps": steps, "sources": texts}
    folder = out / "recipes" / f"{name}-{_hash(json.dumps(about))[:12]}"
    folder.mkdir(parents=True, exist_ok=True)
    done = folder / "cpu.json"
    if not done.exists():
        for source, table in sources.items():
            pq.write_table(table.select(["id", "text"]), folder / f"{source}.parquet")
        recipe = {
            "name": name,
            "sources": [{"name": n, "path": f"{n}.parquet", "columns": {"id": "id"}} for n in sources],
            "steps": steps,
            "output": {"path": "out"},
        }
        began = time.process_time()
        run(loads(json.dumps(recipe), name, folder), workers=1)
        done.write_text(json.dumps(time.process_time() - began))
    files = Dataset(folder / "out").files()
    table = pa.concat_tables([pq.read_table(f) for f in files], promote_options="default")
    return table, json.loads(done.read_text())


def cut_off(texts: list[str], size: int) -> list[str]:
    """The first texts of together `size` characters, none longer than 6,000: no document is most of a small corpus."""
    out, total = [], 0
    for text in texts:
        text = text[:6000]
        out.append(text)
        total += len(text)
        if total >= size:
            break
    return out


def page_of(path: str) -> str | None:
    """The page of a manual that a file is a version of: its path without the version."""
    found = re.fullmatch(r"reference/\d\.\d/(.+\.md)", path)
    return found.group(1) if found else None


def typos(texts: list[str], share: float, seed: int) -> list[str]:
    """`share` of the words of three letters and more get one slip: a neighbour swap, a lost, doubled or wrong letter.

    Not one of the transforms on purpose: what is tested is not what was trained on.
    """
    rng = np.random.default_rng(seed)
    out = []
    for text in texts:
        words = text.split(" ")
        for i, word in enumerate(words):
            if len(word) < 3 or rng.random() >= share:
                continue
            at, kind = int(rng.integers(len(word) - 1)), int(rng.integers(4))
            letter = chr(97 + int(rng.integers(26)))
            middle = (word[at + 1] + word[at], word[at + 1], word[at] * 2 + word[at + 1], letter + word[at + 1])[kind]
            words[i] = word[:at] + middle + word[at + 2 :]
        out.append(" ".join(words))
    return out
