"""Web archives: every complete record is read, whatever the compression, the cut and the damage, and the rest is accounted for."""

import gzip
import io
import random
import zlib
from pathlib import Path

import pyarrow.parquet as pq
import pytest

import corpusmill
from corpusmill.transforms.errors import BadFileError
from tests.transforms.sources.made import read_source

warc = pytest.importorskip("fastwarc.warc")
zstandard = pytest.importorskip("zstandard")
PAGES = Path(__file__).parents[3] / "../shared/data/pages/pages.parquet"
PACK = {"": bytes, ".gz": lambda d: gzip.compress(d, 1), ".zst": lambda d: zstandard.compress(d)}


def record(body, kind="response", url="https://example.org/a", **fields):
    """A WARC record; names of fields have underscores for hyphens."""
    fields = {"content_type": "application/http; msgtype=response", "warc_date": "2026-01-02T03:04:05Z"} | fields
    lines = [f"WARC-Type: {kind}", f"WARC-Target-URI: {url}", "WARC-Record-ID: <urn:uuid:1>"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in fields.items()]
    head = "\r\n".join(["WARC/1.1", *lines, f"Content-Length: {len(body)}"])
    return head.encode() + b"\r\n\r\n" + body + b"\r\n\r\n"


def http(page, status="200 OK", kind="text/html; charset=utf-8", **fields):
    lines = [f"{name.replace('_', '-')}: {value}" for name, value in fields.items()]
    return "\r\n".join([f"HTTP/1.1 {status}", f"Content-Type: {kind}", *lines, "", ""]).encode() + page


def page(i, size=2000):
    rng = random.Random(i)
    return f"<html><p>Page {i}: {''.join(rng.choices('abcdefgh 三é', k=size))}</p></html>".encode()


def written_by_fastwarc(pages):
    records = []
    for url, html in pages:
        rec = warc.WarcRecord()
        rec.init_headers(warc.WarcRecordType.response)
        rec.headers["WARC-Target-URI"] = url
        rec.is_http = True
        rec.set_bytes_content(http(html, kind="text/html"))
        out = io.BytesIO()
        rec.write(out, checksum_data=True)
        records.append(out.getvalue())
    return records


def read(folder, name, **fields):
    out, bad = read_source(folder, path=name, max_bad_fraction=1, **fields)
    return out.to_pylist(), bad


def test_pages_written_by_fastwarc_come_back_byte_for_byte(tmp_path):
    if not PAGES.exists():
        pytest.skip(f"{PAGES} is not there")
    pages = [(r["url"], r["html"]) for r in pq.read_table(PAGES).to_pylist()]
    parts = [PACK[".gz"](r) for r in written_by_fastwarc(pages)]
    (tmp_path / "a.warc.gz").write_bytes(b"".join(parts))
    rows, bad = read(tmp_path, "a.warc.gz", format="warc", options={"body": True}, target=1 << 20)
    assert (len(rows), bad.count) == (len(pages), 0)
    by_url = {r["url"]: r for r in rows}
    offset = 0
    for (url, html), part in zip(pages, parts, strict=True):
        row = by_url[url.strip()]
        assert row["html"] == html
        assert row["warc_offset"] == offset
        offset += len(part)
        if "\ufffd" not in row["text"]:  # all but two pages, whose bytes are valid in no encoding
            assert row["text"].encode(row["charset"]) == html
    assert sum("\ufffd" in r["text"] for r in rows) <= 5


@pytest.mark.parametrize("suffix", PACK)
@pytest.mark.parametrize("target", [64 << 20, 30_000])
def test_a_file_cut_anywhere_gives_every_complete_record_and_accounts_for_the_rest(tmp_path, suffix, target):
    parts = [PACK[suffix](r) for r in written_by_fastwarc([(f"https://e.org/{i}", page(i)) for i in range(60)])]
    data, rng = b"".join(parts), random.Random(1)
    ends = [sum(len(p) for p in parts[: i + 1]) for i in range(len(parts))]
    cuts = 200 if suffix == ".gz" and target > len(data) else 30
    for cut in [1, 3, *(rng.randrange(1, len(data)) for _ in range(cuts)), ends[3]]:
        (tmp_path / f"a.warc{suffix}").write_bytes(data[:cut])
        rows, bad = read(tmp_path, f"a.warc{suffix}", target=target)
        whole = sum(end <= cut for end in ends)
        # of a record that lacks nothing but what ends its frame, the page is there
        assert [r["url"] for r in rows][:whole] == [f"https://e.org/{i}" for i in range(whole)] or target < 64 << 20
        assert sorted(int(r["url"][14:]) for r in rows) in (list(range(whole)), list(range(whole + 1)))
        if cut in ends:
            assert bad.count == 0
        elif len(rows) == whole:
            assert bad.by_reason() == {"truncated": 1}
            assert bad.to_table()["position"].to_pylist() == [ends[whole - 1] if whole else 0]


