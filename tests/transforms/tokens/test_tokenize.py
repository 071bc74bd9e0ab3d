"""`tokenize` adds the ids and changes nothing else."""

import pyarrow as pa
import pytest

from corpusmill.transforms.errors import RecipeError
from corpusmill.transforms.tokens.tokenize import Tokenize
from tests.transforms.tokens.test_tokenizer import reference


def test_adds_the_ids_of_hf(tokenizer_path: str, documents: pa.RecordBatch) -> None:
    out = Tokenize(tokenizer=tokenizer_path)(documents)
    assert out.select(documents.schema.names).equals(documents)
    assert out.schema.field("input_ids").type == pa.list_(pa.uint16())
    assert out.column("input_ids").to_pylist() == reference(tokenizer_path, documents.column("text").to_pylist())


def test_bos_and_eos_go_around_documents_that_have_text(tokenizer_path: str) -> None:
    batch = pa.record_batch({"id": ["a", "b", "c"], "text": ["shard", "", None]})
    plain = reference(tokenizer_path, ["shard"])[0]
    out = Tokenize(tokenizer=tokenizer_path, bos="<|pad|>", eos="<|endoftext|>")(batch)
    assert out.column("input_ids").to_pylist() == [[1, *plain, 0], [], []]
    with pytest.raises(RecipeError, match=r"tokenize\.bos"):
        Tokenize(tokenizer=tokenizer_path, bos="<s>")(batch)


def test_an_empty_batch_has_the_schema(tokenizer_path: str, documents: pa.RecordBatch) -> None:
    step = Tokenize(tokenizer=tokenizer_path)
    assert step(documents.slice(0, 0)).schema == step(documents).schema
    assert (
        step(documents.slice(5, 1)).column("input_ids").to_pylist()
        == step(documents).column("input_ids").to_pylist()[5:6]
    )
    assert step.files() == [tokenizer_path]
