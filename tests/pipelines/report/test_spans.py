"""What broke a rule is marked in the text."""

import pytest

from corpusmill.pipelines.report.spans import MOST, pieces, spans


def marked(reason, text):
    return [part for part, is_marked in pieces(reason, text) if is_marked]


@pytest.mark.parametrize(
    ("reason", "text", "expected"),
    [
        ("max_hash_ratio", "# a # b", ["#", "#"]),
        ("max_ellipsis_ratio", "so ... on …", ["...", "…"]),
        ("max_ellipsis_lines", "one...\ntwo ... three\nfour…", ["...", "…"]),
        ("max_bullet_lines", "- a\n * b\nc - d", ["-", " *"]),
        ("curly_bracket", "a {b}", ["{", "}"]),
        ("lorem_ipsum", "So Lorem Ipsum it is", ["Lorem Ipsum"]),
        ("max_dup_lines", "one\ntwo\none\n  two", ["one", "two"]),
        ("max_dup_paragraphs", "one\ntwo\n\none\ntwo", ["one\ntwo"]),
        ("max_top_2gram", "a b c a b d", ["a b", "a b"]),
        ("max_dup_5gram", "no five words are here twice", []),
        ("min_words", "# short", []),
        ("near-duplicate", "a", []),
    ],
)
def test_the_marks_of_a_rule(reason, text, expected):
    assert marked(reason, text) == expected


def test_pieces_are_the_text_again_and_marks_do_not_overlap():
    text = "a b c d e a b c d e # #" * 3
    for reason in ("max_dup_5gram", "max_hash_ratio", "none"):
        assert "".join(part for part, _ in pieces(reason, text)) == text
        found = spans(reason, text)
        assert all(a[1] < b[0] for a, b in zip(found, found[1:], strict=False))


def test_marks_are_bounded():
    assert len(spans("max_hash_ratio", "# " * 10_000)) == MOST
