"""Forty hostile CSV files: read as Python's csv and DuckDB's sniffer read them where these agree; where not, by a stated rule.

A rule is a number of the list in the docstring of `corpusmill.transforms.sources.formats.csv`: quotes, lines, delimiter, encoding,
fields, truncation. `bad` means that rows are quarantined, `error` that the file is refused.
"""

import csv
import io

import pytest

from corpusmill.transforms.errors import BadFileError
from tests.transforms.sources.made import read_source

duckdb = pytest.importorskip("duckdb")

# name -> (bytes, delimiter, what is read where the two do not agree: rows, `bad` or `error`)
FILES = {
    "crlf and lf": (b"text,n\r\na,1\nb,2\r\n", ",", [["a", "1"], ["b", "2"]]),
    "cr alone": (b"text,n\ra,1\rb,2\r", ",", None),
    "no end of line": (b"text,n\na,1", ",", None),
    "blank lines": (b"text,n\n\na,1\n\nb,2\n\n", ",", None),
    "semicolons": (b"text;n\na,b;1\nc,d;2\n", ";", None),
    "tabs": (b"text\tn\na,b\t1\nc\t2\n", "\t", None),
    "pipes": (b"text|n\na,b|1\nc|2\n", "|", None),
    "doubled quotes": (b'text,n\n"say ""hi""",1\n"""",2\n', ",", None),
    "quoted delimiters": (b'text,n\n"a,b",1\n",,",2\n', ",", None),
    "quoted lines": (b'text,n\n"a\nb",1\n"c\r\nd",2\n', ",", None),
    "quoted blank lines": (b'text,n\n"a\n\n\nb",1\nc,2\n', ",", None),
    "quoted header": (b'"text","n"\n"a","1"\n"b","2"\n', ",", None),
    "header with a line in it": (b'"te\nxt",text\n1,a\n2,b\n', ",", None),
    "empty quoted": (b'text,n\na,""\nb,""\n', ",", None),
    "empty fields": (b"text,n,m\na,,\nb,1,\n", ",", None),
    "spaces": (b"text,n\n a , 1 \nb  ,2\n", ",", None),
    "space before a quote": (b'text,n\n "a",1\nb,2\n', ",", [[' "a"', "1"], ["b", "2"]]),
    "quote in the middle": (b'text,n\n5" disk,1\nb,2\n', ",", None),
    "text behind a quote": (b'text,n\n"a"b,1\nc,2\n', ",", [["ab", "1"], ["c", "2"]]),
    "backslash before a quote": (b'text,n\n"a\\",1\nb,2\n', ",", None),
    "backslashes": (b"text,n\na\\,1\nb\\n,2\n", ",", None),
    "single quotes": (b"text,n\n'a',1\n'b',2\n", ",", [["'a'", "1"], ["'b'", "2"]]),
    "mark": (b"\xef\xbb\xbftext,n\na,1\n", ",", None),
    "wide characters": ("text,n\n文書,1\n🎈,2\n".encode(), ",", None),
    "line separators of Unicode": ("text,n\na\u2028b,1\nc\u0085d,2\n".encode(), ",", None),
    "vertical tabs": (b"text,n\na\x0bb\x0cc,1\nd,2\n", ",", None),
    "leading zeros": (b"text,n\n007,0001\n010,1e5\n", ",", None),
    "words for null": (b"text,n\nNULL,NA\nnull,NaN\n", ",", None),
    "dates": (b"text,n\n2020-01-01,01/02/03\n12:30,x\n", ",", None),
    "too few fields": (b"text,n\na,1\nb\nc,3\n", ",", "bad"),
    "too many fields": (b"text,n\na,1\nb,2,3\nc,3\n", ",", "bad"),
    "trailing delimiters": (b"text,n,\na,1,\nb,2,\n", ",", None),
    "same names": (b"text,n,n\na,1,2\nb,3,4\n", ",", None),
    "names without text": (b"text,,\na,1,2\nb,3,4\n", ",", None),
    "latin-1": (b"text,n\ncaf\xe9,1\nb,2\n", ",", "bad"),
    "null bytes": (b"text,n\na\x00b,1\nc,2\n", ",", None),
    "ends inside quotes": (b'text,n\na,1\n"b,2\n', ",", "error"),
    "one column": (b"text\na\nb\nc\n", ",", None),
    "long field": (b"text,n\n" + b"x" * 300_000 + b",1\nb,2\n", ",", None),
    "comment": (b"text,n\n#a,1\nb,2\n", ",", None),
    "numbers as names": (b"text,2020,2021\na,1,2\nb,3,4\n", ",", None),
    "delimiters in quotes of the first line": (b'text;"a,b,c"\nx;1\ny;2\n', ";", None),
}


def by_python(data, delimiter):
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        return None
    rows = [r for r in csv.reader(io.StringIO(text, newline=""), delimiter=delimiter) if r]
    return rows[0], rows[1:]


def by_duckdb(path):
    try:
        read = duckdb.sql(f"from read_csv('{path}', all_varchar = true, header = true)")
        return read.columns, [["" if v is None else v for v in row] for row in read.fetchall()]
    except duckdb.Error:
        return None


def ours(folder, name):
    try:
        out, bad = read_source(folder, path=name, max_bad_fraction=1)
    except BadFileError:
        return "error"
    if bad.count:
        return "bad"
    names = [n for n in out.column_names if n not in ("id", "source")]
    return [[row[n] for n in names] for row in out.to_pylist()]


def test_there_are_forty():
    assert len(FILES) >= 40


@pytest.mark.parametrize("case", FILES)
def test_a_hostile_file_is_read_as_others_agree_or_by_the_rule(tmp_path, case):
    data, delimiter, rule = FILES[case]
    (tmp_path / "a.csv").write_bytes(data)
    python, duck = by_python(data, delimiter), by_duckdb(tmp_path / "a.csv")
    read = ours(tmp_path, "a.csv")
    agreed = python is not None and duck is not None and python[1] == duck[1]
    assert agreed == (rule is None), (python, duck)
    if rule is not None:
        assert read == rule
        return
    # the text comes first in documents
    place = python[0].index("text")
    assert read == [[row[place], *row[:place], *row[place + 1 :]] for row in python[1]]
