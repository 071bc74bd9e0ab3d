"""What all noise on text shares, over every text transform."""

import json

import numpy as np
import pyarrow as pa
import pytest

from corpusmill.transforms.noise.aeda import Aeda
from corpusmill.transforms.noise.characters import Characters
from corpusmill.transforms.noise.copies import Copies
from corpusmill.transforms.noise.noise import Noise
from corpusmill.transforms.noise.sentences import Sentences
from corpusmill.transforms.random import Keyed
from tests.transforms.noise.corpora import AWKWARD, CHINESE, ENGLISH, JAPANESE, batch_of

TRANSFORMS: list[Copies] = [
    Noise(mask=0.1, delete=0.2, replace=0.2, insert=0.2, swap=0.2, copies=2),
    Noise(delete=1.0),
    Characters(keyboard=0.2, ocr=0.2, swap=0.2, delete=0.2, copies=2),
    Characters(delete=1.0),
    Sentences(shuffle=0.5, rotate=0.5, delete=0.3, copies=2),
    Sentences(delete=1.0),
    Aeda(copies=2),
]
TEXTS = [*AWKWARD, CHINESE, JAPANESE, ENGLISH]


@pytest.fixture(params=TRANSFORMS, ids=lambda t: f"{t.name}-{t.model_dump(exclude_defaults=True)}")
def transform(request: pytest.FixtureRequest) -> Copies:
    return request.param


def test_nothing_is_emptied_and_code_points_stay_whole(transform: Copies) -> None:
    out = transform(batch_of(TEXTS))
    out.validate(full=True)  # valid UTF-8 among others
    for row in out.to_pylist():
        source = TEXTS[int((row["parent"] or row["id"])[1:])]
        if any(c.isalnum() for c in source):
            assert any(c.isalnum() or c == "_" for c in row["text"])
        else:
            assert len(row["text"]) == len(source)  # at most a look-alike of a mark


def test_originals_are_verbatim_and_copies_name_their_parent(transform: Copies) -> None:
    batch = batch_of(TEXTS)
    out = transform(batch)
    originals = out.filter(pa.array([p is None for p in out.column("parent").to_pylist()]))
    assert originals.select(["id", "text", "source"]).equals(batch)
    assert originals.column("derived_by").null_count == len(TEXTS)
    assert len(set(out.column("id").to_pylist())) == out.num_rows
    for row in out.to_pylist():
        if row["parent"]:
            told = json.loads(row["derived_by"])
            assert told["transform"] == transform.name
            assert told["edits"] > 0
            assert 1 <= told["copy"] <= transform.copies


def test_in_place(transform: Copies) -> None:
    out = transform.model_copy(update={"keep_originals": False, "copies": 1})(batch_of(TEXTS))
    assert out.num_rows == len(TEXTS)
    assert out.column("parent").to_pylist() == [f"d{i}" for i in range(len(TEXTS))]


def test_all_copies_are_kept_on_request(transform: Copies) -> None:
    out = transform.model_copy(update={"keep_unchanged": True, "copies": 3})(batch_of(TEXTS))
    assert out.num_rows == 4 * len(TEXTS)


@pytest.mark.parametrize("keep", [True, False])
def test_evaluation_splits_pass_untouched(transform: Copies, keep: bool) -> None:
    batch = batch_of([ENGLISH] * 4, split=["train", "TEST", "validation", None])
    out = transform.model_copy(update={"keep_originals": keep, "keep_unchanged": True})(batch)
    rows = out.to_pylist()
    assert [r["text"] for r in rows if r["split"] in ("TEST", "validation")] == [ENGLISH] * 2
    assert {r["parent"] for r in rows if r["parent"]} == {"d0", "d3"}


def test_same_noise_in_any_batch(transform: Copies) -> None:
    batch = batch_of(TEXTS)
    rng = Keyed(7, "step")
    whole = transform.expand(batch, rng)
    parts = [transform.expand(batch.slice(i, 1), rng) for i in range(len(TEXTS))]
    assert pa.Table.from_batches(parts).combine_chunks().equals(pa.Table.from_batches([whole]))
    order = np.random.default_rng(1).permutation(len(TEXTS))
    shuffled = transform.expand(batch.take(pa.array(order)), rng)
    assert sorted(map(str, shuffled.to_pylist())) == sorted(map(str, whole.to_pylist()))


def test_seed_step_and_epoch_change_the_noise(transform: Copies) -> None:
    batch = batch_of([ENGLISH * 5, CHINESE * 5])
    results = {
        str(transform.expand(batch, rng).to_pylist())
        for rng in (Keyed(1, "a"), Keyed(2, "a"), Keyed(1, "b"), Keyed(1, "a").at(1))
    }
    assert len(results) == 4


def test_no_rows_and_null_texts(transform: Copies) -> None:
    batch = batch_of(TEXTS)
    empty = transform(batch.slice(0, 0))
    assert empty.num_rows == 0
    assert empty.schema == transform(batch).schema
    out = transform(batch_of([None, "some words here"]))
    assert out.column("text")[0].as_py() is None


def test_other_columns_go_along_and_lineage_is_replaced() -> None:
    batch = batch_of(["one two three"], label=[3], parent=["p"], derived_by=["older"])
    out = Noise(swap=1.0)(batch).to_pylist()
    assert [r["label"] for r in out] == [3, 3]
    assert [r["parent"] for r in out] == ["p", "d0"]
    assert out[0]["derived_by"] == "older"


def test_absolute_paths_stay_out_of_the_lineage(tmp_path) -> None:
    (tmp_path / "words.tsv").write_text("foo\t1\n")
    out = Noise(insert=1.0, words=str(tmp_path / "words.tsv"))(batch_of(["one two"]))
    assert str(tmp_path) not in out.column("derived_by")[1].as_py()


def test_noisy_text_survives_a_tokenizer(transform: Copies) -> None:
    tokenizers = pytest.importorskip("tokenizers")
    tokenizer = tokenizers.ByteLevelBPETokenizer()
    tokenizer.train_from_iterator(TEXTS, vocab_size=400, min_frequency=1, show_progress=False)
    for text in transform(batch_of([CHINESE, JAPANESE, ENGLISH] * 3)).column("text").to_pylist():
        assert tokenizer.decode(tokenizer.encode(text).ids) == text
