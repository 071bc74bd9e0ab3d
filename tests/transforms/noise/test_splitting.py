import pyarrow as pa
import pytest

from corpusmill.transforms.errors import MissingDependencyError
from corpusmill.transforms.noise.splitting import punkt_spans, rule_spans, split_sentences
from tests.transforms.noise.corpora import AWKWARD, CHINESE, ENGLISH, JAPANESE


@pytest.mark.parametrize(
    ("text", "sentences"),
    [
        ("One. Two! Three?", ["One.", "Two!", "Three?"]),
        ("Mr. A. Smith paid 3.50 (e.g. Twice). Then he left.", ["Mr. A. Smith paid 3.50 (e.g. Twice).", "Then he left."]),
        ('He said "Stop!" Nobody did...  So be it', ['He said "Stop!"', "Nobody did...", "So be it"]),
        ("see example.com now. yes", ["see example.com now. yes"]),
        ("# Title\n\ntext goes\non. End\n- a\n- b", ["# Title", "text goes\non.", "End", "- a", "- b"]),
        ("1. First\n\n2. Next", ["1. First", "2. Next"]),
        (CHINESE, ["机器学习是人工智能的一个分支。", "它让计算机从数据中学习！", "你知道吗？"]),
        (JAPANESE, ["機械学習は人工知能の一分野です。", "データから学びます。", "「本当？」と聞いた。"]),
        ("यह एक है। वह दो।", ["यह एक है।", "वह दो।"]),
        ("", []),
        (" \n\t", []),
        ("?!", ["?!"]),
        ("no end", ["no end"]),
    ],
)  # fmt: skip
def test_rules(text: str, sentences: list[str]) -> None:
    assert split_sentences(text) == sentences


def test_sentences_cover_all_that_is_visible() -> None:
    texts = [*AWKWARD, CHINESE, JAPANESE, ENGLISH]
    first, starts, ends = rule_spans(pa.array(texts))
    assert len(first) == len(texts) + 1
    assert all(a < b for a, b in zip(starts, ends, strict=True))
    for text in texts:
        assert "".join("".join(s.split()) for s in split_sentences(text)) == "".join(text.split())


def test_sliced_arrays() -> None:
    array = pa.array(["skip me. please", CHINESE, "One. Two."]).slice(1)
    first, starts, _ = rule_spans(array)
    assert first.tolist() == [0, 3, 5]
    assert starts[0] == len("skip me. please")


def test_punkt_cuts_wide_stops_too() -> None:
    texts = pa.array(["Dr. Who left. He ran.", CHINESE, "", None, "héllo. Wörld."])
    try:
        first, starts, ends = punkt_spans(texts, "english")
    except MissingDependencyError:
        pytest.skip("NLTK's punkt_tab is not installed")
    assert first.tolist() == [0, 2, 5, 5, 5, 7]
    data = b"Dr. Who left. He ran." + CHINESE.encode() + "héllo. Wörld.".encode()
    found = [data[a:b].decode() for a, b in zip(starts, ends, strict=True)]
    assert found == ["Dr. Who left.", "He ran.", *split_sentences(CHINESE), "héllo.", "Wörld."]


def test_punkt_without_its_model_names_the_command() -> None:
    with pytest.raises(MissingDependencyError, match="punkt_tab"):
        punkt_spans(pa.array(["a"]), "klingon")