@pytest.mark.parametrize("suffix", PACK)
def test_any_cut_into_ranges_gives_the_same_even_where_the_file_is_damaged(tmp_path, suffix, monkeypatch):
    monkeypatch.setattr("corpusmill.transforms.sources.warc.records.CHAIN", 16 << 10)  # the file is small, too
    parts = [PACK[suffix](record(http(page(i)), url=f"https://e.org/{i}")) for i in range(200)]
    rng = random.Random(suffix)
    for round_ in range(6):
        data = bytearray(b"".join(parts))
        for _ in range(round_):
            at = rng.randrange(len(data))
            data[at : at + rng.choice([0, 1, 40])] = rng.randbytes(rng.choice([1, 5]))
        (tmp_path / f"a.warc{suffix}").write_bytes(data)
        rows, bad = read(tmp_path, f"a.warc{suffix}")
        assert len(rows) >= 200 - 3 * round_
        places = sorted(bad.to_table()["position"].to_pylist())
        for target in (10_000, 70_000, len(data) // 3):
            again, bad_again = read(tmp_path, f"a.warc{suffix}", target=target)
            assert sorted(r["warc_offset"] for r in again) == sorted(r["warc_offset"] for r in rows)
            assert sorted(r["text"] for r in again) == sorted(r["text"] for r in rows)
            assert sorted(bad_again.to_table()["position"].to_pylist()) == places


def test_one_gzip_member_for_all_records_and_members_that_cut_records_are_read(tmp_path):
    plain = b"".join(record(http(page(i)), url=f"https://e.org/{i}") for i in range(50))
    (tmp_path / "one.warc.gz").write_bytes(gzip.compress(plain))
    (tmp_path / "blocks.warc.gz").write_bytes(
        b"".join(gzip.compress(plain[i : i + 5000]) for i in range(0, len(plain), 5000))
    )
    for name in ("one.warc.gz", "blocks.warc.gz"):
        for target in (64 << 20, 10_000):
            rows, bad = read(tmp_path, name, target=target)
            assert (sorted(int(r["url"][14:]) for r in rows), bad.count) == (list(range(50)), 0)


def test_a_web_archive_captured_within_a_web_archive_gives_no_pages_of_its_own(tmp_path):
    inner = b"".join(PACK[".gz"](record(http(page(i, 100)), url=f"https://inner/{i}")) for i in range(2000))
    for suffix in PACK:
        outer = [record(http(page(i)), url=f"https://outer/{i}") for i in range(20)]
        nested = (
            b"".join(record(http(page(i, 100)), url=f"https://inner/{i}") for i in range(200)) if not suffix else inner
        )
        outer.insert(10, record(http(nested, kind="application/warc")))
        (tmp_path / f"a.warc{suffix}").write_bytes(b"".join(PACK[suffix](r) for r in outer))
        for target in (64 << 20, 100_000, 20_000):
            rows, bad = read(tmp_path, f"a.warc{suffix}", target=target)
            assert sorted(r["url"] for r in rows) == sorted(f"https://outer/{i}" for i in range(20))
            assert (bad.count, bad.left["non-HTML response"][0]) == (0, 1)


def test_a_zstd_dictionary_in_front_is_used(tmp_path):
    records = [record(http(page(i)), url=f"https://e.org/{i}") for i in range(60)]
    trained = zstandard.train_dictionary(4096, records)
    packer = zstandard.ZstdCompressor(dict_data=trained)
    for raw in (trained.as_bytes(), zstandard.compress(trained.as_bytes())):
        head = b"\x5d\x2a\x4d\x18" + len(raw).to_bytes(4, "little") + raw
        (tmp_path / "a.warc.zst").write_bytes(head + b"".join(packer.compress(r) for r in records))
        for target in (64 << 20, 10_000):
            rows, bad = read(tmp_path, "a.warc.zst", target=target)
            assert (len(rows), bad.count) == (60, 0)


def test_each_kind_of_record_is_a_page_or_counted(tmp_path):
    html = b"<html><p>text</p></html>"
    records = [
        record(b"software: x\r\n", "warcinfo", content_type="application/warc-fields"),
        record(http(html, kind='Text/HTML; charset="UTF-8"'), warc_payload_digest="sha1:ABC", url="<https://e.org/1>"),
        record(b"GET / HTTP/1.1\r\n\r\n", "request"),
        record(b"fetchTimeMs: 1", "metadata", content_type="application/warc-fields"),
        record(b"HTTP/1.1 200 OK\r\n\r\n", "revisit"),
        record(http(b"", "301 Moved", Location="/b")),
        record(http(html, "404 Not Found")),
        record(http(b"\x89PNG", kind="image/png")),
        record(b"20200101000000\n1.2.3.4", content_type="text/dns", url="dns:e.org"),
        record(html, "resource", content_type="text/html"),
        record("plain 文書".encode(), "conversion", content_type="text/plain"),
        record(b'{"Envelope": 1}', "metadata", content_type="application/json"),
        record(http(html).replace(b"Content-Type: text/html; charset=utf-8\r\n", b"")),
        record(http(b"\x00\x01\x02").replace(b"Content-Type: text/html; charset=utf-8\r\n", b"")),
    ]
    (tmp_path / "a.warc").write_bytes(b"".join(records))
    rows, bad = read(tmp_path, "a.warc")
    kinds = [(r["text"], r["mime"], r["status"]) for r in rows]
    assert kinds == [
        (html.decode(), "text/html", 200),
        (html.decode(), "text/html", None),
        ("plain 文書", "text/plain", None),
        ('{"Envelope": 1}', "application/json", None),
        (html.decode(), None, 200),
    ]
    first = rows[0]
    assert (first["url"], first["date"], first["digest"]) == ("https://e.org/1", "2026-01-02T03:04:05Z", "sha1:ABC")
    assert (first["record"], first["warc_file"], first["warc_offset"]) == ("urn:uuid:1", "a.warc", len(records[0]))
    assert {kind: n for kind, (n, _) in bad.left.items()} == {
        "warcinfo record": 1,
        "request record": 1,
        "metadata record": 1,
        "revisit record": 1,
        "redirect response": 1,
        "error response": 1,
        "non-HTML response": 3,
    }
    assert bad.left["warcinfo record"][1] == "a.warc, byte 0"
    rows, _ = read(tmp_path, "a.warc", format="warc", options={"status": [200, 404], "types": "text"})
    assert [r["status"] for r in rows] == [200, 404, None, None, None, None, 200]


def test_headers_with_line_feeds_alone_and_old_versions_are_read(tmp_path):
    data = record(http(b"<p>x</p>")) * 2
    head, rest = data.split(b"\r\n\r\n", 1)
    (tmp_path / "a.warc").write_bytes(head.replace(b"\r\n", b"\n").replace(b"WARC/1.1", b"WARC/0.18") + b"\n\n" + rest)
    rows, bad = read(tmp_path, "a.warc")
    assert ([r["text"] for r in rows], bad.count) == (["<p>x</p>"] * 2, 0)


def chunked(data):
    return b"%x\r\n%s\r\n%x;ext=1\r\n%s\r\n0\r\n\r\n" % (5, data[:5], len(data) - 5, data[5:])


def deflated(data):
    packer = zlib.compressobj(wbits=-15)
    return packer.compress(data) + packer.flush()


HTML = page(1)
BODIES = {
    "gzip": (gzip.compress(HTML), {"Content_Encoding": "gzip"}),
    "x-gzip": (gzip.compress(HTML), {"Content_Encoding": "X-GZip"}),
    "zlib": (zlib.compress(HTML), {"Content_Encoding": "deflate"}),
    "deflate": (deflated(HTML), {"Content_Encoding": "deflate"}),
    "zstd": (zstandard.compress(HTML), {"Content_Encoding": "zstd"}),
    "chunked": (chunked(HTML), {"Transfer_Encoding": "chunked"}),
    "both": (chunked(gzip.compress(HTML)), {"Transfer_Encoding": "chunked", "Content_Encoding": "gzip"}),
    "two": (gzip.compress(zlib.compress(HTML)), {"Content_Encoding": "deflate, gzip"}),
    "decoded already": (HTML, {"Content_Encoding": "gzip", "Transfer_Encoding": "chunked"}),
    "identity": (HTML, {"Content_Encoding": "identity"}),
}


@pytest.mark.parametrize("case", BODIES)
def test_bodies_are_decoded(tmp_path, case):
    body, fields = BODIES[case]
    (tmp_path / "a.warc").write_bytes(record(http(body, **fields)))
    rows, bad = read(tmp_path, "a.warc")
    assert ([r["text"].encode() for r in rows], bad.count) == ([HTML], 0)


def test_brotli_bodies_are_decoded(tmp_path):
    brotli = pytest.importorskip("brotli")
    body = brotli.compress(HTML)
    (tmp_path / "a.warc").write_bytes(record(http(body, Content_Encoding="br")))
    assert read(tmp_path, "a.warc")[0][0]["text"].encode() == HTML
    (tmp_path / "a.warc").write_bytes(record(http(body[:-9], Content_Encoding="br")))
    assert read(tmp_path, "a.warc")[1].by_reason() == {"bad-record": 1}


@pytest.mark.parametrize("case", ["gzip", "zlib", "deflate", "zstd", "chunked", "both"])
def test_bodies_that_end_early_are_quarantined_unless_the_record_says_so(tmp_path, case):
    body, fields = BODIES[case]
    cut = body[: len(body) // 2]
    (tmp_path / "a.warc").write_bytes(record(http(cut, **fields)))
    rows, bad = read(tmp_path, "a.warc")
    assert (rows, bad.by_reason()) == ([], {"bad-record": 1})
    assert "ends early" in bad.to_table()["detail"][0].as_py()
    (tmp_path / "a.warc").write_bytes(record(http(cut, **fields), warc_truncated="length"))
    rows, bad = read(tmp_path, "a.warc")
    assert bad.count == 0
    assert rows[0]["truncated"] == "length"
    assert HTML.decode().startswith(rows[0]["text"].rstrip("\ufffd"))


def test_bombs_in_bodies_and_frames_are_refused(tmp_path, monkeypatch):
    bomb = gzip.compress(b"<p>" + b"a" * (8 << 20))
    (tmp_path / "a.warc").write_bytes(record(http(bomb, Content_Encoding="gzip")) + record(http(HTML)))
    rows, bad = read(tmp_path, "a.warc", max_document_bytes=1 << 20)
    assert (len(rows), bad.by_reason()) == (1, {"too-long": 1})
    monkeypatch.setattr("corpusmill.transforms.sources.limits.FLOOR", 1 << 20)
    (tmp_path / "a.warc.gz").write_bytes(gzip.compress(record(http(b"<p>" + b"a" * (8 << 20)))))
    with pytest.raises(BadFileError, match="as a decompression bomb does"):
        read(tmp_path, "a.warc.gz", max_expansion=2)


def test_records_longer_than_a_document_are_quarantined_or_left_out(tmp_path):
    long = b"x" * (3 << 20)
    records = [record(http(b"<p>" + long)), record(http(long, kind="video/mp4")), record(http(HTML))]
    (tmp_path / "a.warc").write_bytes(b"".join(records))
    rows, bad = read(tmp_path, "a.warc", max_document_bytes=1 << 20)
    assert (len(rows), bad.by_reason(), bad.left["non-HTML response"][0]) == (1, {"too-long": 1}, 1)


@pytest.mark.parametrize("data", [b"", b"no web archive", b"<html>"])
@pytest.mark.parametrize("suffix", PACK)
def test_what_is_no_web_archive_is_a_bad_file(tmp_path, data, suffix):
    (tmp_path / f"a.warc{suffix}").write_bytes(data)
    with pytest.raises(BadFileError, match=r"is no|is empty"):
        read(tmp_path, f"a.warc{suffix}")


def test_a_run_reads_a_large_archive_with_any_workers_into_the_same_bytes(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    data = b"".join(PACK[".gz"](record(http(page(i)), url=f"https://e.org/{i}")) for i in range(300))
    (tmp_path / "a.warc.gz").write_bytes(data + PACK[".gz"](record(http(page(1))))[:-30])
    source = {"name": "t", "path": "a.warc.gz", "columns": {"id": "url"}}
    recipe = {"name": "t", "sources": [source], "steps": [{"extract": {"method": "all-text"}}, "exact"]}
    made = [
        corpusmill.run(recipe | {"output": {"path": f"out{w}{size}", "shard_bytes": size}}, workers=w).dataset.manifest
        for w, size in ((1, 64 << 10), (2, 64 << 10))
    ]
    assert made[0]["content"] == made[1]["content"]
    source = made[0]["funnel"]["sources"][0]
    assert (source["rows"], source["quarantined"]) == (301, 1)


def test_headers_that_speak_of_rights_are_a_column(tmp_path):
    said = http(page(1), X_Robots_Tag="noai", tdm_reservation="1", Link="<https://e.org/l>; rel=license", Server="x")
    plain = http(page(2), Link="</a>; rel=next")
    (tmp_path / "a.warc").write_bytes(record(said, url="https://e.org/1") + record(plain, url="https://e.org/2"))
    rows, _ = read(tmp_path, "a.warc")
    lines = "X-Robots-Tag: noai\ntdm-reservation: 1\nLink: <https://e.org/l>; rel=license"
    assert [r["rights_headers"] for r in rows] == [lines, None]
