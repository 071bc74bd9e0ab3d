"""Messages of Arrow streams and files are found without decoding them, and damage is an error."""

import io

import pyarrow as pa
import pytest

from corpusmill.transforms.sources.ipc import BATCH, DICTIONARY, SCHEMA, Spliced, messages


def _stream(kind=pa.ipc.new_stream, compression=None):
    table = pa.table(
        {"text": [f"text {i}" for i in range(300)], "d": pa.array(["a", "b", "c"] * 100).dictionary_encode()}
    )
    out = io.BytesIO()
    with kind(out, table.schema, options=pa.ipc.IpcWriteOptions(compression=compression)) as writer:
        writer.write_table(table, max_chunksize=100)
    return table, out.getvalue()


@pytest.mark.parametrize("compression", [None, "lz4", "zstd"])
@pytest.mark.parametrize("kind", [pa.ipc.new_stream, pa.ipc.new_file])
def test_every_message_is_found_with_its_rows(kind, compression):
    table, data = _stream(kind, compression)
    found = list(messages(io.BytesIO(data), len(data)))
    assert [m.kind for m in found if m.kind != DICTIONARY] == [SCHEMA, BATCH, BATCH, BATCH]
    assert [m.rows for m in found if m.kind == BATCH] == [100, 100, 100]
    assert all(m.decoded > 0 for m in found if m.kind == BATCH)
    some = [m for m in found if m.kind != BATCH] + [m for m in found if m.kind == BATCH][1:2]
    read = pa.ipc.open_stream(Spliced(io.BytesIO(data), some)).read_all()
    assert read.to_pylist() == table.slice(100, 100).to_pylist()


@pytest.mark.parametrize("kind", [pa.ipc.new_stream, pa.ipc.new_file])
def test_a_stream_cut_inside_a_message_is_an_error(kind):
    _, data = _stream(kind)
    ends = {m.end for m in messages(io.BytesIO(data), len(data))}
    for at in range(9, len(data) - 8, 37):
        if at not in ends or kind is pa.ipc.new_file:
            with pytest.raises(ValueError, match=r"cut off|truncated|no Arrow data|damaged"):
                list(messages(io.BytesIO(data[:at]), at))
