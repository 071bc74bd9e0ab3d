"""What people type becomes parameters of a statement, and never its text."""

import duckdb
import pytest

from corpusmill.pipelines.browse import export, queries
from corpusmill.pipelines.browse.queries import View
from corpusmill.pipelines.browse.tables import Table, identifier, literal
from corpusmill.transforms.errors import DatasetError

ROWS = "(SELECT * FROM (VALUES ('a', 'One text', 1), ('b', 'two''s text', 5), ('c', NULL, NULL)) t(id, text, words))"
TABLE = Table("documents", ROWS, {"id": "VARCHAR", "text": "VARCHAR", "words": "INTEGER"}, 3, placed=False)


def ids(**asked):
    return [row["id"] for row in queries.page(duckdb.connect(), View(TABLE, **asked), 0, 10)]


@pytest.mark.parametrize(
    ("asked", "found"),
    [
        ({}, ["a", "b", "c"]),
        ({"search": "text"}, ["a", "b"]),
        ({"search": "ONE", "mode": "any case"}, ["a"]),
        ({"search": "^t.o's", "mode": "regex"}, ["b"]),
        ({"search": "' OR true --"}, []),
        ({"filters": (("words", "≥", "5"),)}, ["b"]),
        ({"filters": (("words", "<", "many"),)}, []),
        ({"filters": (("words", "null", ""),)}, ["c"]),
        ({"filters": (("words", "not null", ""), ("id", "matches", "[a-z]"))}, ["a", "b"]),
        ({"sort": "words", "descending": True}, ["b", "a", "c"]),
    ],
)
def test_views(asked, found):
    assert ids(**asked) == found


def test_counts_and_unknown_names():
    assert queries.count(duckdb.connect(), View(TABLE, search="text")) == {"rows": 2, "bytes": 18}
    for asked in ({"sort": 'words" DESC --'}, {"filters": (("words", "LIKE", "x"),)}, {"search": "x", "mode": "sql"}):
        with pytest.raises(DatasetError, match=r"no (column|operator|way to search)"):
            View(TABLE, **asked)


def test_names_and_texts_are_quoted():
    row = duckdb.sql(f"SELECT {literal(chr(39) + ' OR 1')} AS {identifier('a' + chr(34) + 'b')}")
    assert (row.columns, row.fetchall()) == (['a"b'], [("' OR 1",)])


def test_what_is_seen_as_a_change_of_the_recipe():
    view = View(TABLE, search="x", filters=(("words", "≥", "5"), ("id", "≠", "b"), ("id", "<", "c")))
    change = export.recipe_change(view)
    assert "min_value: 5" in change
    assert "drop:" in change
    assert "your own: id < c" in change
    assert "your own: text: text 'x'" in change
    assert export.limit_change("g#2", "min_words", 3.0, whole=True).endswith("- g:\n    min_words: 3\n")
