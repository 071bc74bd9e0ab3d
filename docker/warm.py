"""Compiles every kernel that a recipe's steps call, so that in the image no worker does: each step makes a small dataset.

Which kernels there are is not listed here but found in the code; one that nothing here calls ends the build.
"""

import dis
import importlib
import json
import pkgutil
import struct
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from types import CodeType, ModuleType
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from corpusmill import transforms
from corpusmill.pipelines.operations.scorer_data import Pairs
from corpusmill.pipelines.operations.train_languages import train_languages
from corpusmill.pipelines.operations.train_scorer import train_on_pairs
from corpusmill.pipelines.recipe.model import loads
from corpusmill.pipelines.run import run
from corpusmill.transforms.generate.checks import word_counts
from corpusmill.transforms.generate.prompts import beginning
from corpusmill.transforms.kernels.njit import Kernel
from corpusmill.transforms.noise.denoise import Denoise
from corpusmill.transforms.noise.unigrams import count_words
from corpusmill.transforms.select._features import Grams
from corpusmill.transforms.select._train import Training, train
from corpusmill.transforms.tokens.train_tokenizer import train_tokenizer

PARAGRAPHS = [
    "The river that runs through the valley has been there for a long time, and people have lived with it.",
    "# A heading\n\n* one *item* of `code`\n* another [link](https://example.org) with some text about the river.",
    "Write to anna@example.org or call +44 20 7946 0958. Itâ€™s what was said of the cafÃ© by the road.",
    "这条河流经山谷已经很久了。人们一直和它生活在一起。明天会更好。",
    "Caf\u0065\u0301 by the road: write to Anna@Example.org or to +442079460958@example.org, and see a[i] = {b[j]: c[k]}.",
    "اكتب إلى +٩٧١ ٤ ١٢٣ ٤٥٦٧ أو زرنا.",
    "Share this page\n12345\n3 likes\nThat is all there is to say of it, and of the dog that has no name!",
]
STEPS: list[Any] = [
    "extract",
    "clean",
    {"clean": {"markup": "markdown", "collapse_spaces": True}},
    {"language": {"min_score": 0.1}},
    {"language": {"model": "lid.safetensors"}},
    {"length": {"max_words": 100_000}},
    "refinedweb-lines",
    "c4-paper",
    "c4-code",
    "gopher-quality",
    "gopher-repetition",
    "fineweb",
    "redact",
    {"redact": {"replace_by": "pseudonym", "key_file": "key"}},
    {"decontaminate": {"sets": {"held-out": "held-out.jsonl"}, "action": "tag"}},
    {"decontaminate": {"sets": {"held-out": "held-out.jsonl"}, "action": "cut", "ngram": 5}},
    *({"exact": {"normalize": n}} for n in ("none", "space", "words")),
    {"minhash": {"threshold": 0.6}},
    {"minhash": {"threshold": 0.6, "chain": False}},
    {"minhash": {"threshold": 0.6, "keep_novel": True}},
    "embed",
    "semantic",
    "paragraphs",
    "lines",
    {"substring": {"min_bytes": 40}},
    {"quality": {"model": "scorer.safetensors"}},
    {"quality": {"model": "fasttext.bin", "label": "a"}},
    {"quality": {"model": "vectors.safetensors"}},
    {"quality": {"like": ["rows.jsonl"], "unlike": ["rows"], "buckets": 64}},
    {"select": {"like": "held-out.jsonl", "share": 0.5}},
    {"perplexity": {"like": "held-out.jsonl"}},
    {"perplexity": {"like": "held-out.jsonl", "units": "pieces"}},
    {"perplexity": {"model": "model.arpa"}},
    {"perplexity": {"like": "held-out.jsonl", "tokenizer": "tokenizer.json"}},
    "reweight",
    *({"noise": {"replace": 0.2, "delete": 0.1, "words": words}} for words in ("document", "words.txt")),
    {"aeda": {"copies": 1}},
    {"characters": {"swap": 0.1}},
    {"sentences": {"shuffle": 1.0}},
    {"eda": {"wordnet": "wordnet"}},
    {"synonyms": {"wordnet": "wordnet"}},
    {"pack": {"tokenizer": "tokenizer.json", "length": 32, "strategy": "concatenate"}},
    # ids of two bytes and of four, positions of two bytes and of four
    *({"pack": {"tokenizer": t, "length": n}} for t in ("tokenizer.json", "large.json") for n in (32, 70_000)),
]
OBJECTIVES = [
    {"objective": "bert", "mask_id": 1, "vocab_size": 300},
    {"objective": "t5", "sentinels": (299, 280)},
    {"objective": "ul2", "sentinels": (299, 280)},
    {"objective": "bart", "mask_id": 1},
    {"objective": "prefix"},
]


