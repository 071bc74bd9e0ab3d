"""YAML with positions: values as safe_load, everything dangerous refused with its place."""

from __future__ import annotations

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from corpusmill.transforms.display import printable
from corpusmill.transforms.settings.yaml_positions import MAX_BYTES, Problem, Spot, parse


def only(data: bytes) -> Problem:
    problems = parse(data, "r.yaml").problems
    assert len(problems) == 1, [p.what for p in problems]
    return problems[0]


BAD = [
    (b"a: &x 1", "1:4", "anchor `&x`"),
    (b"a: 1\nb: *x", "2:4", "alias `*x`"),
    (b"a: !!python/object:os.system 1", "1:4", "tag"),
    (b"a: ! x", "1:4", "tag `!`"),
    (b"a: 1\na: 2", "2:1", "given twice"),
    (b"x: {a: 1, a: 2}", "1:11", "given twice"),
    (b"<<: {a: 1}", "1:1", "merge key"),
    (b"1: x", "1:1", "whole number"),
    (b"on: x", "1:1", "true or false"),
    (b"? [a]\n: x", "1:3", "must be a word"),
    (b"\xff\xfea", "1:1", "UTF-8"),
    (b"a: 1\nb: caf\xe9", "2:7", "UTF-8"),
    (b"a\x00: 1", "1:2", "U+0000"),
    (b"a: \x1b[31mred", "1:4", "U+001B"),
    (b"a:\n\t- b", "2:1", "tab"),
    (b"a: [1, 2", "1:9", "not valid YAML"),
    (b"a: 'x", "1:6", "not valid YAML"),
    (b"a: b: c", "1:5", "mapping values"),
    (b"a: 1\n- b", "2:1", "not valid YAML"),
    (b"a: 1\n---\nb: 2", "2:1", "single document"),
    (b"[" * 100, "1:51", "deeper than 50"),
    (b"a: " + b"9" * 5_000, "1:4", "5,000 characters"),
    (b"a: " + b":".join([b"1"] * 5_000), "1:4", "characters"),
    (b"a: 2024-13-45", "1:4", "cannot be read"),
    (b"a: 0b_", "1:4", "cannot be read"),
    (b"a: =", "1:4", "cannot be read"),
    (b"a: @x", "1:4", "not valid YAML"),
    (b"%YAML 3.0\n---\na: 1", "1:1", "not valid YAML"),
    (b"#" * (MAX_BYTES + 1), "1:1", "at most 1,000,000"),
]


@pytest.mark.parametrize(("data", "place", "what"), BAD, ids=[repr(b[0][:24]) for b in BAD])
def test_bad_input_is_one_problem_at_its_place(data: bytes, place: str, what: str) -> None:
    problem = only(data)
    assert str(problem.spot) == f"r.yaml:{place}"
    assert what in problem.what
    assert "\x1b" not in problem.render()


def test_a_bomb_of_aliases_is_refused_without_expanding() -> None:
    lines = ["a0: &a0 [x,x,x,x,x,x,x,x,x]"]
    lines += [f"a{i}: &a{i} [{','.join([f'*a{i - 1}'] * 9)}]" for i in range(1, 10)]
    marked = parse("\n".join(lines).encode(), "bomb")
    assert len(marked.problems) == 10 + 81
    assert marked.value["a9"] == [None] * 9


def test_every_problem_is_reported_not_only_the_first() -> None:
    assert len(parse(b"a: &x 1\na: *x\nb: !t 2\n", "r").problems) == 4


def test_golden_message() -> None:
    problem = only(b"steps:\n  - clean: {form: NFC, form: NFD}\n")
    assert problem.render() == (
        "r.yaml:2:24: the key `form` is given twice\n"
        "    2 |   - clean: {form: NFC, form: NFD}\n"
        "      |                        ^^^^ it is already on line 2"
    )


def test_the_caret_stands_below_wide_and_combining_characters() -> None:
    problem = only("名前: *x".encode())
    source, caret = problem.render().splitlines()[1:]
    assert source.endswith("| 名前: *x")
    assert caret == "      | " + " " * 6 + "^^ write the value out"  # two columns for each of the two ideographs
    assert "\te\u0301" in "\te\u0301: *x"
    spot = Spot("r", "\te\u0301: *x", 1, 6, 2)
    assert Problem(spot, "x").render().splitlines()[2] == "      | \t   ^^"


def test_a_long_line_is_cut_around_the_caret() -> None:
    problem = only(b"a: " + b"x" * 5_000 + b" : y")
    lines = problem.render().splitlines()
    assert max(map(len, lines)) < 200
    column = lines[2].index("^")
    assert lines[1][column] == ":"


def test_positions_of_keys_and_values() -> None:
    marked = parse(b"a: 1\nb:\n  - {c: d}\n  - e\n", "r")
    assert str(marked.keys[("b",)]) == "r:2:1"
    assert str(marked.values["b", 0, "c"]) == "r:3:9"
    assert str(marked.find(("b", 1, "nowhere"))) == "r:4:5"
    assert str(marked.find(("b", 0, "c"), key=True)) == "r:3:6"
    assert str(marked.find(("zzz",))) == "r:1:1"


def test_line_ends_of_every_system_and_a_byte_order_mark() -> None:
    for end in (b"\n", b"\r\n", b"\r"):
        assert str(only(b"\xef\xbb\xbfa: 1" + end + b"b: *x").spot) == "r.yaml:2:4"


def test_empty_files() -> None:
    for data in (b"", b"\n", b"# nothing\n", b"---\n"):
        marked = parse(data, "r")
        assert marked.value is None
        assert not marked.problems


def test_numbers_in_the_notation_of_yaml_1_2() -> None:
    assert parse(b"[1e-5, 1E6, -2.5e3, 1.0, x1e5]", "r").value == [1e-5, 1e6, -2500.0, 1.0, "x1e5"]


plain = (
    st.none()
    | st.booleans()
    | st.integers(-(10**9), 10**9)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text()
)
data = st.recursive(
    plain, lambda c: st.lists(c, max_size=4) | st.dictionaries(st.text(min_size=1), c, max_size=4), max_leaves=12
)


@given(data)
def test_values_are_those_of_safe_load(value: object) -> None:
    text = yaml.safe_dump(value, allow_unicode=True)
    if "&id" not in text:
        marked = parse(text.encode(), "r")
        assert not marked.problems
        assert marked.value == yaml.safe_load(text)


@given(st.binary(max_size=60))
def test_arbitrary_bytes_never_raise(data: bytes) -> None:
    marked = parse(data, "r")
    for problem in marked.problems:
        assert problem.render()


@given(st.text(alphabet="ab:-[]{}&*!?|>'\"%@`#,\n\t 0é漢", max_size=40))
def test_arbitrary_yaml_characters_never_raise(text: str) -> None:
    for problem in parse(text.encode(), "r").problems:
        assert problem.render()


def test_printable_hides_what_moves_the_cursor() -> None:
    assert printable("a\x1b[2J\u202eb\tc") == "a\ufffd[2J\ufffdb\tc"
