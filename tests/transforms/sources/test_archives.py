"""Archives: members come as their own formats read them, and nothing hostile is decoded, followed or written."""

import io
import random
import stat
import tarfile
import zipfile

import pytest
from pydantic import ValidationError

import corpusmill
from corpusmill.transforms.errors import BadFileError
from corpusmill.transforms.sources.spec import SourceSpec
from tests.transforms.sources.made import COMPRESS, read_source

FILES = {
    "a.jsonl": b'{"text": "one"}\n{"text": 2}\n{"text": "three"}\n',
    "deep/b.txt": "文書\n".encode(),
    "deep/c.csv": b"text,n\nfour,4\n",
    "d.jsonl.gz": COMPRESS[".gz"](b'{"text": "five"}\n'),
    "e.png": b"\x89PNG",
    ".hidden/f.txt": b"hidden",
    "__MACOSX/g.txt": b"hidden",
    "no-extension": b'{"text": "six", "long": "' + b"x" * 100 + b'"}\n',
}
TEXTS = ["five", "four", "one", "six", "three", "文書\n"]


def tarred(files=FILES, mode="w", **kinds):
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode=mode) as archive:
        for name, data in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
        for name, kind in kinds.items():
            info = tarfile.TarInfo(name)
            info.type, info.linkname = kind, "/etc/passwd"
            archive.addfile(info)
    return out.getvalue()


def zipped(files=FILES, compression=zipfile.ZIP_DEFLATED):
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", compression) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return out.getvalue()


ARCHIVES = {
    "a.zip": zipped,
    "b.zip": lambda files=FILES: zipped(files, zipfile.ZIP_LZMA),
    "a.tar": tarred,
    "a.tgz": lambda files=FILES: tarred(files, "w:gz"),
    "a.tar.zst": lambda files=FILES: COMPRESS[".zst"](tarred(files)),
    "a.tar.xz": lambda files=FILES: tarred(files, "w:xz"),
    "a.tar.bz2": lambda files=FILES: tarred(files, "w:bz2"),
}


@pytest.mark.parametrize("name", ARCHIVES)
def test_each_member_is_read_by_its_own_format(tmp_path, name):
    (tmp_path / name).write_bytes(ARCHIVES[name]())
    out, bad = read_source(tmp_path, path=name, max_bad_fraction=1)
    assert sorted(out["text"].to_pylist()) == TEXTS
    by_text = {r["text"]: r for r in out.to_pylist()}
    assert by_text["文書\n"]["path"] == f"{name}/deep/b.txt"
    assert by_text["four"]["n"] == "4"
    row = bad.to_table().to_pylist()[0]
    assert (row["file"], row["position"], row["reason"]) == (f"{name}/a.jsonl", 2, "wrong-type")
    assert bad.left == {
        "unknown member": (1, f"{name}/e.png"),
        "hidden member": (2, f"{name}/.hidden/f.txt"),
    }


@pytest.mark.parametrize("name", ["a.zip", "a.tar"])
def test_large_archives_are_cut_at_members_and_give_the_same(tmp_path, name):
    files = {f"{i}.txt": random.Random(i).randbytes(300).hex().encode() for i in range(200)}
    (tmp_path / name).write_bytes(ARCHIVES[name](files))
    whole, _ = read_source(tmp_path, path=name)
    assert whole.num_rows == 200
    for target in (1000, 10_000, 30_000):
        out, _ = read_source(tmp_path, path=name, target=target)
        assert sorted(out["path"].to_pylist()) == sorted(whole["path"].to_pylist())
        assert sorted(out["text"].to_pylist()) == sorted(whole["text"].to_pylist())


def test_options_name_the_format_of_members(tmp_path):
    (tmp_path / "a.zip").write_bytes(zipped({"data": b"text;n\na,b;1\n"}))
    with pytest.raises(BadFileError, match=r"holds no file of a known format; one of its members is data"):
        read_source(tmp_path, path="a.zip")
    options = {"format": "csv", "options": {"delimiter": ";"}}
    out, _ = read_source(tmp_path, path="a.zip", format="zip", options=options)
    assert out["text"].to_pylist() == ["a,b"]
    for wrong in ({"format": "zip"}, {"format": "cvs"}):
        with pytest.raises(ValidationError, match="no member can be of format"):
            SourceSpec(name="s", path="a", format="tar", options=wrong)


