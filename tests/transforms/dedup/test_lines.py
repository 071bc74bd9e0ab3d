from corpusmill.transforms.dedup.lines import Lines
from tests.transforms.dedup.harness import cut, documents, run

LONG = "this line is long enough to count as one"


def test_a_line_goes_with_its_end_and_nothing_else() -> None:
    texts = [LONG, f"a\n{LONG}\nb", f"a\r\n{LONG}\r\nb", f"a\n\n{LONG}", f"{LONG}\n\nb"]
    got = run(Lines(), cut(documents(texts)))
    assert list(got.texts.values()) == [LONG, "a\nb", "a\r\nb", "a\n\n", "\nb"]
