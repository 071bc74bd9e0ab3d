import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from corpusmill.transforms.clean.clean import Clean
from corpusmill.transforms.errors import RecipeError
from corpusmill.transforms.random import Keyed


def batch(texts):
    return pa.record_batch(
        {"id": [str(i) for i in range(len(texts))], "text": pa.array(texts, pa.string()), "n": [1] * len(texts)}
    )


def test_a_batch_that_needs_nothing_is_untouched():
    clean = batch(["fine\n", "也好。", "", "schön"])
    assert Clean().map(clean, Keyed()) is clean


def test_null_stays_null_whatever_stands_beside_it():
    for markup in ("none", "markdown", "html"):
        for texts in ([None], [None, "fine"], ["# a \r\n\x00", None, "e\u0301", None]):
            got = Clean(markup=markup)(batch(texts)).column("text")
            assert got.is_null().to_pylist() == [t is None for t in texts]


def test_everything_at_once():
    got = Clean(markup="markdown")(batch(["# Tï¿½itle \r\n**schÃ¶n** e\u0301\x00\ufeff", "plain"]))
    assert got.column("text").to_pylist()[0].endswith("schön é")
    assert got.column("text").to_pylist()[1] == "plain"
    assert got.schema.names == ["id", "text", "n"]


def test_every_part_can_be_switched_off():
    off = Clean(unicode="none", mojibake=False, control=False, whitespace=False)
    dirty = batch(["schÃ¶n e\u0301 \x00\r\n"])
    assert off.map(dirty, Keyed()) is dirty


@settings(max_examples=300, deadline=None)
@given(
    st.lists(st.text() | st.text(alphabet="e\x00\u0301 \xa0\n가\u1100\u1161"), max_size=4),
    st.sampled_from(["NFC", "NFKC"]),
)
def test_cleaning_twice_changes_nothing_and_neighbours_do_not_matter(texts, form):
    clean = Clean(mojibake=False, unicode=form)
    once = clean(batch(texts))
    assert clean(once).column("text").to_pylist() == once.column("text").to_pylist()
    assert once.column("text").to_pylist() == [clean(batch([t])).column("text").to_pylist()[0] for t in texts]


def test_empty_batch_and_blank_documents():
    assert Clean()(batch([])).num_rows == 0
    assert Clean()(batch(["", " \n", "\x07"])).column("text").to_pylist() == ["", "", ""]


def test_unknown_fields_and_values_are_refused():
    with pytest.raises(RecipeError):
        Clean(unicode="NFD")
    with pytest.raises(RecipeError):
        Clean(lower=True)
