"""Paths that cannot be used, and every place where a command or a recipe takes a path."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from tests.faults.living import refresh
from tests.faults.verbs import VERBS

HERE = "{}"
"""Where a command line has the path."""


def world(base: Path) -> None:
    """A dataset of token ids, its recipe, settings of training and self-training, and lists of ids and prompts."""
    for name in ("train", "selftrain", "scorer"):
        next(v for v in VERBS if v.name == name).world(base)
    refresh(base)
    (base / "ids.txt").write_text("nobody\n")
    (base / "prompts.txt").write_text("a\n")
    (base / "empty").mkdir()
    (base / "folder").mkdir()
    (base / "folder" / "in-it").write_text("x\n")
    (base / "file").write_text("x\n")
    (base / "loop").symlink_to(base / "loop")
    (base / "gone").symlink_to(base / "no-such-file")
    with socket.socket(socket.AF_UNIX) as made:
        made.bind(str(base / "socket"))


def kinds(base: Path) -> dict[str, str]:
    """{kind: a path of it}."""
    return {
        "missing": f"{base}/no-folder/no-file",
        "below a file": f"{base}/file/below",
        "a file": f"{base}/file",
        "an empty folder": f"{base}/empty",
        "a folder": f"{base}/folder",
        "a long name": f"{base}/{'n' * 300}",
        "a long path": str(base) + "/folder" * 700,
        "a loop": f"{base}/loop",
        "below a loop": f"{base}/loop/below",
        "a link to nothing": f"{base}/gone",
        "a socket": f"{base}/socket",
        "NUL": f"{base}/with\0nul",
        "no Unicode": f"{base}/with\udcffbyte",
        "empty": "",
        "an unknown scheme": "hdfs://host/with-scheme",
        "a scheme without a name": "s3://",
        "braces": f"{base}/{{a,b",
        "brackets": f"{base}/[a",
    }


def commands(base: Path) -> dict[str, list[str]]:
    """{place: a command line in which HERE is the path}."""
    out, recipe = f"{base}/out", f"{base}/recipe.yaml"
    reading = [
        "log",
        "files",
        "verify",
        "history",
        "show",
        "quarantine",
        "dropped",
        "pairs",
        "gc",
        "map",
        "bias",
        "browse",
    ]
    found = {verb: [verb, HERE] for verb in reading}
    found |= {verb: [verb, HERE] for verb in ("check", "plan", "run", "commit", "train", "selftrain", "init")}
    found["submit"] = ["submit", HERE, "--runner", "flink"]
    found |= {f"check {kind}": ["check", f"--{kind}", HERE] for kind in ("train", "selftrain", "party", "job")}
    found |= {
        f"secure {verb}": ["secure", verb, HERE, "--config", f"{base}/file"]
        for verb in ("average", "count", "dedup", "finetune", "mix", "score")
    }
    found |= {
        f"privacy {verb}": ["privacy", verb, HERE] for verb in ("statement", "status", "certify", "canaries", "audit")
    }
    return found | {
        "init --source": ["init", f"{base}/unwritten/new.yaml", "--source", HERE],
        "run --arrivals": ["run", recipe, "--arrivals", HERE],
        "run --metrics": ["run", recipe, "--metrics", HERE],
        "show --html": ["show", out, "--html", HERE],
        "diff": ["diff", HERE, "1", "2"],
        "report": ["report", HERE],
        "report -o": ["report", out, "-o", HERE],
        "report --model": ["report", out, "-o", f"{base}/page.html", "--model", HERE],
        "map --against": ["map", out, "--against", HERE],
        "map --html": ["map", out, "--html", HERE],
        "bias --lexicon": ["bias", out, "--lexicon", HERE],
        "bias --html": ["bias", out, "--html", HERE],
        "why": ["why", HERE, "id"],
        "look": ["look", HERE],
        "tokenizer": ["tokenizer", HERE, "--vocab-size", "300", "--out", f"{base}/new.json"],
        "tokenizer --out": ["tokenizer", recipe, "--vocab-size", "300", "--out", HERE],
        "scorer card": ["scorer", "card", HERE],
        "scorer eval": ["scorer", "eval", HERE, "--like", f"{base}/like.jsonl", "--unlike", f"{base}/unlike.jsonl"],
        "scorer train --like": ["scorer", "train", "--like", HERE, "--unlike", f"{base}/unlike.jsonl", "--out", f"{base}/s"],
        "scorer train --out": ["scorer", "train", "--like", f"{base}/like.jsonl", "--unlike", f"{base}/unlike.jsonl", "--buckets",
                               "64", "--epochs", "1", "--out", HERE],
        "mix learn": ["mix", "learn", HERE],
        "mix propose": ["mix", "propose", HERE, "--runs", "2", "--out", f"{base}/plan.jsonl"],
        "mix propose --out": ["mix", "propose", out, "--runs", "2", "--by", "source", "--out", HERE],
        "export": ["export", HERE, f"{base}/shards", "--to", "nanogpt"],
        "export out": ["export", out, HERE, "--to", "nanogpt"],
        "export croissant": ["export", out, HERE, "--to", "croissant", "--license", "CC0-1.0"],
        "history --metrics": ["history", out, "--metrics", HERE],
        "rollback": ["rollback", HERE, "1"],
        "forget": ["forget", HERE, "--ids", f"{base}/ids.txt", "--yes"],
        "forget --ids": ["forget", out, "--ids", HERE, "--yes"],
        "forget --user": ["forget", out, "--user", HERE, "--yes"],
        "forget --recipe": ["forget", out, "--ids", f"{base}/ids.txt", "--recipe", HERE, "--yes"],
        "forget --search": ["forget", out, "--ids", f"{base}/ids.txt", "--search", HERE, "--yes", "--dry-run"],
        "gc --give-up": ["gc", out, "--give-up", HERE, "--yes"],
        "schedule": ["schedule", "export", HERE, "--to", "cron"],
        "schedule --out": ["schedule", "export", recipe, "--to", "cron", "--out", HERE],
        "eval": ["eval", HERE],
        "generate": ["generate", HERE, f"{base}/prompts.txt"],
        "chat": ["chat", HERE],
        "export-model": ["export-model", HERE, f"{base}/model"],
        "privacy budget": ["privacy", "budget", HERE, "--population", "p", "--epsilon", "1", "--delta", "1e-5"],
        "privacy plan": ["privacy", "plan", "--ledger", HERE, "--epsilon", "1", "--units", "100", "--batch", "10"],
        "privacy statistics": ["privacy", "statistics", HERE, "--epsilon", "0.2"],
        "party certificates": ["party", "certificates", HERE, "a", "b"],
        "party request": ["party", "request", HERE, "a"],
        "party sign": ["party", "sign", HERE, f"{base}/file"],
        "party sign request": ["party", "sign", f"{base}/empty", HERE],
        "secure --config": ["secure", "count", f"{base}/train.yaml", "--config", HERE],
    }  # fmt: skip


def settings(base: Path) -> Iterator[tuple[str, str, dict[str, Any], tuple[Any, ...]]]:
    """(place, verb, settings, keys that lead to the path): the fields of recipes and settings files that take a path."""
    recipe = yaml.safe_load((base / "recipe.yaml").read_text()) | {"steps": []}
    recipe["output"] = {"path": f"{base}/other"}
    yield "sources.path", "run", recipe, ("sources", 0, "path")
    yield "output.path", "run", recipe, ("output", "path")
    steps: list[tuple[str, dict[str, Any], tuple[Any, ...]]] = [
        ("decontaminate", {"sets": {"s": None}}, ("sets", "s")),
        ("kept-elsewhere", {"path": None}, ("path",)),
        ("select", {"like": None, "share": 1.0}, ("like",)),
        ("pack", {"tokenizer": None, "length": 32}, ("tokenizer",)),
        ("tokenize", {"tokenizer": None}, ("tokenizer",)),
        ("redact", {"replace_by": "pseudonym", "key_file": None}, ("key_file",)),
        ("quality", {"model": None}, ("model",)),
    ]
    for name, given, keys in steps:
        yield f"{name}.{keys[0]}", "run", recipe | {"steps": [{name: given}]}, ("steps", 0, name, *keys)
    train = yaml.safe_load((base / "train.yaml").read_text())
    for train_keys in (("output",), ("data", "train"), ("data", "tokenizer")):
        yield f"train {'.'.join(train_keys)}", "train", train, train_keys
    selftrain = yaml.safe_load((base / "selftrain.yaml").read_text())
    for key in ("output", "labelled", "held_out", "unlabelled", "test"):
        yield f"selftrain {key}", "selftrain", selftrain, (key,)


def with_path(given: Any, keys: tuple[Any, ...], path: str) -> Any:
    """A copy of settings with another value where `keys` lead."""
    if not keys:
        return path
    copy = list(given) if isinstance(given, list) else dict(given)
    copy[keys[0]] = with_path(copy[keys[0]], keys[1:], path)
    return copy