SLIPS = [
    "../up.txt",
    "a/../../up.txt",
    "/etc/up.txt",
    "C:\\up.txt",
    "a\\..\\..\\up.txt",
    "..\\..\\up.txt",
    "\\\\host\\up.txt",
]


@pytest.mark.parametrize("kind", ["zip", "tar"])
@pytest.mark.parametrize("slip", SLIPS)
def test_names_that_lead_out_are_refused_and_nothing_is_written(tmp_path, slip, kind):
    base = tmp_path / "deep" / "deeper"
    base.mkdir(parents=True)
    files = {slip: b"slipped", "good.txt": b"good"}
    (base / "a").with_suffix(f".{kind}").write_bytes(ARCHIVES[f"a.{kind}"](files))
    with pytest.raises(BadFileError, match="leads out of the archive"):
        read_source(base, path=f"a.{kind}")
    out, bad = read_source(base, path=f"a.{kind}", on_bad_file="skip")
    assert (out["text"].to_pylist(), bad.by_reason()) == (["good"], {"bad-file": 1})
    assert [p.name for p in tmp_path.rglob("*") if p.is_file()] == [f"a.{kind}"]


def test_links_and_devices_are_left_out_and_nothing_is_followed(tmp_path):
    kinds = {"s.txt": tarfile.SYMTYPE, "h.txt": tarfile.LNKTYPE, "c.txt": tarfile.CHRTYPE, "f.txt": tarfile.FIFOTYPE}
    (tmp_path / "a.tar").write_bytes(tarred({"good.txt": b"good"}, **kinds))
    out, bad = read_source(tmp_path, path="a.tar")
    assert out["text"].to_pylist() == ["good"]
    assert bad.left == {"linked member": (4, "a.tar/s.txt")}
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        link = zipfile.ZipInfo("s.txt")
        link.create_system, link.external_attr = 3, (stat.S_IFLNK | 0o777) << 16
        archive.writestr(link, "/etc/passwd")
        archive.writestr("good.txt", "good")
    out, bad = read_source(tmp_path, path="a.zip")
    assert (out["text"].to_pylist(), bad.left) == (["good"], {"linked member": (1, "a.zip/s.txt")})


@pytest.mark.parametrize("outer", ["zip", "tar"])
@pytest.mark.parametrize("inner", ["a.zip", "a.tar", "a.tgz"])
def test_archives_within_archives_are_refused_so_no_quine_unfolds(tmp_path, inner, outer):
    files = {inner: ARCHIVES[inner]({"x.txt": b"deep"}), "good.txt": b"good"}
    (tmp_path / f"o.{outer}").write_bytes(ARCHIVES[f"a.{outer}"](files))
    with pytest.raises(BadFileError, match=rf"o.{outer}/{inner}: is an archive within an archive"):
        read_source(tmp_path, path=f"o.{outer}")
    out, _ = read_source(tmp_path, path=f"o.{outer}", on_bad_file="skip")
    assert out["text"].to_pylist() == ["good"]


def test_bombs_are_refused_by_what_the_directory_says(tmp_path, monkeypatch):
    monkeypatch.setattr("corpusmill.transforms.sources.limits.FLOOR", 1 << 20)
    (tmp_path / "a.zip").write_bytes(zipped({f"{i}.txt": bytes(1 << 20) for i in range(8)}))
    monkeypatch.setattr(zipfile.ZipFile, "open", lambda *_: pytest.fail("decoded"))
    with pytest.raises(BadFileError, match="as a decompression bomb does"):
        read_source(tmp_path, path="a.zip", max_expansion=10)


def test_members_that_share_bytes_are_a_bomb(tmp_path):
    data = bytearray(zipped({"a.txt": b"x" * 1000, "b.txt": b"y" * 1000}))
    # the second entry of the directory points to the bytes of the first
    at = data.rindex(b"PK\x01\x02")
    data[at + 42 : at + 46] = (0).to_bytes(4, "little")
    (tmp_path / "a.zip").write_bytes(data)
    with pytest.raises(BadFileError, match="lie over each other, such as"):
        read_source(tmp_path, path="a.zip")


