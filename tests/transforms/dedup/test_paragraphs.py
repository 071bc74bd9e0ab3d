from corpusmill.transforms.dedup.paragraphs import Paragraphs
from tests.transforms.dedup.harness import cut, documents, run

TWO = "this paragraph has two lines and both\nof them are equal in all documents"


def test_a_paragraph_goes_with_the_blank_lines_behind_it() -> None:
    texts = [TWO, f"a\n\n{TWO}\n\nb\n", f"a\n\n{TWO}\n \n\nb", f"\n\n{TWO}\nc", f"{TWO}\r\n\r\nb"]
    got = run(Paragraphs(), cut(documents(texts)))
    assert list(got.texts.values()) == [TWO, "a\n\nb\n", "a\n\nb", f"\n\n{TWO}\nc", "b"]


def test_equal_lines_in_different_paragraphs_stay() -> None:
    line = "of them are equal in all documents, and long enough"
    texts = [f"{line}\nx", f"{line}\ny"]
    assert list(run(Paragraphs(), cut(documents(texts))).texts.values()) == texts
