"""Documents longer than a row: each rule, and what is said."""

from __future__ import annotations

import numpy as np
import pytest

from corpusmill.training.finetune.fitting import Fitting
from corpusmill.transforms.errors import DatasetError

END = np.array([0])


def ids(n: int, first: int = 1) -> np.ndarray:
    return np.arange(first, first + n)


def both(pair):
    return None if pair is None else (pair[0].tolist(), pair[1].tolist())


@pytest.mark.parametrize(
    ("mode", "prompt", "answer", "wanted"),
    [
        ("keep-prompt", 3, 4, ([1, 2, 3], [11, 12, 13, 14, 0])),  # fits
        ("keep-prompt", 5, 4, ([1, 2, 3, 4, 5], [11, 12, 13])),  # no end token behind a cut answer
        ("keep-prompt", 8, 4, None),
        ("keep-answer", 5, 4, ([3, 4, 5], [11, 12, 13, 14, 0])),
        ("keep-answer", 5, 8, None),
        ("drop", 5, 4, None),
    ],
)
def test_pairs(mode, prompt, answer, wanted):
    fitting = Fitting(8, mode, "a.jsonl")
    assert both(fitting.pair(ids(prompt), ids(answer, 11), END)) == wanted
    fits = prompt + answer + 1 <= 8
    assert (fitting.cut, fitting.left_out) == (int(wanted is not None and not fits), int(wanted is None))
    assert bool(fitting.note()) == (not fits)


def test_texts_are_cut_within_their_frame_and_without_an_end():
    fitting = Fitting(5, "keep-prompt", "a.jsonl")
    assert fitting.text(ids(9), np.array([98]), np.array([99])).tolist() == [98, 1, 2, 3, 99]
    assert fitting.ended(ids(9), END).tolist() == [1, 2, 3, 4, 5]
    assert fitting.ended(ids(4), END).tolist() == [1, 2, 3, 4, 0]
    assert fitting.ended(ids(5), END).tolist() == [1, 2, 3, 4, 5]
    assert fitting.note() == (
        "a.jsonl: of 4 documents 3 are cut, which do not fit data.length 5 (data.truncate: keep-prompt). Raise data.length to "
        "keep them whole."
    )


def test_an_encoder_and_its_decoder_have_a_row_each():
    fitting = Fitting(4, "keep-prompt", "a.jsonl")
    assert both(fitting.both(ids(6), ids(3, 11), END)) == ([1, 2, 3, 4], [11, 12, 13, 0])
    assert both(fitting.both(ids(2), ids(4, 11), END)) == ([1, 2], [11, 12, 13, 14])
    assert fitting.cut == 2


def test_error_names_the_document_and_nothing_left_is_an_error():
    with pytest.raises(DatasetError, match=r"a\.jsonl: document 2 does not fit data\.length 4\. Raise data\.length"):
        fitting = Fitting(4, "error", "a.jsonl")
        fitting.ended(ids(2), END)
        fitting.ended(ids(9), END)
    fitting = Fitting(4, "drop", "a.jsonl")
    assert fitting.ended(ids(9), END) is None
    with pytest.raises(DatasetError, match=r"a\.jsonl: no document fits data\.length 4"):
        fitting.check()
