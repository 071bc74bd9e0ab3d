"""What `corpusmill init --step` writes: a step of the user's own that works, and its test."""

from __future__ import annotations

import re
from pathlib import Path

from corpusmill.transforms.errors import RecipeError

_STEP = '''"""A step of your own. A recipe in this folder uses it as `- MODULE:CLASS` or `- MODULE:CLASS: {max_share: 0.5}`.

A function of one text serves as a step, too: `def keep(text: str) -> bool`, `def score(text: str) -> float` or
`def edit(text: str) -> str`, used as `- MODULE:keep`. A class sees a whole batch at a time, which is faster.
"""

from typing import ClassVar

import pyarrow as pa
import pyarrow.compute as pc
from pydantic import Field

from corpusmill.transforms.base import Filter, Stability, Verdict
from corpusmill.transforms.filters.rules import Rules
from corpusmill.transforms.random import Keyed


class CLASS(Filter):
    """Drop documents that are mostly upper-case letters."""

    name: ClassVar[str] = "KEY"
    version: ClassVar[int] = 1  # raise it with every change that changes results, so that finished work is done again
    stability: ClassVar[Stability] = "record"  # it looks at one document at a time

    max_share: float = Field(0.3, ge=0, le=1, description="largest share of characters that are upper-case letters")

    def judge(self, batch: pa.RecordBatch, rng: Keyed) -> Verdict:
        """Which documents are dropped, and the share that dropped them."""
        texts = batch.column("text")
        characters = pc.utf8_length(texts)
        others = pc.utf8_length(pc.replace_substring_regex(texts, r"\\p{Lu}", ""))
        share = pc.divide(pc.subtract(characters, others).cast(pa.float64()), pc.max_element_wise(characters, 1))
        rules = Rules(batch.num_rows)
        rules.check("max_share", share.to_numpy(zero_copy_only=False), self.max_share)
        return rules.verdict()
'''
_TEST = """import pyarrow as pa
from MODULE import CLASS

TEXTS = ["A quiet text.", "BUY THIS NOW", "", "静かな文書"]


def test_texts_in_capitals_are_dropped():
    assert CLASS()(TEXTS) == ["A quiet text.", "", "静かな文書"]
    assert CLASS(max_share=1.0)(TEXTS) == TEXTS


def test_other_columns_stay_and_a_table_may_be_empty():
    table = pa.table({"text": TEXTS, "year": [1, 2, 3, 4]})
    assert CLASS()(table)["year"].to_pylist() == [1, 3, 4]
    assert CLASS()(table.slice(0, 0)).num_rows == 0
"""


def starter_step(path: str) -> dict[str, str]:
    """The files of a new step: path -> content.

    Raises:
        RecipeError: the file's name cannot be that of a module and a step.

    >>> list(starter_step("steps/my_filter.py"))
    ['steps/my_filter.py', 'steps/test_my_filter.py']
    """
    file = Path(path)
    module = file.stem
    if file.suffix != ".py" or not re.fullmatch(r"[a-z][a-z0-9]*(_[a-z0-9]+)*", module):
        raise RecipeError(f"{path}: a step's file is a module of lower-case words, such as my_filter.py")
    words = {"MODULE": module, "KEY": module.replace("_", "-")}
    words["CLASS"] = "".join(word.capitalize() for word in module.split("_"))
    files = {str(file): _STEP, str(file.with_name(f"test_{file.name}")): _TEST}
    return {name: re.sub("MODULE|CLASS|KEY", lambda m: words[m[0]], text) for name, text in files.items()}