def write_files(folder: Path) -> None:
    """The documents, some of them equal or nearly so, and the files that steps ask for."""
    rows = []
    for i in range(48):
        few = PARAGRAPHS[i % 5 :] + PARAGRAPHS[: i % 5]
        rows.append({"id": str(i), "text": "\n\n".join([*few, f"This is number {i // 2} of these texts. " * 8])})
    (folder / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (folder / "held-out.jsonl").write_text(json.dumps({"text": PARAGRAPHS[0]}) + "\n")
    (folder / "key").write_text("of the image's kernels and of nothing else\n")
    (folder / "key").chmod(0o600)
    (folder / "words.txt").write_text("river 3\nvalley 2\nroad 1\n")
    pq.write_table(pa.Table.from_pylist(rows), folder / "rows.parquet")
    batches = pa.Table.from_pylist(rows).to_batches()
    train_tokenizer(batches, str(folder / "tokenizer.json"), vocab_size=300)
    texts = pa.array([row["text"] for row in rows])
    train(texts, np.arange(48) % 2, ("like", "unlike"), 2, 64, 1).save(str(folder / "scorer.safetensors"))
    (folder / "model.arpa").write_text(
        "\\data\\\nngram 1=3\nngram 2=1\n\n\\1-grams:\n-1\t<unk>\n-99\t<s>\t-0.5\n-1\t</s>\n\n"
        "\\2-grams:\n-0.5\t<s> </s>\n\n\\end\\\n"
    )
    many = tuple("abcd")
    train(texts, np.arange(48) % 4, many, 1, 64, 1, (2, 3), dims=2).save(str(folder / "vectors.safetensors"))
    halves = texts.slice(0, 24), texts.slice(24)
    train_on_pairs(Pairs(*halves, ()), Training(Grams(1, 64), 1))
    (folder / "fasttext.bin").write_bytes(fasttext_model())
    train_languages([" ".join(PARAGRAPHS[:3]), PARAGRAPHS[3]], ["eng", "cmn"]).save(str(folder / "lid.safetensors"))
    large = json.loads((folder / "tokenizer.json").read_text())
    large["model"]["vocab"] |= {f"token {i}": i for i in range(len(large["model"]["vocab"]), 70_000)}
    (folder / "large.json").write_text(json.dumps(large))
    wordnet = folder / "wordnet"
    wordnet.mkdir()
    for kind in ("noun", "verb", "adj", "adv"):
        (wordnet / f"data.{kind}").write_text("00000100 05 n 02 dog 0 hound 0 000 | a gloss\n" * (kind == "noun"))
        (wordnet / f"index.{kind}").write_text("dog n 1 0 1 0 00000100\n" * (kind == "noun"))
    for name in ("noun.exc", "verb.exc", "cntlist.rev"):
        (wordnet / name).touch()


def fasttext_model() -> bytes:
    """The smallest supervised model: one word, two labels, one bucket, vectors of one number."""
    out = struct.pack("<ii12id", 793712314, 12, 1, 5, 5, 1, 5, 2, 3, 3, 1, 2, 3, 100, 1e-4)
    out += struct.pack("<iiiqq", 3, 1, 2, 3, -1)
    out += b"".join(
        w + struct.pack("<xqb", 1, kind) for w, kind in ((b"the", 0), (b"__label__a", 1), (b"__label__b", 1))
    )
    return out + struct.pack("<?qq2f", False, 2, 1, 0.5, -0.5) + struct.pack("<?qq2f", False, 2, 1, 1.0, -1.0)


def call_all(folder: Path) -> None:
    """Call every kernel with arguments of the types that it gets in runs."""
    write_files(folder)
    for number, step in enumerate(STEPS):
        recipe = {
            "name": "warm",
            "sources": [{"name": "rows", "path": "rows.*"}],
            "steps": [step],
            "output": {"path": f"out/{number}"},
        }
        run(loads(json.dumps(recipe), base_dir=folder), workers=1)
    ids = pa.array([list(range(10, 40))] * 4, pa.list_(pa.int32()))
    for objective in OBJECTIVES:
        Denoise.model_validate(objective)(pa.record_batch({"id": ["a", "b", "c", "d"], "input_ids": ids}))
    # of steps that need a model
    word_counts(pa.array(PARAGRAPHS))
    beginning(PARAGRAPHS[0], 3)
    # of what makes tables of words
    count_words(pa.array(PARAGRAPHS))


def called(module: ModuleType) -> Iterator[Kernel]:
    """The kernels that a module's functions call, other than its kernels."""
    waiting: list[CodeType] = [module.__loader__.get_code(module.__name__)]  # type: ignore[union-attr]
    while waiting:
        code = waiting.pop()
        if isinstance(vars(module).get(code.co_name), Kernel):
            continue
        for each in dis.get_instructions(code):
            found = vars(module).get(each.argval) if each.opname == "LOAD_GLOBAL" else None
            if isinstance(found, Kernel):
                yield found
        waiting += [const for const in code.co_consts if isinstance(const, CodeType)]


def cold() -> list[str]:
    """The kernels of this package that Python calls and no object file serves."""
    names = [m.name for m in pkgutil.walk_packages(transforms.__path__, "corpusmill.transforms.")]
    kernels = {id(k): k for name in names for k in called(importlib.import_module(name))}
    return sorted(f"{k.__module__}.{k.__name__}" for k in kernels.values() if not k.native)


def main() -> None:
    """Fails if a recipe does, or if a kernel is left out: an image whose steps do not run is not built."""
    with tempfile.TemporaryDirectory() as folder:
        call_all(Path(folder))
    if left := cold():
        sys.exit(f"docker/warm.py calls no {', '.join(left)}: put a step there that does")


if __name__ == "__main__":
    main()
