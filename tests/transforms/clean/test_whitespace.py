import re
import unicodedata

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from corpusmill.transforms.clean.whitespace import tidy

BREAKS = "\r\x0b\x0c\x85\u2028\u2029"


def reference(text: str, control: bool, whitespace: bool, collapse: bool, blank_lines: int) -> str:
    if control:
        keep = "\n\t" + BREAKS
        text = "".join(c for c in text if c in keep or (unicodedata.category(c) != "Cc" and c != "\ufeff"))
        if not whitespace:
            return text
    if not whitespace:
        return text
    # the separators 1c to 1f are white space for Python, and control characters
    lines = re.split("\r\n|[\n" + BREAKS + "]", text)
    lines = [line.rstrip() for line in lines]
    if collapse:
        lines = [re.sub(r"\s+", " ", line).strip() for line in lines]
    ended = len(lines) > 1 and lines[-1] == "" and any(lines)
    kept: list[str] = []
    blank = 0
    for line in lines:
        blank = 0 if line else blank + 1
        if line or (blank <= blank_lines and kept):
            kept.append(line)
    while kept and not kept[-1]:
        kept.pop()
    return "\n".join(kept) + ("\n" if ended else "")


ALPHABET = "ab \t\n\r\x00\x07\x0b\x0c\x1d\x85\x9f\xa0\u2028\u3000\ufeff中é👍"


@settings(max_examples=1500, deadline=None)
@given(
    st.lists(st.text(alphabet=ALPHABET, max_size=14), max_size=4),
    st.booleans(),
    st.booleans(),
    st.booleans(),
    st.integers(0, 3),
)
def test_equals_the_reference(texts, control, whitespace, collapse, blank_lines):
    got = tidy(pa.array(texts, pa.string()), control, whitespace, collapse, blank_lines)
    assert got.to_pylist() == [reference(t, control, whitespace, collapse, blank_lines) for t in texts]


@settings(max_examples=300, deadline=None)
@given(st.text(alphabet=ALPHABET, max_size=20), st.booleans())
def test_a_second_time_is_the_same_array(text, collapse):
    once = tidy(pa.array([text]), True, True, collapse, 1)
    assert tidy(once, True, True, collapse, 1) is once


def test_indentation_of_code_stays():
    code = "def f():\n\treturn {\n        'a':  1,\n    }\n"
    array = pa.array([code, "中文\u3000字", ""])
    assert tidy(array, True, True, False, 2) is array


def test_slices_and_nulls():
    array = pa.array(["x \n", "a \r\nb", None, "c"])[1:]
    assert tidy(array, True, True, False, 1).to_pylist() == ["a\nb", None, "c"]


@pytest.mark.parametrize("text", ["", " ", "\n", "\r\n \t\n", "\x00"])
def test_blank_documents_become_empty(text):
    assert tidy(pa.array([text]), True, True, False, 2).to_pylist() == [""]