@pytest.mark.parametrize("name", ["a.tgz", "a.tar.zst", "a.tar.xz", "a.tar.bz2"])
def test_compressed_bombs_end_at_the_budget(tmp_path, name, monkeypatch):
    monkeypatch.setattr("corpusmill.transforms.sources.limits.FLOOR", 1 << 20)
    (tmp_path / name).write_bytes(ARCHIVES[name]({"a.txt": bytes(8 << 20)}))
    with pytest.raises(BadFileError, match="as a decompression bomb does"):
        read_source(tmp_path, path=name, max_expansion=2)


def test_small_bombs_within_an_archive_share_its_budget(tmp_path, monkeypatch):
    monkeypatch.setattr("corpusmill.transforms.sources.limits.FLOOR", 1 << 20)
    bomb = COMPRESS[".gz"](bytes(900 << 10))
    (tmp_path / "a.zip").write_bytes(zipped({f"{i}.txt.gz": bomb for i in range(4)}, zipfile.ZIP_STORED))
    for policy in ("error", "skip"):
        source = {"path": "a.zip", "max_expansion": 20, "on_bad_file": policy, "max_bad_fraction": 1}
        if policy == "error":
            with pytest.raises(BadFileError, match="as a decompression bomb does"):
                read_source(tmp_path, **source)
        else:
            assert read_source(tmp_path, **source)[1].by_reason() == {"bad-file": 1}


def test_a_damaged_member_is_quarantined_and_the_others_stay(tmp_path):
    good = zipped({"a.txt": b"good", "b.txt": b"bad" * 100, "c.jsonl.gz": FILES["d.jsonl.gz"][:-4]})
    at = good.index(b"b.txt") + len("b.txt")
    (tmp_path / "a.zip").write_bytes(good[:at] + b"\xff" + good[at + 1 :])
    with pytest.raises(BadFileError, match=r"a.zip/b.txt: is damaged"):
        read_source(tmp_path, path="a.zip")
    out, bad = read_source(tmp_path, path="a.zip", on_bad_file="skip")
    assert out["text"].to_pylist() == ["good"]
    assert [r["file"] for r in bad.to_table().to_pylist()] == ["a.zip/b.txt", "a.zip/c.jsonl.gz"]
    assert 0 < bad.bytes_lost < bad.bytes_seen
    assert "/tmp" not in " ".join(bad.to_table()["detail"].to_pylist())


def test_encrypted_members_are_told(tmp_path):
    data = bytearray(zipped({"a.txt": b"good", "b.txt": b"secret"}))
    data[data.rindex(b"PK\x01\x02") + 8] |= 1
    (tmp_path / "a.zip").write_bytes(data)
    with pytest.raises(BadFileError, match=r"a.zip/b.txt: is encrypted"):
        read_source(tmp_path, path="a.zip")


