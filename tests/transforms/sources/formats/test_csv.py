"""CSV: the same values as Python's csv module wherever a file is sound, and a stated rule or an error elsewhere."""

import csv
import io
import random

import pytest
from pydantic import ValidationError

from corpusmill.transforms.errors import BadFileError
from corpusmill.transforms.sources.items import read_items
from corpusmill.transforms.sources.spec import SourceSpec
from tests.transforms.sources.made import COMPRESS, read_source

SOUND = {
    "plain": b"text,n\na,1\nb,2\n",
    "no line end at the end": b"text,n\na,1\nb,2",
    "crlf": b"text,n\r\na,1\r\nb,2\r\n",
    "cr": b"text,n\ra,1\rb,2\r",
    "mixed line ends": b"text,n\r\na,1\nb,2\rc,3\n",
    "quoted": b'"text","n"\n"a","1"\n',
    "doubled quotes": b'text,n\n"say ""hi""",1\n',
    "delimiter in quotes": b'text,n\n"a,b",1\n',
    "lines in quotes": b'text,n\n"a\nb\r\nc\rd\n\n",1\nz,2\n',
    "only quotes": b'text,n\n"""",1\n"",2\n',
    "quote inside a field": b'text,n\n5" disk,1\na"b"c,2\n',
    "text behind a closing quote": b'text,n\n"a"b,1\n',
    "spaces": b"text,n\n  a  , 1\n",
    "blank lines": b"text,n\n\na,1\n\n\nb,2\n\n",
    "one column": b"text\na\nb\n",
    "empty fields": b"text,n\n,\na,\n",
    "numbers as text": b"text,n\n007,1e5\n1.0,NaN\ntrue,null\n2020-01-01,NA\n",
    "separators of Unicode": "text,n\na\u2028b\u0085c\x0bd\x0c,1\n".encode(),
    "null bytes": b"text,n\na\x00b,1\n",
    "utf-8 mark": b"\xef\xbb\xbftext,n\na,1\n",
    "wide": "text,n\n三é🎈,1\n".encode(),
    "backslashes": b'text,n\n"a\\",1\na\\,2\n',
    "header only": b"text,n\n",
}


@pytest.mark.parametrize("suffix", COMPRESS)
@pytest.mark.parametrize("case", SOUND)
def test_sound_files_are_read_as_python_reads_them(tmp_path, case, suffix):
    data = SOUND[case]
    (tmp_path / f"a.csv{suffix}").write_bytes(COMPRESS[suffix](data))
    rows = [r for r in csv.reader(io.StringIO(data.decode("utf-8-sig"), newline="")) if r]
    out, bad = read_source(tmp_path, path=f"a.csv{suffix}")
    assert bad.count == 0
    assert [[r[c] for c in rows[0]] for r in out.to_pylist()] == rows[1:]


@pytest.mark.parametrize(
    ("data", "delimiter"), [(b"text;n\na,b;1\n", ";"), (b"text\tn\na,b\t1\n", "\t"), (b"text|n\na,b|1\n", "|")]
)
def test_the_delimiter_is_that_of_the_first_line_or_of_the_options(tmp_path, data, delimiter):
    (tmp_path / "a.csv").write_bytes(data)
    assert read_source(tmp_path, path="a.csv")[0]["text"].to_pylist() == ["a,b"]
    (tmp_path / "b.csv").write_bytes(data.replace(delimiter.encode(), b"~"))
    out, _ = read_source(tmp_path, path="b.csv", format="csv", options={"delimiter": "~"})
    assert out.select(["text", "n"]).to_pylist() == [{"text": "a,b", "n": "1"}]


def test_tabs_separate_tsv(tmp_path):
    (tmp_path / "a.tsv").write_bytes(b"text\tn,m,k,l\na,b\t1\n")
    assert read_source(tmp_path, path="a.tsv")[0]["text"].to_pylist() == ["a,b"]


@pytest.mark.parametrize("encoding", ["utf-16", "utf-32", "utf-8-sig"])
def test_a_byte_order_mark_says_the_encoding(tmp_path, encoding):
    (tmp_path / "a.csv").write_bytes("text,n\n三é,1\n".encode(encoding))
    assert read_source(tmp_path, path="a.csv")[0]["text"].to_pylist() == ["三é"]


def test_other_encodings_quotes_and_escapes_are_options(tmp_path):
    (tmp_path / "a.csv").write_bytes("text,n\né,1\n".encode("cp1252"))
    out, _ = read_source(tmp_path, path="a.csv", format="csv", options={"encoding": "cp1252"})
    assert out["text"].to_pylist() == ["é"]
    (tmp_path / "b.csv").write_bytes(b"text,n\n'a,b',1\n\"c\",2\n")
    out, _ = read_source(tmp_path, path="b.csv", format="csv", options={"quote": "'"})
    assert out["text"].to_pylist() == ["a,b", '"c"']
    out, bad = read_source(tmp_path, path="b.csv", format="csv", options={"quote": ""})
    assert (out["text"].to_pylist(), bad.count) == (['"c"'], 1)
    (tmp_path / "c.csv").write_bytes(b'text,n\n"a\\"b",1\n')
    out, _ = read_source(tmp_path, path="c.csv", format="csv", options={"escape": "\\"})
    assert out["text"].to_pylist() == ['a"b']
    (tmp_path / "d.csv").write_bytes(b"a,1\nb,2\n")
    out, _ = read_source(tmp_path, path="d.csv", format="csv", options={"header": False}, columns={"text": "column_1"})
    assert out["text"].to_pylist() == ["a", "b"]


