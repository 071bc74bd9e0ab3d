"""What a judge is asked about a text, and how its answer is read."""

from __future__ import annotations

import functools
import json
import re

from corpusmill.transforms.errors import BadFileError
from corpusmill.transforms.storage import read_bytes

EDUCATIONAL = """How much would the text below teach a reader who wants to learn its subject? Begin at 0 and add a point for each
statement that holds.
- It has some information about a subject, even if it is mixed with advertising or navigation.
- It explains something about a subject that is taught, though loosely or in passing.
- It is coherent, and a teacher could use parts of it.
- It is clear and complete enough to learn from, as a chapter of a textbook or a tutorial, with little that is off the subject.
- It is outstanding: well ordered, with reasons and examples, and nothing in it distracts.

Text:
{text}
"""
ANSWER = """
Answer with one line of JSON: {"reason": "one short sentence", "score": a number from LOW to HIGH}
"""
_NUMBER = re.compile(r"score[^\w-]{0,6}(-?\d+(?:\.\d+)?)", re.IGNORECASE)
REASON = 500
"""Characters of a reason that are kept."""


def prompt(rubric: str, digest: str, text: str, low: float, high: float) -> str:
    """The question about a text. rubric: `educational`, or a file with `{text}` where the text shall stand.

    Raises:
        BadFileError: the file cannot be read, is not UTF-8, or lacks `{text}`.
    """
    asked = EDUCATIONAL if rubric == "educational" else _of_file(rubric, digest)
    form = ANSWER.replace("LOW", f"{low:g}").replace("HIGH", f"{high:g}")
    return asked.replace("{text}", text) + form


@functools.lru_cache(4)
def _of_file(path: str, digest: str) -> str:
    """digest: keeps a changed file from being taken for the one that was read before."""
    try:
        text = read_bytes(path).decode()
    except OSError as error:
        raise BadFileError(path, f"the rubric cannot be read ({error.strerror})", "correct its path") from None
    except UnicodeDecodeError:
        raise BadFileError(path, "the rubric is not UTF-8", "save it as UTF-8") from None
    if "{text}" not in text:
        raise BadFileError(path, "the rubric has no {text}", "write {text} where the document shall stand")
    return text


def answer(said: str, low: float, high: float) -> tuple[float, str] | None:
    """(score, reason) of a judge's answer; None where it has no score from `low` to `high`.

    >>> answer('Sure: {"reason": "clear", "score": 4}', 0, 5), answer("Score: 2", 0, 5), answer("score: 9", 0, 5)
    ((4.0, 'clear'), (2.0, ''), None)
    """
    score, reason = None, ""
    for start in (m.start() for m in re.finditer("{", said)):
        try:
            found, _ = json.JSONDecoder().raw_decode(said[start:])
        except ValueError:
            continue
        if isinstance(found, dict) and isinstance(found.get("score"), int | float | str):
            reason = str(found.get("reason") or "")[:REASON]
            score = _float(found["score"])
            break
    else:
        match = _NUMBER.search(said)
        score = _float(match[1]) if match else None
    return None if score is None or not low <= score <= high else (score, reason)


def _float(value: object) -> float | None:
    if isinstance(value, bool):
        return None
    try:
        return float(str(value))
    except ValueError:
        return None
