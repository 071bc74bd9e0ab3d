"""Prompts: a template over a document's columns, its beginning, a rephrasing, or instructions as examples.

template    the text in `template`, with `{text}` and other columns of the document in braces
continue    the first `words` words of the document: a base model goes on in its manner
rephrase    one of four styles, drawn by the document (Maini et al. 2024, WRAP, section 3.1)
instruct    `examples` seed tasks drawn by the document, then the beginning of a new one (Wang et al. 2023, Self-Instruct)
"""

from __future__ import annotations

import functools
import os
import string
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from corpusmill.transforms.errors import RecipeError, SourceError
from corpusmill.transforms.random import draw_array
from corpusmill.transforms.sources.items import read_items
from corpusmill.transforms.unicode import next_word, tables

STYLES = {
    "easy": "Rewrite the text below in short, simple sentences that a child understands. Keep every fact.",
    "encyclopedic": "Rewrite the text below as a clear, neutral article of an encyclopedia. Keep every fact.",
    "terse": "Rewrite the text below for an expert, as densely and precisely as possible. Keep every fact.",
    "questions": "Turn the text below into a conversation of questions and complete answers. Keep every fact.",
}


def fields(template: str) -> tuple[str, ...]:
    """The columns that a template names.

    >>> fields("Summarise {text} for {reader}: {{short}}")
    ('text', 'reader')

    Raises RecipeError for anything but names in braces.
    """
    names = []
    try:
        for _, name, spec, conversion in string.Formatter().parse(template):
            if name is not None:
                if not name.isidentifier() or spec or conversion:
                    raise ValueError(f"{{{name}}} is no column name")
                names.append(name)
    except ValueError as error:
        raise RecipeError(f"template: {error}; write columns as {{text}} and a brace as {{{{") from None
    return tuple(dict.fromkeys(names))


def fill(template: str, document: Mapping[str, Any]) -> str:
    """The template with the document's values; a missing value is empty."""
    named = fields(template)
    for name in named:
        if name not in document:
            raise RecipeError(f"template: documents have no column {name}; they have {', '.join(document)}")
    return template.format_map({name: "" if document[name] is None else document[name] for name in named})


def beginning(text: str, words: int) -> str:
    """The text up to the end of its word number `words`; all of it if it has fewer. A character is a word in some scripts.

    >>> beginning("One two, three four", 2), beginning("人之初性本善", 3)
    ('One two', '人之初')
    """
    data = np.frombuffer(text.encode(), np.uint8)
    flags, lower = tables()
    at = 0
    for _ in range(words):
        begin, end, _ = next_word(data, at, len(data), flags, lower)
        if begin == len(data):
            return text
        at = end
    return data[:at].tobytes().decode()


def rephrase(text: str, styles: Sequence[str], key: int) -> str:
    """A request to rephrase the text in one of `styles`, drawn by `key`."""
    style = styles[int(draw_array(np.array([key], np.uint64), 0)[0] % np.uint64(len(styles)))]
    return f"{STYLES[style]}\n\n{text}\n\nRewritten:\n"


def instruct(tasks: Sequence[Mapping[str, Any]], examples: int, key: int) -> str:
    """`examples` different tasks in an order drawn by `key`, each as its instruction and answer, and the number of a new one."""
    rank = draw_array(np.full(len(tasks), key, np.uint64) + np.arange(len(tasks), dtype=np.uint64), 1)
    chosen = np.argsort(rank, kind="stable")[:examples]
    lines = ["Write one more task of the same kind, different from these."]
    for number, i in enumerate(chosen.tolist(), 1):
        task = tasks[i]
        given = f"\nInput: {task['input']}" if task.get("input") else ""
        lines.append(f"Task {number}: {task['instruction']}{given}\nOutput: {task.get('output') or ''}")
    return "\n\n".join([*lines, f"Task {len(chosen) + 1}:"])


def read_tasks(path: str) -> tuple[dict[str, Any], ...]:
    """Seed tasks of a Parquet or JSONL file with columns instruction, input, output. Raises RecipeError."""
    stat = os.stat(path) if os.path.exists(path) else None
    return _tasks(path, stat.st_mtime_ns if stat else 0)


@functools.lru_cache(8)
def _tasks(path: str, stamp: int) -> tuple[dict[str, Any], ...]:
    try:
        table = read_items(path).table
    except SourceError as error:
        raise RecipeError(f"{path}: seed tasks cannot be read ({error}); give a Parquet or JSONL file") from None
    if "instruction" not in table.column_names or not table.num_rows:
        raise RecipeError(
            f"{path}: seed tasks need rows with a column instruction; it has {', '.join(table.column_names)}"
        )
    rows: list[dict[str, Any]] = table.to_pylist()
    return tuple(rows)
