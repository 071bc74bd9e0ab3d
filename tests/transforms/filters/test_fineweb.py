import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from corpusmill.transforms.filters.fineweb import Fineweb
from corpusmill.transforms.random import Keyed
from tests.transforms.filters.reference import HAND, batch, corpus_texts, fineweb


def compare(texts, scripts="adapt"):
    verdict = Fineweb(scripts_without_spaces=scripts).judge(batch(texts), Keyed())
    for i, text in enumerate(texts):
        for name, value in fineweb(text, scripts == "adapt").items():
            assert verdict.scores[name][i] == pytest.approx(value), (name, text[:300])


@pytest.mark.parametrize("scripts", ["adapt", "as-is"])
def test_by_hand(scripts):
    compare([*HAND, "Ends.\nends\nEnds!”\n(Yes?)\n結束。」\n", "Ends.\nEnds.\n"], scripts)


@settings(max_examples=400, deadline=None)
@given(st.lists(st.text(alphabet="ab. !?'\"\n\r)”。」中ไ؟…", max_size=50), max_size=3))
def test_any_lines(texts):
    compare(texts)


def test_real_documents():
    compare(corpus_texts(150, 3))


def test_reasons():
    line = "A line that is long enough to count as one and ends with a stop."
    other = "Another line that is long enough to count and ends well, too."
    cases = {
        "empty": " \n ",
        "min_punctuated_lines": "\n".join(f"line {i} that is long enough to count but has no end" for i in range(9)),
        "max_short_lines": "Short.\nLine.\nHere.\n" + line,
        "max_dup_line_chars": f"{line}\n{other}\n{line}",
        "max_breaks": "Considerationsofimportanceforeveryone.\n" + "Considerationsofimportanceforanyone.\n",
    }
    for reason, text in cases.items():
        verdict = Fineweb().judge(batch([text]), Keyed())
        assert verdict.reasons[verdict.codes[0]] == reason
    assert Fineweb()(batch([f"{line}\n{other}"])).num_rows == 1
    assert Fineweb()(batch([])).num_rows == 0
