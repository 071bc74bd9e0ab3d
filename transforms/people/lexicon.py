"""Lexicons: words that name groups of people, by axis, and words of occupations and judgement beside them.

    language: en
    source: who chose the words
    axes: {gender: {female: [she, woman], male: [he, man]}}
    targets: {care_work: [nurse], positive: [good]}
    quoted: [said, told]

A term matches whole words in any case; in scripts written without spaces it matches anywhere. The lexicons that come with
corpusmill are small, and written by its authors. They find who is named, not who is meant.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cache
from importlib.resources import files
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field

from corpusmill.transforms.errors import RecipeError
from corpusmill.transforms.settings.mistakes import Mistakes, render
from corpusmill.transforms.settings.yaml_positions import parse

_ALONE = re.compile("[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff]")
QUOTED = "quoted"
"""The target of who is quoted: a sentence with quotation marks and a word of saying."""


class Lexicon(BaseModel):
    """The words of one language."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    language: str = Field(min_length=2, description="Code of the language, as in the column `lang`.")
    source: str = Field(min_length=1, description="Where the words come from.")
    axes: dict[str, dict[str, tuple[str, ...]]] = Field(min_length=1, description="Axis -> group -> terms.")
    targets: dict[str, tuple[str, ...]] = Field(
        default_factory=dict, description="Name -> terms beside which groups are counted."
    )
    quoted: tuple[str, ...] = Field((), description="Words of saying.")

    def groups(self) -> dict[str, tuple[str, ...]]:
        """`axis.group` -> its terms."""
        return {f"{axis}.{group}": terms for axis, groups in self.axes.items() for group, terms in groups.items()}


@cache
def built_in() -> tuple[Lexicon, ...]:
    """The lexicons that come with corpusmill."""
    folder = files("corpusmill.transforms.people")
    found = [str(f) for f in folder.iterdir() if f.name.endswith(".yaml")]
    return tuple(_read(path) for path in sorted(found))


def load(paths: Sequence[str] = ()) -> list[Lexicon]:
    """The built-in lexicons, and those of files, each of which replaces the one of its language.

    Raises:
        RecipeError: a file is no lexicon, with every mistake in it.
    """
    by_language = {lexicon.language: lexicon for lexicon in built_in()}
    for path in paths:
        lexicon = _read(path)
        by_language[lexicon.language] = lexicon
    return [by_language[code] for code in sorted(by_language)]


def _read(path: str) -> Lexicon:
    try:
        data = Path(path).read_bytes()
    except OSError as error:
        raise RecipeError(f"{path}: cannot be read: {error.strerror}; name the YAML file of a lexicon") from None
    marked = parse(data, path)
    mistakes = Mistakes(marked)
    if not isinstance(marked.value, dict) and not mistakes.problems:
        raise RecipeError(
            f"{path}: a lexicon is a mapping with `language`, `source` and `axes: {{axis: {{group: [words]}}}}`"
        )
    lexicon = mistakes.validate(Lexicon, marked.value, (), "the lexicon") if isinstance(marked.value, dict) else None
    if lexicon is None or mistakes.problems:
        raise RecipeError(render(mistakes.ordered(), "the lexicon"))
    return lexicon


def pattern(terms: Sequence[str]) -> str:
    """A regular expression (RE2) that finds any of the terms in a text in lower case."""
    whole = sorted(
        re.escape(t.lower()).replace("\\ ", r"\s+").replace("'", "['’]") for t in terms if not _ALONE.search(t)
    )
    inside = sorted(re.escape(t) for t in terms if _ALONE.search(t))
    parts = [rf"(?:^|[^\pL\pM\pN_])(?:{'|'.join(whole)})(?:$|[^\pL\pM\pN_])"] if whole else []
    return "|".join([*parts, *inside]) or r"[^\s\S]"
