import numpy as np
import pytest

from corpusmill.transforms.filters.phrases import compile_phrases, match_at


@pytest.mark.parametrize(
    ("text", "at", "found"),
    [
        ("Read MORE...", 0, 0),
        ("read more", 0, 1),
        ("read mor", 0, -1),
        ("xRead more", 1, 1),
        ("登录吧", 0, 2),
        ("é", 0, 3),
        ("a", 0, 4),
    ],
)
def test_the_first_phrase_that_stands_there(text, at, found):
    data = np.frombuffer(text.encode(), np.uint8)
    compiled = compile_phrases(["read more...", "Read more", "登录", "é", "a", ""])
    assert match_at(data, at, len(data), *compiled, 0, 6) == found


def test_no_phrases():
    data = np.frombuffer(b"text", np.uint8)
    assert match_at(data, 0, 4, *compile_phrases([]), 0, 0) == -1
