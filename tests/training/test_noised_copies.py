"""Noised copies of rows: what stays, what changes, and a teacher and a student that read the same."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from corpusmill.pipelines.recipe.train_section import Teach
from corpusmill.training.build import _selected
from corpusmill.training.data import Arrays, Shards
from corpusmill.training.distill import TeacherRows
from corpusmill.training.noised_copies import NoisedCopies
from corpusmill.training.objectives import Causal
from corpusmill.training.serving.teach import teach
from tests.training.serving.test_local_model import decoder  # noqa: F401


def rows(n: int = 40, length: int = 64) -> Arrays:
    ids = np.random.default_rng(1).integers(5, 500, (n, length))
    segments = np.ones_like(ids)
    segments[:, length // 2 :] = 2
    segments[0, -10:] = 0
    return Arrays({"input_ids": np.where(segments > 0, ids, 0), "segment_ids": segments})


def test_each_copy_has_its_own_noise_and_the_labels_stay() -> None:
    data = rows()
    copies = NoisedCopies(data, 3, 0.25, 500, seed=7)
    assert (len(copies), len(copies.source_of)) == (120, 120)
    found, clean = copies.rows(np.arange(120)), data.columns["input_ids"]
    changed = (found["input_ids"].reshape(3, 40, 64) != clean) & (data.columns["segment_ids"] != 0)
    assert np.abs(changed.mean(axis=(1, 2)) - 0.25).max() < 0.03
    assert not (changed[0] == changed[1]).all()
    assert (found["labels"].reshape(3, 40, 64) == clean).all()
    assert (found["input_ids"][::40, -10:] == 0).all()
    wanted = Causal().prepare(data.rows(np.arange(40)), np.zeros(40, np.uint64))["labels"]
    assert (Causal().prepare(found, np.zeros(120, np.uint64))["labels"].reshape(3, 40, 64) == wanted).all()


def test_noise_depends_on_nothing_but_row_copy_and_seed() -> None:
    data = rows()
    copies = NoisedCopies(data, 2, 0.25, 500, seed=7)
    whole = copies.rows(np.arange(80))["input_ids"]
    index = np.random.default_rng(2).permutation(80)
    assert (copies.rows(index)["input_ids"] == whole[index]).all()
    turned = Arrays({name: column[::-1] for name, column in data.columns.items()})
    again = NoisedCopies(turned, 2, 0.25, 500, seed=7).rows(np.arange(80))["input_ids"]
    assert (again.reshape(2, 40, 64)[:, ::-1].reshape(80, 64) == whole).all()
    assert (NoisedCopies(data, 2, 0.25, 500, 8).rows(np.arange(80))["input_ids"] != whole).any()
    assert (
        len(
            {
                NoisedCopies(data, c, n, 500, s).digest
                for c, n, s in ((2, 0.2, 1), (3, 0.2, 1), (2, 0.3, 1), (2, 0.2, 2))
            }
        )
        == 4
    )


def test_a_student_reads_what_its_teacher_read(decoder: str, shards: Path, tmp_path: Path) -> None:  # noqa: F811
    data = Shards(shards)
    about = teach(data, decoder, tmp_path / "t", draws=4, copies=2, noise=0.3)
    assert (about["rows"], about["copies"], about["noise"]) == (2 * len(data), 2, 0.3)
    taught = TeacherRows(data, tmp_path / "t")
    batch = taught.rows(np.array([0, len(data)]))
    assert (len(taught), len(batch["teacher_draws"])) == (2 * len(data), 2)
    assert (batch["input_ids"][0] != batch["input_ids"][1]).any()
    assert (batch["labels"][0] == batch["labels"][1]).all()
    # of rows that are divided, all copies of the chosen ones are read
    data.splits = pa.chunked_array([["train", "validation"] * (len(data) // 2) + ["train"] * (len(data) % 2)])
    chosen = _selected(taught, data, ("train",), True)
    assert len(chosen) == 2 * -(-len(data) // 2)
    assert (chosen.index % len(data) % 2 == 0).all()


def test_copies_need_noise() -> None:
    with pytest.raises(ValueError, match="all the same"):
        Teach(by="teachers", copies=3)
