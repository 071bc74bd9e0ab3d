import random

import pytest

from corpusmill.transforms.dedup._parts import Parts
from corpusmill.transforms.dedup.lines import Lines
from corpusmill.transforms.dedup.paragraphs import Paragraphs
from tests.transforms.dedup.harness import cut, documents, run

BOTH = pytest.mark.parametrize("parts", [Lines, Paragraphs])
LONG = "this line is long enough to count as one"


@BOTH
def test_the_first_document_keeps_it(parts: type[Parts]) -> None:
    texts = [f"alpha\n\n{LONG}\n\nomega", f"beta\n\n{LONG}\n\ngamma", f"{LONG}"]
    for seed in range(5):
        got = run(parts(), cut(documents(texts), 2, 1, seed), 1 + seed)
        assert got.texts["d00000"] == texts[0]
        assert got.texts["d00001"].split() == ["beta", "gamma"]
        assert got.dropped == {"d00002": (f"repeated-{parts.name}", 1.0, "d00000")}


@BOTH
@pytest.mark.parametrize("line", ["重复的文字应当删除一次", "この行は何度も繰り返されます"])
def test_scripts_without_spaces(parts: type[Parts], line: str) -> None:
    got = run(parts(), cut(documents([f"甲\n\n{line}", f"乙\n\n{line}\n\n丙"])))
    assert got.texts == {"d00000": f"甲\n\n{line}", "d00001": {Lines: "乙\n\n\n丙", Paragraphs: "乙\n\n丙"}[parts]}


@BOTH
def test_white_space_of_any_script_does_not_count(parts: type[Parts]) -> None:
    line = "重复的文字应当删除一次"
    texts = [f"甲\n\u3000\n{line}", f"乙\n\u3000\n\u3000\u3000{line}\u00a0\n\u2003\n丙"]
    got = run(parts(), cut(documents(texts)))
    left = {Lines: "乙\n\u3000\n\u2003\n丙", Paragraphs: "乙\n\u3000\n丙"}[parts]
    assert got.texts == {"d00000": texts[0], "d00001": left}


@BOTH
def test_max_copies_and_min_documents(parts: type[Parts]) -> None:
    table = documents([f"{LONG}\n\n{name}" for name in "abcd"])

    def holders(**how: int) -> list[str]:
        return [i for i, t in run(parts(**how), cut(table, 2), 3).texts.items() if LONG in t]

    assert holders() == ["d00000"]
    assert holders(max_copies=3) == ["d00000", "d00001", "d00002"]
    assert holders(max_copies=0) == []
    assert len(holders(min_documents=5)) == 4
    assert holders(min_documents=4, max_copies=0) == []


@BOTH
def test_short_parts_and_repeats_in_one_document_stay(parts: type[Parts]) -> None:
    texts = [f"short one\n\n{LONG}\n\n{LONG}\n", "short one\n\nwith another thing"]
    assert list(run(parts(), cut(documents(texts))).texts.values()) == texts
    got = run(parts(min_words=2, min_chars=9), cut(documents(texts)))
    assert "short" not in got.texts["d00001"]
    got = run(parts(min_words=2, min_chars=10), cut(documents(texts)))
    assert list(got.texts.values()) == texts


@BOTH
def test_every_copy_in_a_later_document_goes(parts: type[Parts]) -> None:
    got = run(parts(), cut(documents([LONG, f"{LONG}\n\nx\n\n{LONG}"])))
    assert got.texts["d00001"].split() == ["x"]


@BOTH
def test_scope_source(parts: type[Parts]) -> None:
    table = documents([f"{LONG}\n\nx"] * 3)
    table = table.set_column(2, "source", [["a", "b", "a"]])
    got = run(parts(scope="source"), cut(table))
    assert [LONG in t for t in got.texts.values()] == [True, True, False]


@BOTH
def test_white_space_at_the_ends_does_not_count_but_inside_it_does(parts: type[Parts]) -> None:
    got = run(parts(), cut(documents([LONG, f"  {LONG}\t\r\n\nx", LONG.replace(" ", "  ") + "\n\ny"])))
    assert got.texts["d00001"].strip() == "x"
    assert got.texts["d00002"].startswith("this  line")


@BOTH
def test_unique_text_is_untouched(parts: type[Parts]) -> None:
    rng = random.Random(1)
    texts = ["\n\n".join(" ".join(str(rng.random()) for _ in range(9)) for _ in range(20)) for _ in range(50)]
    assert list(run(parts(), cut(documents(texts), 3), 2).texts.values()) == texts


@BOTH
def test_against_a_dictionary_in_20_orders(parts: type[Parts]) -> None:
    rng = random.Random(2)
    pool = [" ".join(rng.choice("abcdefgh") * 3 for _ in range(9)) for _ in range(15)]
    texts = ["\n\n".join(rng.choice(pool) for _ in range(rng.randrange(1, 6))) for _ in range(40)]
    seen: dict[str, int] = {}
    expected = []
    for i, text in enumerate(texts):
        pieces = text.split("\n\n")
        kept = [p for p in pieces if seen.setdefault(p, i) == i]
        if kept:
            expected.append(kept)
    for seed in range(20):
        got = run(parts(), cut(documents(texts), 1 + seed % 5, 7, seed), 1 + seed % 4, shuffle=seed)
        assert [[p for p in t.split("\n") if p] for t in got.texts.values()] == expected
