import math
from collections import Counter

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from corpusmill.transforms.errors import BadFileError
from corpusmill.transforms.noise.unigrams import Unigrams, build_unigrams, main, read_unigrams, write_unigrams

TEXTS = ["The the cat, the 2 cats", "机器学习机器", "", None, "the"]


def test_counts_do_not_depend_on_the_cut() -> None:
    whole = build_unigrams([pa.array(TEXTS)])
    assert whole.equals(build_unigrams(pa.array([t], pa.string()) for t in reversed(TEXTS)))
    assert dict(zip(*whole.to_pydict().values(), strict=True))["the"] == 3
    assert whole.column("word").to_pylist()[:4] == ["the", "器", "机", "2"]
    assert build_unigrams([pa.array(TEXTS)], max_words=2).num_rows == 2
    assert build_unigrams([]).num_rows == 0


@given(st.lists(st.integers(1, 1000), min_size=1, max_size=30))
def test_alias_tables_hold_the_distribution(counts: list[int]) -> None:
    table = Unigrams.of([f"w{i}" for i in range(len(counts))], counts)
    share = table.threshold / 2**32
    p = np.zeros(len(counts))
    np.add.at(p, np.arange(len(counts)), share)
    np.add.at(p, table.alias, 1 - share)
    assert np.allclose(p / len(counts), np.array(counts) / sum(counts), atol=1e-8)


def test_written_and_read(tmp_path) -> None:
    path = str(tmp_path / "words.tsv")
    write_unigrams(build_unigrams([pa.array(TEXTS)]), path)
    table = read_unigrams(path)
    words = pa.StringArray.from_buffers(
        len(table.alias), pa.py_buffer(table.offsets), pa.py_buffer(table.data)
    ).to_pylist()
    assert sorted(words) == ["2", "The", "cat", "cats", "the", "习", "器", "学", "机"]
    assert read_unigrams(path) is table


@pytest.mark.parametrize("content", ["", "word\tmany\n", "a\t1\n\n"])
def test_bad_tables_are_named(tmp_path, content: str) -> None:
    (tmp_path / "bad.tsv").write_text(content)
    with pytest.raises(BadFileError, match=r"bad\.tsv"):
        read_unigrams(str(tmp_path / "bad.tsv"))


def test_command(tmp_path, capsys) -> None:
    pq.write_table(pa.table({"text": TEXTS}), tmp_path / "a.parquet")
    assert main([str(tmp_path / "out.tsv"), str(tmp_path / "a.parquet")]) == 0
    assert (tmp_path / "out.tsv").read_text().startswith("the\t3\n")
    assert main([]) == 2


def test_real_words_follow_zipf(data) -> None:
    batch = next(pq.ParquetFile(data / "corpus/part-00000.parquet").iter_batches(500, columns=["text"]))
    table = build_unigrams([batch.column("text")])
    counts = Counter(dict(zip(*table.to_pydict().values(), strict=True)))
    assert counts["the"] > counts["driver"] > 0
    assert math.isclose(sum(counts.values()), sum(table.column("count").to_pylist()))
