"""Prompts: columns in braces, beginnings by word, styles and seed tasks drawn by the document."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from corpusmill.transforms.errors import RecipeError
from corpusmill.transforms.generate.prompts import STYLES, beginning, fields, fill, instruct, read_tasks, rephrase


def test_fill() -> None:
    assert fill("{a} {{b}} {c}", {"a": "x", "c": None}) == "x {b} "
    with pytest.raises(RecipeError, match="no column z"):
        fill("{z}", {"a": 1})
    with pytest.raises(RecipeError, match="no column name"):
        fields("{text.__class__}")


CUT = [
    ("", 3, ""),
    ("a b", 5, "a b"),
    ("Zwei Wörter hier", 2, "Zwei Wörter"),
    ("こんにちは世界です", 100, "こんにちは世界です"),
    ("数据很好用", 2, "数据"),
]


@pytest.mark.parametrize(("text", "words", "want"), CUT)
def test_beginning(text: str, words: int, want: str) -> None:
    assert beginning(text, words) == want


def test_styles_are_drawn_by_key() -> None:
    seen = {rephrase("T", tuple(STYLES), key).split("\n")[0] for key in range(64)}
    assert seen == set(STYLES.values())
    assert rephrase("T", ("easy",), 1) == rephrase("T", ("easy",), 2)


def test_instructions(tmp_path: Path) -> None:
    tasks = [{"instruction": f"Do {i}", "input": "in" if i % 2 else "", "output": str(i)} for i in range(8)]
    path = tmp_path / "tasks.jsonl"
    path.write_text("\n".join(map(json.dumps, tasks)))
    read = read_tasks(str(path))
    asked = instruct(read, 3, 5)
    assert asked.count("Output:") == 3
    assert asked.endswith("Task 4:")
    assert asked == instruct(read, 3, 5)
    assert len({instruct(read, 3, key) for key in range(20)}) > 15
    with pytest.raises(RecipeError, match="cannot be read"):
        read_tasks(str(tmp_path / "none.jsonl"))