def test_a_tar_file_cut_anywhere_is_a_bad_file(tmp_path):
    data = tarred({"a.txt": b"a" * 600, "b.txt": b"b"})
    end = data.rstrip(b"\0").__len__() + 511  # of the last member
    for at in range(1, end, 97):
        (tmp_path / "a.tar").write_bytes(data[:at])
        with pytest.raises(BadFileError):
            read_source(tmp_path, path="a.tar")
    (tmp_path / "a.tar").write_bytes(data[: end // 512 * 512])
    with pytest.raises(BadFileError, match="without the end mark"):
        read_source(tmp_path, path="a.tar")


def test_a_header_that_is_damaged_does_not_pass_for_the_end(tmp_path):
    data = bytearray(tarred({"a.txt": b"a", "b.txt": b"b"}))
    data[data.index(b"b.txt") + 1] ^= 0xFF
    (tmp_path / "a.tar").write_bytes(data)
    with pytest.raises(BadFileError, match="is damaged at byte 1024"):
        read_source(tmp_path, path="a.tar")


def test_sizes_below_zero_and_nested_headers_end_no_process(tmp_path):
    header = bytearray(tarfile.TarInfo("a.txt").tobuf())
    header[124:136] = b"\xff" * 12  # -1 in base 256
    header[148:156] = b" " * 8
    header[148:156] = b"%06o\0 " % sum(header)
    (tmp_path / "a.tar").write_bytes(header + bytes(1024))
    with pytest.raises(BadFileError, match=r"size below zero|is damaged"):
        read_source(tmp_path, path="a.tar")
    nested = tarfile.TarInfo("x")
    nested.type = tarfile.XHDTYPE
    (tmp_path / "b.tar").write_bytes(nested.tobuf() * 5000 + bytes(1024))
    with pytest.raises(BadFileError):
        read_source(tmp_path, path="b.tar")


@pytest.mark.parametrize("name", ["a.zip", "a.tar", "a.tgz"])
def test_damage_is_told_or_quarantined(tmp_path, name):
    rng = random.Random(name)
    data = ARCHIVES[name]()
    for _ in range(60):
        damaged = bytearray(data)
        for _ in range(rng.choice([1, 3, 20])):
            damaged[rng.randrange(len(damaged))] = rng.choice([0, 1, 255, rng.randrange(256)])
        if rng.random() < 0.2:
            del damaged[rng.randrange(len(damaged)) :]
        (tmp_path / name).write_bytes(damaged)
        out, bad = read_source(tmp_path, path=name, on_bad_file="skip", max_bad_fraction=1)
        try:
            again, _ = read_source(tmp_path, path=name, max_bad_fraction=1)
            assert sorted(again["text"].to_pylist()) == sorted(out["text"].to_pylist())
        except BadFileError as error:
            told = str(error)
        else:
            continue
        assert bad.by_reason().get("bad-file", 0) >= 1, told
        assert "/corpusmill-" not in told


def test_a_run_accounts_for_members_and_gives_the_same_bytes_for_any_cut(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    files = {f"{i}.txt": f"Text number {i}.".encode() * 50 for i in range(100)} | {"logo.png": b"\x89PNG"}
    (tmp_path / "a.zip").write_bytes(zipped(files))
    recipe = {"name": "t", "sources": [{"name": "t", "path": "a.zip"}], "steps": ["exact"]}
    runs = [corpusmill.run(recipe | {"output": f"out{w}"}, workers=w) for w in (1, 2)]
    first, second = (run.dataset.manifest for run in runs)
    assert first["content"] == second["content"]
    assert first["funnel"]["sources"][0]["left_out"] == {"unknown member": {"number": 1, "example": "a.zip/logo.png"}}


def test_sizes_that_a_directory_makes_up_and_odd_but_sound_archives(tmp_path):
    for told, what in ((5, "is damaged"), (0x7FFFFFFF, "as a decompression bomb does")):
        data = bytearray(zipped({"a.txt": b"x" * 1000, "good.txt": b"good"}))
        at = data.index(b"PK\x01\x02")
        data[at + 24 : at + 28] = told.to_bytes(4, "little")
        (tmp_path / "a.zip").write_bytes(data)
        with pytest.raises(BadFileError, match=what):
            read_source(tmp_path, path="a.zip")
    with zipfile.ZipFile(tmp_path / "b.zip", "w") as archive:
        with archive.open(zipfile.ZipInfo("a.txt"), "w", force_zip64=True) as member:
            member.write(b"large")
        archive.writestr("n" * 60_000 + ".txt", "long")
        archive.writestr("c\x1b[31m\n.txt", "odd")
    (tmp_path / "b.zip").write_bytes(b"#!/bin/sh\n" + (tmp_path / "b.zip").read_bytes())  # that unpacks itself
    out, bad = read_source(tmp_path, path="b.zip")
    assert (sorted(out["text"].to_pylist()), bad.count) == (["large", "long", "odd"], 0)
    sparse = tarfile.TarInfo("s.txt")
    sparse.size, sparse.pax_headers = (
        10,
        {"GNU.sparse.major": "1", "GNU.sparse.minor": "0", "GNU.sparse.realsize": "9" * 11},
    )
    with tarfile.open(tmp_path / "c.tar", "w") as archive:
        archive.addfile(sparse, io.BytesIO(b"0\n" + b"x" * 8))
    with pytest.raises(BadFileError, match="is a sparse file"):
        read_source(tmp_path, path="c.tar")