@pytest.mark.parametrize(
    ("format", "options", "message"),
    [
        ("auto", {"delimiter": ";"}, "need the `format`"),
        ("parquet", {"delimiter": ";"}, "parquet has no `options`"),
        ("csv", {"delimter": ";"}, "no field `delimter`; there are delimiter, quote"),
        ("csv", {"delimiter": ";;"}, "`options.delimiter`"),
        ("csv", {"encoding": "latin-99"}, "there is no encoding 'latin-99'"),
    ],
)
def test_options_are_checked_with_the_recipe(format, options, message):
    with pytest.raises(ValidationError, match=message):
        SourceSpec(name="s", path="a", format=format, options=options)


def test_bad_rows_are_quarantined_alone_with_their_lines(tmp_path):
    data = b'text,n\na,1\n"b\nb",2\nfew\ntoo,many,fields\n\xff,3\nz,4\n'
    (tmp_path / "a.csv").write_bytes(data)
    out, bad = read_source(tmp_path, path="a.csv", max_document_bytes=1000)
    assert out["text"].to_pylist() == ["a", "b\nb", "z"]
    rows = [(r["position"], r["reason"]) for r in bad.to_table().to_pylist()]
    assert rows == [(5, "not-csv"), (6, "not-csv"), (7, "not-utf8")]


def test_a_text_that_is_too_long_is_one_bad_row(tmp_path):
    (tmp_path / "a.csv").write_bytes(b"text,n\na,1\n" + b"b" * 5000 + b",2\nc,3\n")
    out, bad = read_source(tmp_path, path="a.csv", max_document_bytes=1000)
    assert (out["text"].to_pylist(), bad.by_reason()) == (["a", "c"], {"too-long": 1})


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b'text,n\na,1\n"b,2\nc,3\n', "ends inside a quoted field of the row that begins on line 3"),
        (b'text,n\n"' + b"a\n" * 2_000_000, "has a line, or a quoted field, of more than .* from line 2 on"),
        (b"text,n\n" + b"a" * 4_000_000, "of more than .* characters from line 2 on"),
        (b"text,text\na,b\n", "has 2 columns named 'text'"),
        (b"", "is empty, and so names no columns"),
        (b"\xff\xfeab\x00", "cannot be decoded"),
    ],
)
def test_files_that_are_bad_as_a_whole(tmp_path, data, message):
    (tmp_path / "a.csv").write_bytes(data)
    with pytest.raises(BadFileError, match=message):
        read_source(tmp_path, path="a.csv", max_document_bytes=1000)
    out, bad = read_source(tmp_path, path="a.csv", on_bad_file="skip", max_document_bytes=1000)
    assert (out.num_rows, bad.by_reason()) == (0, {"bad-file": 1})


def test_a_file_cut_anywhere_gives_its_whole_rows_or_an_error(tmp_path):
    rng = random.Random(1)
    rows = [[f"{i}", rng.choice(['a "b", c', "x\ny", "三", ""])] for i in range(50)]
    out = io.StringIO(newline="")
    csv.writer(out).writerows([["text", "n"], *rows])
    data = out.getvalue().encode()
    for at in range(len("text,n\r\n"), len(data)):
        (tmp_path / "a.csv").write_bytes(data[:at])
        try:
            read, bad = read_source(tmp_path, path="a.csv", max_bad_fraction=1)
        except BadFileError:
            assert data[:at].count(b'"') % 2, at  # it ends inside quotes
            continue
        if not read.num_rows:
            continue
        got = [list(r) for r in zip(read["text"].to_pylist(), read["n"].to_pylist(), strict=True)]
        assert got[:-1] == rows[: len(got)][:-1]
        assert bad.count <= 1


def test_values_drawn_at_random_come_back(tmp_path):
    rng = random.Random(7)
    pieces = ['"', '""', ",", "\n", "\r\n", "\r", " ", "a", "é", "三", "\t", ";", "'", "\\", "\u2028"]
    for number in range(50):
        columns = [f"c{i}" for i in range(rng.randrange(1, 5))] + ["text"]
        rows = [["".join(rng.choices(pieces, k=rng.randrange(6))) for _ in columns] for _ in range(20)]
        rows = [r for r in rows if any(r)]
        out = io.StringIO(newline="")
        csv.writer(out, lineterminator=rng.choice(["\n", "\r\n", "\r"]), quoting=csv.QUOTE_ALL).writerows(
            [columns, *rows]
        )
        (tmp_path / f"{number}.csv").write_bytes(out.getvalue().encode())
        read, bad = read_source(tmp_path, path=f"{number}.csv", batch_rows=7)
        assert bad.count == 0
        assert [[r[c] for c in columns] for r in read.to_pylist()] == rows


def test_many_rows_come_in_several_batches_and_items_read_them_too(tmp_path):
    (tmp_path / "a.csv").write_text("text,n\n" + "".join(f"row {i},{i}\n" for i in range(10_000)))
    out, _ = read_source(tmp_path, path="a.csv")
    assert out["n"].to_pylist() == [str(i) for i in range(10_000)]
    assert read_items(str(tmp_path / "a.csv"), ["n"]).positions[-1] == 10_001
