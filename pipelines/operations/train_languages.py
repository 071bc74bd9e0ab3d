"""Trains and measures models of languages: `corpusmill language`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from corpusmill.transforms.decontaminate.evaluation import read_items
from corpusmill.transforms.errors import BadFileError, RecipeError
from corpusmill.transforms.filters.language import UNKNOWN, line_of_prose
from corpusmill.transforms.languages._model import Languages, open_languages, train

WHOLE = 1 << 20
"""Characters of a document that are learned from at most."""


def texts_of(paths: Sequence[str], text_column: str, label_column: str) -> tuple[list[str], list[str]]:
    """(texts, the code of the language of each).

    Args:
        paths: folders of text files, `CODE.txt` or `CODE.anything.txt`; or files with a column of texts and one of codes.
        text_column: name of the column of texts; "" for `text`.
        label_column: name of the column of codes.

    Raises:
        BadFileError: a file cannot be read. RecipeError: a folder holds no text files.
    """
    texts: list[str] = []
    codes: list[str] = []
    for path in paths:
        if not Path(path).is_dir():
            found, marks = read_items(path, (text_column or "text", label_column)).texts
            if found.null_count or marks.null_count:
                raise BadFileError(path, f"has documents without a text or a `{label_column}`", "take them out")
            texts += found.to_pylist()
            codes += marks.to_pylist()
            continue
        files = sorted(Path(path).glob("*.txt"))
        if not files:
            raise RecipeError(f"{path}: holds no .txt files; name each after its language, as nob.txt")
        for file in files:
            try:
                texts.append(file.read_text(encoding="utf-8"))
            except (OSError, UnicodeDecodeError) as error:
                raise BadFileError(str(file), f"cannot be read as UTF-8 ({error})", "save it as UTF-8") from None
            codes.append(file.name.split(".")[0])
    return texts, codes


def train_languages(texts: list[str], codes: list[str], order: int = 4) -> Languages:
    """A model of the languages of texts. The same texts, in any order, give the same model.

    Raises:
        RecipeError: there are fewer than two languages, or a language has no letters.
    """
    names = tuple(sorted(set(codes)))
    if len(names) < 2 or UNKNOWN in names or not all(names):
        raise RecipeError(
            f"the languages are {', '.join(map(repr, names[:5])) or 'none'}; two at least are needed, and none is `und` or empty"
        )
    if len(names) > 60_000:
        raise RecipeError(f"there are {len(names):,} languages; give at most 60,000")
    lines = line_of_prose(pa.array(texts, pa.string()), WHOLE)
    letters = Counter[str]()
    for code, line in zip(codes, lines.to_pylist(), strict=True):
        letters[code] += len(line)
    if empty := [name for name in names if not letters[name]]:
        raise RecipeError(f"the language {empty[0]!r} has no text with letters; give it some, or leave it out")
    place = {name: i for i, name in enumerate(names)}
    labels = np.array([place[c] for c in codes], np.int64)
    return train(lines, labels, names, order, {"documents": len(texts), "languages": len(names)})


def evaluate(path: str, texts: list[str], codes: list[str], chars: int = 300) -> dict[str, Any]:
    """Accuracy of a model on texts of known languages, and the confusions that are commonest.

    Languages that the model does not know count as wrong.
    """
    model = open_languages(path)
    best, _, _ = model.guess(line_of_prose(pa.array(texts, pa.string()), chars))
    guesses = [model.names[b] if b >= 0 else UNKNOWN for b in best.tolist()]
    wrong = Counter((c, g) for c, g in zip(codes, guesses, strict=True) if c != g)
    of_each = Counter(codes)
    missed = Counter(c for c, g in zip(codes, guesses, strict=True) if c != g)
    recall = [1 - missed[c] / n for c, n in of_each.items()]
    return {
        "documents": len(texts),
        "languages": len(of_each),
        "unknown_to_the_model": sorted(set(codes) - set(model.names)),
        "accuracy": 1 - sum(wrong.values()) / max(len(texts), 1),
        "mean_recall": sum(recall) / max(len(recall), 1),
        "confusions": [[c, g, n] for (c, g), n in sorted(wrong.items(), key=lambda kv: (-kv[1], kv[0]))[:20]],
    }
