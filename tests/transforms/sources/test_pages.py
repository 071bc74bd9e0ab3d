"""What a Parquet footer and its pages say is read without Arrow, which ends the process at some damaged footers."""

import io
import random

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from corpusmill.transforms.sources.pages import groups_of, scan
from tests.transforms.sources.made import read_source


def _file(**options):
    out = io.BytesIO()
    table = pa.table(
        {"text": [f"text {i}" for i in range(3000)], "n": range(3000), "l": [[i, None] for i in range(3000)]}
    )
    pq.write_table(table, out, row_group_size=1000, **options)
    return out.getvalue()


@pytest.mark.parametrize("compression", ["none", "snappy", "gzip", "zstd", "lz4", "brotli"])
@pytest.mark.parametrize("dictionary", [True, False])
def test_row_groups_are_those_that_arrow_reads(compression, dictionary):
    data = io.BytesIO(_file(compression=compression, use_dictionary=dictionary))
    groups, meta = groups_of(data), pq.ParquetFile(io.BytesIO(data.getvalue())).metadata
    assert [g.rows for g in groups] == [1000, 1000, 1000]
    for i, group in enumerate(groups):
        for j, column in enumerate(group.columns):
            wanted = meta.row_group(i).column(j)
            for name in ("physical_type", "num_values", "total_compressed_size", "data_page_offset"):
                assert getattr(column, name) == getattr(wanted, name)
            assert column.compression == ("LZ4_RAW" if wanted.compression == "LZ4" else wanted.compression)
            assert column.dictionary_page_offset == (wanted.dictionary_page_offset or 0)
            assert scan(data, column).values == wanted.num_values


@pytest.mark.parametrize("data", [b"", b"PAR1", b"PAR1\xff\xff\xff\x7fPAR1", b"PAR1" + bytes(20) + b"\x10\0\0\0PAR1"])
def test_what_is_no_footer_is_a_clear_error(data):
    with pytest.raises(ValueError, match="footer"):
        groups_of(io.BytesIO(data))


def test_a_footer_damaged_anywhere_ends_no_process(tmp_path):
    data = _file(write_page_index=False)
    rng = random.Random(3)
    length = int.from_bytes(data[-8:-4], "little")
    for at in rng.sample(range(len(data) - 8 - length, len(data)), 250):
        (tmp_path / "a.parquet").write_bytes(data[:at] + bytes([data[at] ^ (1 << rng.randrange(8))]) + data[at + 1 :])
        out, bad = read_source(tmp_path, path="a.parquet", on_bad_file="skip", max_bad_fraction=1)
        assert out.num_rows + bad.count == bad.rows_seen
        assert out.num_rows in (0, 1000, 2000, 3000)
