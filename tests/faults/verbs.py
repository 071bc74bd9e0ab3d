"""Every verb that writes, each on a world of its own that is as small as it can be: for campaigns that break it on the way."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import yaml

from corpusmill.pipelines.dataset.snapshot import Dataset
from corpusmill.transforms.shards import read_shard
from tests.command import invoke
from tests.corpora import rows, write_tokenizer
from tests.faults.living import recipe_in, refresh, write_source

STEPS: list[Any] = [{"length": {"min_chars": 5}}, {"exact": {}}, {"minhash": {}}]


@dataclass(frozen=True)
class Verb:
    """A verb, the world that it needs, its command, and what must be there when it has done its work.

    result: what two worlds must agree on; a text that begins with "problem" says what is wrong.
    slow: seconds, not tenths of one.
    """

    name: str
    world: Callable[[Path], None]
    arguments: Callable[[Path], list[Any]]
    result: Callable[[Path], str]
    slow: bool = False


def digest(folder: Path, *left_out: str) -> str:
    """A digest of all files below a folder, by name and bytes, or of one file."""
    if folder.is_file():
        return hashlib.sha256(folder.read_bytes()).hexdigest()
    total = hashlib.sha256()
    for path in sorted(p for p in folder.rglob("*") if p.is_file() and not p.name.startswith(".tmp-")):
        name = path.relative_to(folder).as_posix()
        if not name.startswith(left_out):
            total.update(name.encode() + b"\0" + path.read_bytes() + b"\0")
    return total.hexdigest()


def dataset(base: Path) -> str:
    """The content of the newest snapshot; what `verify` says of any."""
    opened = Dataset(base / "out")
    found = [p for n in opened.numbers for p in opened.verify(n)]
    return f"problem: {found}" if found else f"{opened.numbers[-1]} {opened.manifest()['content']}"


def _sources(base: Path) -> None:
    write_source(base, 0, 0, n=20)
    write_source(base, 1, 1, n=20)
    recipe_in(base, steps=STEPS)


def _built(base: Path) -> None:
    _sources(base)
    refresh(base)


def _grown(base: Path) -> None:
    _built(base)
    write_source(base, 2, 2, n=20)


def _two(base: Path) -> None:
    _grown(base)
    refresh(base)
    shard = Dataset(base / "out").files()[0]
    (base / "ids.txt").write_text(next(iter(read_shard(shard, ["id"]))).column("id")[0].as_py() + "\n")


def _gone(base: Path) -> str:
    here = dataset(base)
    left = sorted(p.name for p in (base / "out" / "data").iterdir() if not p.name.startswith(".tmp-"))
    opened = Dataset(base / "out")
    named = sorted({Path(f).name for n in opened.numbers for f in opened.files(n)})
    return here if left == named else f"problem: {left} lie there, {named} are named"


def _packed(base: Path) -> None:
    write_source(base, 0, 0, n=20)
    write_tokenizer(base, rows(20), 300)
    recipe_in(
        base, steps=[{"pack": {"tokenizer": "tokenizer.json", "length": 32}}], output={"path": "out", "format": "arrow"}
    )
    refresh(base)


def _trainable(base: Path) -> None:
    _packed(base)
    settings = {
        "output": "run",
        "steps": 2,
        "data": {"train": "out", "tokenizer": "tokenizer.json"},
        "model": {"layers": 1, "width": 16, "heads": 2},
        "batch": {"rows": 2},
        "schedule": {"warmup": 1},
        "runtime": {"tensorboard": False},
    }
    (base / "train.yaml").write_text(yaml.safe_dump(settings))


def _trained(base: Path) -> str:
    return digest(base / "run" / "checkpoints" / "step-00000002" / "model.safetensors")


TOPICS = {"pay": "card money bank fee transfer", "sky": "sun rain cloud wind storm"}


def _labelled(base: Path) -> None:
    for name, count, seed in (("labelled", 8, 1), ("held", 60, 2), ("rest", 80, 3), ("test", 60, 4)):
        rng = np.random.default_rng(seed)
        made = []
        for i in range(count):
            label = list(TOPICS)[i % 2]
            words = [*rng.choice(TOPICS[label].split(), 2), *rng.choice(["a", "the", "of", "to"], 3)]
            made.append({"id": f"{seed}-{i}", "text": " ".join(rng.permutation(words)), "label": label})
        pq.write_table(pa.Table.from_pylist(made), base / f"{name}.parquet")
    (base / "selftrain.yaml").write_text(
        "output: student\nlabelled: labelled.parquet\nheld_out: held.parquet\nunlabelled: rest.parquet\ntest: test.parquet\n"
        "rounds: 1\nshard_rows: 64\n"
    )


def _scored(base: Path) -> None:
    for name, topic in (("like", "pay"), ("unlike", "sky")):
        rng = np.random.default_rng(len(name))
        docs = [{"text": " ".join(rng.choice([*TOPICS[topic].split(), "a", "the"], 12))} for _ in range(120)]
        (base / f"{name}.jsonl").write_text("".join(json.dumps(d) + "\n" for d in docs))


def _budgeted(base: Path) -> None:
    _sources(base)
    source = {
        "name": "raw",
        "path": "raw/*.jsonl",
        "columns": {"id": "id", "user": "author"},
        "private": True,
        "max_bad_fraction": 0.9,
    }
    recipe_in(base, steps=[{"length": {"min_chars": 5}}], sources=[source])
    refresh(base)
    done = invoke("privacy", "budget", base / "out", "--population", "people", "--epsilon", 2, "--delta", 1e-4)
    assert done.exit_code == 0, done.output


def _spent(base: Path) -> str:
    """Whether what is released is paid for: more may be paid than is released, never less."""
    from corpusmill.privacy.ledger import Ledger

    released = len(list((base / "out" / "statistics").glob("*.json")))
    paid = len(Ledger(str(base / "out")).events())
    return "paid" if 1 <= released <= paid else f"problem: {released} releases, {paid} payments"


def _ledger(base: Path) -> str:
    from corpusmill.privacy.ledger import Ledger

    return f"{Ledger(str(base / 'out')).budget['epsilon']}"


def _page(base: Path) -> str:
    text = (base / "page.html").read_text()
    return "page" if text.rstrip().endswith("</html>") else "problem: a torn page"


VERBS = [
    Verb("run", _sources, lambda b: ["run", b / "recipe.yaml", "--workers", 1], dataset),
    Verb("refresh", _grown, lambda b: ["run", b / "recipe.yaml", "--workers", 1], dataset),
    Verb("forget", _two, lambda b: ["forget", b / "out", "--ids", b / "ids.txt", "--workers", 1, "--yes"], dataset),
    Verb(
        "purge",
        _two,
        lambda b: ["forget", b / "out", "--ids", b / "ids.txt", "--purge", "--workers", 1, "--yes"],
        dataset,
    ),
    Verb("gc", _two, lambda b: ["gc", b / "out", "--keep", 1, "--yes"], _gone),
    Verb("rollback", _two, lambda b: ["rollback", b / "out", 1], dataset),
    Verb(
        "export",
        _packed,
        lambda b: ["export", b / "out", b / "shards", "--to", "nanogpt"],
        lambda b: digest(b / "shards"),
    ),
    Verb(
        "croissant",
        _built,
        lambda b: ["export", b / "out", b / "c.json", "--to", "croissant", "--license", "CC0-1.0"],
        lambda b: digest(b / "c.json"),
    ),
    Verb(
        "tokenizer",
        _built,
        lambda b: ["tokenizer", b / "out", "--vocab-size", 300, "--out", b / "t.json"],
        lambda b: digest(b / "t.json"),
    ),
    Verb(
        "scorer",
        _scored,
        lambda b: [
            "scorer",
            "train",
            "--like",
            b / "like.jsonl",
            "--unlike",
            b / "unlike.jsonl",
            "--out",
            b / "s.safetensors",
            "--buckets",
            256,
        ],
        lambda b: digest(b / "s.safetensors"),
    ),
    Verb("report", _two, lambda b: ["report", b / "out", "-o", b / "page.html"], _page),
    Verb(
        "budget",
        _built,
        lambda b: ["privacy", "budget", b / "out", "--population", "p", "--epsilon", 1, "--delta", 1e-5],
        _ledger,
    ),
    Verb(
        "statistics",
        _budgeted,
        lambda b: ["privacy", "statistics", b / "out", "--epsilon", 0.2, "--by", "source", "--workers", 1],
        _spent,
    ),
    Verb("train", _trainable, lambda b: ["train", b / "train.yaml"], _trained, slow=True),
    Verb(
        "selftrain",
        _labelled,
        lambda b: ["selftrain", b / "selftrain.yaml"],
        lambda b: digest(b / "student", "report", "history"),
        slow=True,
    ),
]
