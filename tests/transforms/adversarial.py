"""Documents made to be slow, and every step of the registry to run over them.

A new step enters by itself; one that needs fields is given them in `fields`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from corpusmill.pipelines.recipe.registry import usable
from corpusmill.transforms.base import Expand, Filter, Group, Map, Terminal, Transform
from corpusmill.transforms.random import Keyed
from tests.corpora import rows, write_tokenizer

MODELS = {"annotate", "generate", "pseudo-label", "distill", "quality"}
"""Steps whose work is that of a model."""

KINDS: dict[str, Callable[[int], str]] = {
    "marks": lambda n: "a" + "\u0301\u0323" * (n // 4),
    "marks in turn": lambda n: "a\u0301\u0323\u0344" * (n // 7),
    "one letter": lambda n: "a" * n,
    "spaces": lambda n: " " * n,
    "lines": lambda n: "\n" * n,
    "carriage returns": lambda n: "\r" * n,
    "one word": lambda n: "word " * (n // 5),
    "one line": lambda n: "the same line again\n" * (n // 20),
    "words": lambda n: " ".join(f"w{i}" for i in range(n // 8)),
    "sentences": lambda n: " ".join(f"Number {i} is here." for i in range(n // 22)),
    "digits": lambda n: "1" * n,
    "dashed digits": lambda n: "1-" * (n // 2),
    "dotted digits": lambda n: "1." * (n // 2),
    "hex": lambda n: "a1:" * (n // 3),
    "at signs": lambda n: "a@" * (n // 2),
    "addresses": lambda n: "ann@example.org " * (n // 16),
    "other addresses": lambda n: " ".join(f"u{i:06}@h{i % 977}.example.org" for i in range(n // 25)),
    "phones": lambda n: " ".join(f"415-555-{i % 10_000:04}" for i in range(n // 13)),
    "numbers": lambda n: " ".join(f"{i * 7919 % 10**9:09}" for i in range(n // 10)),
    "half addresses": lambda n: "a." * (n // 2) + "@",
    "links": lambda n: "http://a.b/c " * (n // 13),
    "half links": lambda n: "http://" * (n // 7),
    "stars": lambda n: "*a " * (n // 3),
    "underscores": lambda n: "_" * n,
    "brackets": lambda n: "[" * n,
    "links of markdown": lambda n: "[a](" * (n // 4),
    "backticks": lambda n: "`" * n,
    "ticks": lambda n: "`a``b" * (n // 5),
    "tags": lambda n: "<a " * (n // 3),
    "open tags": lambda n: "<div>" * (n // 5),
    "entities": lambda n: "&amp;" * (n // 5),
    "half entities": lambda n: "&" * n,
    "braces": lambda n: "{" * n,
    "quotes": lambda n: "\"'" * (n // 2),
    "dots": lambda n: "." * n,
    "dashes": lambda n: "-" * n,
    "table": lambda n: "|a" * (n // 2),
    "headings": lambda n: "#" * n,
    "quoted lines": lambda n: "> " * (n // 2),
    "mojibake": lambda n: "Ã©" * (n // 4),
    "han": lambda n: "汉" * (n // 3),
    "hangul": lambda n: "\u1100\u1161\u11a8" * (n // 9),
    "emoji": lambda n: "👩\u200d" * (n // 7),
    "controls": lambda n: "\x07\x00" * (n // 2),
    "keys": lambda n: "AKIA" * (n // 4),
    "base64": lambda n: "QUJD" * (n // 4),
    "random letters": lambda n: np.random.default_rng(1).integers(97, 123, n, np.uint8).tobytes().decode(),
}


def ordinary(n: int) -> str:
    """About n bytes of ordinary sentences."""
    text, seed = "", 1
    while len(text) < n:
        text += " ".join(str(row["text"]) for row in rows(200, seed=seed)) + "\n"
        seed += 1
    return text[:n]


def page(n: int) -> str:
    """About n bytes of an ordinary web page: ordinary text in paragraphs."""
    text, seed = "", 1
    while len(text) < n:
        text += "".join(f"<p>{row['text']}</p>\n" for row in rows(200, seed=seed))
        seed += 1
    return text[:n]


ORDINARY: dict[str, Callable[[int], str]] = {"extract": page}
"""What is ordinary for steps that read other things than plain text."""


def fields(folder: Path) -> dict[str, dict[str, Any]]:
    """What steps with required fields are given."""
    tokenizer = str(write_tokenizer(folder, rows(200), vocab_size=400))
    (folder / "items.txt").write_text("an item of an evaluation set that has more than a few words in it\n" * 3)
    (folder / "words.txt").write_text("word\nsome words\n")
    from corpusmill.transforms.filters.kept_elsewhere import add_to_list

    elsewhere = str(folder / "elsewhere.parquet")
    add_to_list(elsewhere, pa.table({"id": ["gone"], "kept_by": ["north"]}))
    here = "tests.transforms.adversarial"
    return {
        "decontaminate": {"sets": {"items": str(folder / "items.txt")}},
        "filter": {"call": f"{here}:keep_all"},
        "kept-elsewhere": {"path": elsewhere},
        "pack": {"tokenizer": tokenizer, "length": 512},
        "sample": {"fraction": 1.0},
        "text-filter": {"call": f"{here}:keep"},
        "text-map": {"call": f"{here}:same"},
        "tokenize": {"tokenizer": tokenizer},
        "top": {"by": "score", "share": 1.0},
        "upsample": {"by": "score"},
        "where": {"column": "score", "min_value": 0},
        "perplexity": {"like": str(folder / "items.txt"), "order": 3},
        "toxicity": {"words": str(folder / "words.txt")},
        "select": {"like": str(folder / "items.txt"), "share": 1.0},
        "noise": {"mask": 0.1, "delete": 0.1, "replace": 0.1, "insert": 0.1, "swap": 0.1},
        "characters": {"keyboard": 0.05, "ocr": 0.05, "swap": 0.05, "delete": 0.05},
        "sentences": {"shuffle": 0.5, "delete": 0.1},
        "denoise": {"mask_id": 1, "vocab_size": 400},
        "mix": {"unit": "bytes"},
        "balance": {"by": ["source"]},
    }


def keep_all(batch: pa.RecordBatch) -> list[bool]:
    """A function of a batch."""
    return [True] * batch.num_rows


def keep(text: str) -> bool:
    """A function of a text."""
    return True


def same(text: str) -> str:
    """A function of a text."""
    return text


def steps(folder: Path) -> Iterator[tuple[str, Transform]]:
    """Every step that a recipe can run, but those of models."""
    given = fields(folder)
    for name, cls in usable().items():
        if name not in MODELS:
            yield name, cls.model_validate(given.get(name, {}))


def work(step: Transform, text: str) -> None:
    """Let the step work on one document, as far as it looks at one."""
    batch = pa.record_batch(
        {
            "id": ["a"],
            "text": pa.array([text], pa.string()),
            "source": ["s"],
            "unit": ["u"],
            "label": ["l"],
            "score": [1.0],
            "confidence": [0.5],
            "input_ids": pa.array([np.frombuffer(text.encode(), np.uint8).astype(np.uint16)[:4096]]),
        }
    )
    batch = batch.drop_columns({"unit": ["unit"], "pack": ["input_ids"]}.get(step.name, []))
    rng = Keyed(1, step.name)
    if isinstance(step, Map):
        step.map(batch, rng)
    elif isinstance(step, Filter):
        step.judge(batch, rng)
    elif isinstance(step, Expand):
        step.expand(batch, rng)
    elif isinstance(step, Group):
        step(batch)
    elif isinstance(step, Terminal):
        list(step.finish([batch], rng, step.account()))
