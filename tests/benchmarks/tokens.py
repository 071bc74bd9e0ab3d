"""MB of text per CPU second of encoding, packing and writing, beside the read-and-write floor and HF tokenizers.

    python tests/benchmarks/tokens.py [FOLDER] [--length 1024]     # FOLDER: Parquet shards with id, text and lang
    PEERS=1 python tests/benchmarks/tokens.py                      # also tiktoken, fastokens and datatrove, where installed

Encoders run on one thread. gigatoken remembers the words it has met: concatenate, which runs second, gains from that, so
the figure to quote is best-fit's. The encoders' ids are compared with those of HF tokenizers on documents of every language.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

os.environ.setdefault("RAYON_NUM_THREADS", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from corpusmill.transforms.random import Keyed
from corpusmill.transforms.shards import ShardWriter
from corpusmill.transforms.tokens.formats import FORMATS, write_shard
from corpusmill.transforms.tokens.pack import Pack
from corpusmill.transforms.tokens.pack_report import PackReport
from corpusmill.transforms.tokens.tokenizer import Tokenizer, load_tokenizer
from corpusmill.transforms.tokens.train_tokenizer import train_tokenizer

HERE = Path(__file__).resolve().parents[2]
DEFAULT = HERE.parent / "shared/data/corpus"


def batches(files: list[Path], columns: tuple[str, ...] = ("id", "text")) -> Iterator[pa.RecordBatch]:
    for file in files:
        yield from pq.ParquetFile(file).iter_batches(4096, columns=list(columns), use_threads=False)


def size_of(texts: pa.Array | pa.ChunkedArray) -> float:
    return (pc.sum(pc.binary_length(texts).cast(pa.int64())).as_py() or 0) / 1e6


def show(name: str, mb: float, run: Callable[[], object], note: str = "") -> object:
    begin = time.process_time()
    result = run()
    seconds = time.process_time() - begin
    print(f"{name:<44}{mb:>8.1f} MB{seconds:>8.2f} CPU s{mb / seconds:>8.1f} MB/CPU s  {note}", flush=True)
    return result


def sample_of_languages(files: list[Path], each: int) -> pa.Table:
    """`each` documents of every language in every shard."""
    parts = []
    for file in files:
        table = pq.read_table(file, columns=["id", "text", "lang"])
        places: dict[str, list[int]] = {}
        for i, lang in enumerate(table["lang"].to_pylist()):
            places.setdefault(lang, []).append(i)
        parts.append(table.take([i for found in places.values() for i in found[:each]]))
    return pa.concat_tables(parts).combine_chunks()


def tiktoken_encoder(path: str) -> Callable[[list[str]], list[np.ndarray]]:
    """tiktoken over the same merges: its ranks are our ids."""
    import tiktoken

    plain = [*range(33, 127), *range(161, 173), *range(174, 256)]
    rest = [b for b in range(256) if b not in plain]
    byte = {chr(b): b for b in plain} | {chr(256 + i): b for i, b in enumerate(rest)}
    config = json.loads(Path(path).read_text())
    special = {t["content"] for t in config["added_tokens"]}
    ranks = {bytes(byte[c] for c in token): i for token, i in config["model"]["vocab"].items() if token not in special}
    pattern = r"'(?:[sdmt]|ll|ve|re)| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
    encoding = tiktoken.Encoding("bench", pat_str=pattern, mergeable_ranks=ranks, special_tokens={})
    return lambda texts: [encoding.encode_to_numpy(text, disallowed_special=()) for text in texts]


def fastokens_encoder(path: str) -> Callable[[list[str]], list[np.ndarray]]:
    import fastokens

    encoder = fastokens.Tokenizer.from_file(path)

    def encode(texts: list[str]) -> list[np.ndarray]:
        raw, ends = encoder.encode_batch_flat(texts, split_special_tokens=True)
        ids, bounds = np.frombuffer(raw, np.uint32), np.frombuffer(ends, np.uint64).astype(np.int64)
        return [ids[a:b] for a, b in zip(bounds, bounds[1:])]

    return encode


def compare_ids(sample: pa.Table, path: str, peers: bool) -> None:
    texts, langs = sample["text"].to_pylist(), sample["lang"].to_pylist()
    column, mb = sample["text"].combine_chunks(), size_of(sample["text"])
    if isinstance(column, pa.ChunkedArray):
        column = column.chunk(0)
    hf = Tokenizer(path, engine="tokenizers")
    offsets, ids = show("encode, HF tokenizers", mb, lambda: hf.encode(column))  # type: ignore[misc]
    expected = [ids[a:b] for a, b in zip(offsets, offsets[1:])]
    ours = load_tokenizer(path)
    coded = show(f"encode, ours ({ours.engine}), first time", mb, lambda: ours.encode(column))
    show(f"encode, ours ({ours.engine}), again", mb, lambda: ours.encode(column))
    found = {f"ours ({ours.engine})": [coded[1][a:b] for a, b in zip(coded[0], coded[0][1:])]}  # type: ignore[index]
    for name, make in {"tiktoken": tiktoken_encoder, "fastokens": fastokens_encoder}.items() if peers else ():
        try:
            encode = make(path)
        except ImportError as error:
            print(f"encode, {name}: {error}")
            continue
        found[name] = show(f"encode, {name}, first time", mb, lambda e=encode: e(texts))  # type: ignore[assignment, misc]
    for name, rows in found.items():
        wrong = {lang for lang, a, b in zip(langs, rows, expected) if not np.array_equal(a, b)}
        print(
            f"  ids of {name} equal HF's in {len(set(langs)) - len(wrong)} of {len(set(langs))} languages {sorted(wrong)}"
        )


def copy(files: list[Path], folder: Path) -> None:
    schema = pq.read_schema(files[0])
    with ShardWriter(
        str(folder / "copy.arrow"), pa.schema([schema.field("id"), schema.field("text")]), "arrow"
    ) as writer:
        for batch in batches(files):
            writer.write(batch)


def pack_shards(step: Pack, files: list[Path], folder: Path, form: str) -> list[PackReport]:
    reports = []
    for i, file in enumerate(files):
        report = PackReport()
        rows = step.pack(batches([file]), Keyed(1, "pack"), report)
        write_shard(form, rows, str(folder / f"{form}-{i:05}"), step.row_schema())
        report.check()
        reports.append(report)
    return reports


def datatrove(texts: list[str], path: str, folder: Path) -> None:
    from datatrove.data import Document
    from datatrove.pipeline.tokens import DocumentTokenizer

    step = DocumentTokenizer(str(folder / "datatrove"), path, eos_token="<|endoftext|>", shuffle_documents=False)
    step.run(Document(text=text, id=str(i)) for i, text in enumerate(texts))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", nargs="?", type=Path, default=DEFAULT)
    parser.add_argument("--length", type=int, default=1024)
    parser.add_argument("--vocab", type=int, default=32_000)
    options = parser.parse_args()
    files = sorted(options.folder.glob("*.parquet"))
    if not files:
        sys.exit(f"no Parquet shards in {options.folder}: name a folder of shards with the columns id, text and lang")
    peers = os.environ.get("PEERS") == "1"
    with tempfile.TemporaryDirectory() as place:
        folder, path = Path(place), str(Path(place) / "tokenizer.json")
        total = sum(size_of(b.column("text")) for b in batches(files))
        show(
            "train a tokenizer (16 MiB sample)",
            total,
            lambda: train_tokenizer(batches(files), path, options.vocab, sample_bytes=16 << 20, rng=Keyed(1)),
        )
        compare_ids(sample_of_languages(files, 20), path, peers)
        show("floor: read Parquet", total, lambda: [b.num_rows for b in batches(files)])
        show("floor: read Parquet, write Arrow", total, lambda: copy(files, folder))
        for strategy in ("best-fit", "concatenate"):
            step = Pack(tokenizer=path, length=options.length, strategy=strategy)
            step(pa.record_batch({"id": ["a"], "text": ["compile and load first"]}))
            reports = show(
                f"read, tokenise, pack {strategy}, write Arrow",
                total,
                lambda s=step: pack_shards(s, files, folder, "arrow"),
            )
            tokens, padding = sum(r.tokens for r in reports), sum(r.padding for r in reports)  # type: ignore[attr-defined]
            cut, packed = sum(r.cut for r in reports), sum(r.packed for r in reports)  # type: ignore[attr-defined]
            print(
                f"  {tokens / 1e6:.1f} M tokens, {padding / (padding + tokens):.3%} padding, {cut / packed:.1%} of documents cut"
            )
        rows = list(step.pack(batches(files[:1]), Keyed(1, "pack")))
        one = size_of(pq.read_table(files[0], columns=["text"])["text"])
        for form in FORMATS:
            show(
                f"write {form} (packed rows of that much text)",
                one,
                lambda f=form: write_shard(f, rows, str(folder / f"write-{f}"), step.row_schema()),
            )
        if peers:
            sample = sample_of_languages(files, 20)["text"].to_pylist()
            try:
                show(
                    "datatrove, tokenise and write", size_of(pa.array(sample)), lambda: datatrove(sample, path, folder)
                )
            except ImportError as error:
                print(f"datatrove: {error}")


if __name__ == "__main__":
    main()
