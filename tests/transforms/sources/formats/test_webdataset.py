"""WebDataset: files with one key are one row, however the file is cut."""

import json

import pytest

from corpusmill.transforms.errors import BadFileError
from tests.transforms.sources.made import COMPRESS, read_source
from tests.transforms.sources.test_archives import tarred


def read(folder, name, **fields):
    out, bad = read_source(folder, path=name, format="webdataset", max_bad_fraction=1, **fields)
    return out.to_pylist(), bad


def samples(n):
    files = {}
    for i in range(n):
        files[f"a/{i:04}.jpg"] = b"\xff\xd8" + bytes(i)
        files[f"a/{i:04}.txt"] = f"caption {i} 文書".encode()
        files[f"a/{i:04}.json"] = json.dumps({"url": f"https://e.org/{i}", "size": [i, 2]}).encode()
        files[f"a/{i:04}.cls"] = str(i % 3).encode()
    return files


@pytest.mark.parametrize("suffix", COMPRESS)
def test_files_with_one_key_are_one_row(tmp_path, suffix):
    (tmp_path / f"a.tar{suffix}").write_bytes(COMPRESS[suffix](tarred(samples(50))))
    rows, bad = read(tmp_path, f"a.tar{suffix}")
    assert len(rows) == 50
    assert rows[7] == rows[7] | {
        "text": "caption 7 文書",
        "__key__": "a/0007",
        "cls": "1",
        "json.url": "https://e.org/7",
        "json.size": "[7, 2]",
    }
    assert bad.left == {"binary file": (50, f"a.tar{suffix}/a/0000.jpg")}
    for target in (5_000, 20_000):
        again, _ = read(tmp_path, f"a.tar{suffix}", target=target)
        assert sorted(again, key=lambda r: r["__key__"]) == rows


def test_the_text_may_be_a_field_of_json_or_a_column(tmp_path):
    (tmp_path / "a.tar").write_bytes(
        tarred({"1.json": b'{"text": "one", "caption": "x"}', "2.json": b'{"text": null}'})
    )
    rows, bad = read(tmp_path, "a.tar")
    assert ([r["text"] for r in rows], bad.by_reason()) == (["one"], {"null-text": 1})
    rows, _ = read(tmp_path, "a.tar", columns={"text": "json.caption", "id": "__key__"})
    assert [(r["id"], r["text"]) for r in rows] == [("1", "x")]


def test_bad_samples_are_quarantined_alone(tmp_path):
    files = {
        "1.txt": b"good",
        "2.json": b"{",
        "2.txt": b"x",
        "3.txt": b"y" * 2000,
        "4.txt": b"\xff",
        "no-dot": b"",
        "5.txt": b"good",
    }
    (tmp_path / "a.tar").write_bytes(tarred(files))
    rows, bad = read(tmp_path, "a.tar", max_document_bytes=1000)
    assert [r["__key__"] for r in rows] == ["1", "5"]
    assert bad.by_reason() == {"not-json": 1, "not-utf8": 1, "too-long": 1}
    assert bad.to_table()["position"].to_pylist() == [1024, 3072, 5632]
    data = (tmp_path / "a.tar").read_bytes()
    (tmp_path / "a.tar").write_bytes(data[:2000])
    with pytest.raises(BadFileError, match="within a member"):
        read(tmp_path, "a.tar")
