"""MB of text per CPU second of noise, redaction and decontamination, beside the floor of reading and writing Parquet.

    python tests/benchmarks/noise.py [FOLDER] [--shards 2] [--wordnet DIR] [--sets FILE.parquet]
    PEERS=1 python tests/benchmarks/noise.py      # also a plain Python loop, and nlpaug where it is installed

Every operation reads the shards, replaces each document by its noisy copy and writes Parquet (zstd, level 1); `alone` leaves
out reading and writing. The first batch, which compiles kernels and reads tables, is run beforehand and not counted.
"""

from __future__ import annotations

import argparse
import os
import random
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")
sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from corpusmill.transforms.base import Transform
from corpusmill.transforms.decontaminate.decontaminate import Decontaminate
from corpusmill.transforms.errors import MissingDependencyError
from corpusmill.transforms.noise.aeda import Aeda
from corpusmill.transforms.noise.characters import Characters
from corpusmill.transforms.noise.denoise import Denoise
from corpusmill.transforms.noise.eda import Eda
from corpusmill.transforms.noise.noise import Noise
from corpusmill.transforms.noise.sentences import Sentences
from corpusmill.transforms.noise.synonyms import Synonyms
from corpusmill.transforms.redact.redact import Redact

DEFAULT = Path(__file__).resolve().parents[3] / "shared/data/corpus"
Step = Callable[[pa.RecordBatch], pa.RecordBatch]


def run(files: list[Path], folder: Path, step: Step | None, limit: float = float("inf")) -> tuple[float, float, float]:
    """(MB, CPU seconds in all, CPU seconds of the step) over the files, or their first `limit` MB."""
    total, alone = 0.0, 0.0
    writer = None
    begin = time.process_time()
    for file in files:
        for batch in pq.ParquetFile(file).iter_batches(2000 if limit > 1 else 50, use_threads=False):
            if total >= limit:
                break
            total += batch.column("text").nbytes / 1e6
            if step is not None:
                start = time.process_time()
                batch = step(batch)
                alone += time.process_time() - start
            if writer is None:
                writer = pq.ParquetWriter(folder / "out.parquet", batch.schema, compression="zstd", compression_level=1)
            writer.write_batch(batch)
    if writer is not None:
        writer.close()
    return total, time.process_time() - begin, alone


def show(name: str, files: list[Path], folder: Path, step: Step | None, limit: float = float("inf")) -> None:
    if step is not None:
        step(next(pq.ParquetFile(files[0]).iter_batches(5)))
    mb, seconds, alone = run(files, folder, step, limit)
    rate = f"{mb / alone:>10.1f}" if alone else f"{'':>10}"
    print(f"{name:<44}{mb:>8.1f} MB{seconds:>8.2f} CPU s{mb / seconds:>8.1f} MB/CPU s{rate} alone", flush=True)


def plain_loop(batch: pa.RecordBatch) -> pa.RecordBatch:
    """Word deletion as one would write it in Python."""
    rng = random.Random(0)
    texts = [" ".join(w for w in t.split(" ") if rng.random() >= 0.1) for t in batch.column("text").to_pylist()]
    return batch.set_column(batch.schema.get_field_index("text"), "text", pa.array(texts, pa.string()))


def nlpaug_step(name: str) -> Step | None:
    try:
        import nlpaug.augmenter.word as naw
    except ImportError:
        return None
    augmenter = (
        naw.RandomWordAug(action="delete", aug_p=0.1, aug_max=None)
        if name == "delete"
        else naw.SynonymAug(aug_p=0.1, aug_max=None)
    )

    def step(batch: pa.RecordBatch) -> pa.RecordBatch:
        texts = ["".join(augmenter.augment(t) or [t]) if t.strip() else t for t in batch.column("text").to_pylist()]
        return batch.set_column(batch.schema.get_field_index("text"), "text", pa.array(texts, pa.string()))

    return step


def words(arguments: argparse.Namespace) -> list[tuple[str, Transform]]:
    place = {"keep_originals": False}
    five = {"mask": 0.02, "delete": 0.02, "replace": 0.02, "insert": 0.02, "swap": 0.02}
    out: list[tuple[str, Transform]] = [
        (f"noise {op} 10 %", Noise(**{op: 0.1}, **place)) for op in ("mask", "delete", "replace", "insert", "swap")
    ]
    out += [
        ("noise all five, 2 % each", Noise(**five, **place)),
        ("noise delete 10 %, originals kept", Noise(delete=0.1)),
        ("synonyms 10 %, English", Synonyms(wordnet=arguments.wordnet, **place)),
        ("eda", Eda(wordnet=arguments.wordnet, copies=1, **place)),
        ("aeda", Aeda(**place)),
        ("characters, keyboard 2 %", Characters(keyboard=0.02, **place)),
        ("characters, four kinds 2 % each", Characters(keyboard=0.02, ocr=0.02, swap=0.02, delete=0.02, **place)),
        ("sentences, shuffled", Sentences(shuffle=1.0, **place)),
        ("sentences, 10 % deleted", Sentences(delete=0.1, **place)),
        ("redact, tags", Redact()),
    ]
    if arguments.sets:
        out.append(("decontaminate, tagged", Decontaminate(sets={"set": arguments.sets}, action="tag")))
    return out


def tokens(n: int = 4_000_000, length: int = 500) -> None:
    """Denoising objectives, in million tokens per CPU second."""
    ids = np.random.default_rng(0).integers(10, 30_000, n).astype(np.int32)
    offsets = pa.array(np.arange(0, n + 1, length, dtype=np.int32))
    names = pa.array([str(i) for i in range(n // length)])
    batch = pa.record_batch({"id": names, "input_ids": pa.ListArray.from_arrays(offsets, pa.array(ids))})
    tasks = {
        "bert": {"mask_id": 3, "vocab_size": 30_000},
        "t5": {"sentinels": (31_000, 30_001)},
        "ul2": {"sentinels": (31_000, 30_001)},
        "bart": {"mask_id": 3},
        "prefix": {},
    }
    for objective, fields in tasks.items():
        task = Denoise(objective=objective, **fields)
        task(batch.slice(0, 2))
        begin = time.process_time()
        task(batch)
        print(f"denoise {objective:<36}{n / 1e6 / (time.process_time() - begin):>8.1f} M tokens/CPU s", flush=True)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", nargs="?", type=Path, default=DEFAULT)
    parser.add_argument("--shards", type=int, default=2)
    parser.add_argument("--wordnet", help="folder of a WordNet database; by default NLTK's")
    parser.add_argument("--sets", help="an evaluation set to look for")
    arguments = parser.parse_args()
    files = sorted(arguments.folder.glob("*.parquet"))[: arguments.shards]
    if not files:
        print(f"{arguments.folder}: no Parquet shards; name a folder of them")
        return 0
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        show("floor: read and write", files, folder, None)
        for label, transform in words(arguments):
            try:
                show(label, files, folder, transform)
            except MissingDependencyError as error:
                print(f"{label:<44} not run: {error}")
        if os.environ.get("PEERS"):
            show("peer: plain Python loop, delete 10 %", files, folder, plain_loop)
            for action in ("delete", "synonyms"):
                try:
                    step = nlpaug_step(action)
                    if step is None:
                        print(f"peer: nlpaug {action}: not installed")
                    else:
                        show(f"peer: nlpaug {action} 10 %", files, folder, step, limit=0.5)
                except (LookupError, OSError) as error:  # NLTK's data
                    print(f"peer: nlpaug {action}: not run: {str(error).strip().splitlines()[0]}")
    tokens()
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
