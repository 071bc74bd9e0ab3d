"""The column `unit`."""

import pyarrow as pa
import pytest

from corpusmill.transforms.errors import RecipeError
from corpusmill.transforms.units.unit import Unit


def test_the_unit_is_the_document_or_a_column():
    batch = pa.record_batch({"id": ["a", "b"], "text": ["x", "y"], "user": [7, 8]})
    assert Unit()(batch).column("unit").to_pylist() == ["a", "b"]
    assert Unit(by="user")(batch).column("unit").to_pylist() == ["7", "8"]
    assert Unit(by="user")(batch.slice(0, 0)).schema.names == ["id", "text", "user", "unit"]


def test_documents_without_a_unit_are_refused():
    batch = pa.record_batch({"id": ["a", "b"], "text": ["x", "y"], "user": ["ann", None]})
    with pytest.raises(RecipeError, match="document b has no `user`"):
        Unit(by="user")(batch)
    with pytest.raises(RecipeError, match="no column `author`"):
        Unit(by="author")(batch)
    with pytest.raises(RecipeError, match="several owners"):
        Unit(by="user")(pa.record_batch({"id": ["a"], "text": ["x"], "user": [["ann", "bob"]]}))
    with pytest.raises(RecipeError, match="already"):
        Unit()(Unit()(batch))


def test_what_is_derived_inherits_the_unit():
    from corpusmill.transforms.noise.noise import Noise

    batch = Unit(by="user")(
        pa.record_batch({"id": ["a"], "text": ["one two three four"], "source": ["s"], "user": ["ann"]})
    )
    twice = Noise(delete=0.3, copies=2, keep_unchanged=True)(Noise(delete=0.3, copies=2, keep_unchanged=True)(batch))
    assert twice.num_rows > 3
    assert set(twice.column("unit").to_pylist()) == {"ann"}
