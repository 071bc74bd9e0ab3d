"""Addresses of a list against a server on this machine: what is fetched, kept, refused and asked again."""

import gzip
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import ClassVar

import pytest

import corpusmill
from corpusmill.pipelines.dataset.snapshot import Dataset
from corpusmill.pipelines.operations.examples import source_splits
from corpusmill.transforms.errors import BadFileError, UnreadableFileError
from corpusmill.transforms.sources.fetch import sites
from corpusmill.transforms.sources.fetch.address import read_addresses, requested
from corpusmill.transforms.sources.fetch.connection import is_public
from corpusmill.transforms.sources.listing import list_files
from corpusmill.transforms.sources.spec import SourceSpec
from tests.transforms.sources.made import read_source

pytest.importorskip("protego")
pytest.importorskip("fastwarc")
PAGE = "<html><title>P</title><p>Rain on {}</p></html>"
ROWS = b'{"text": "one"}\n{"text": "two"}\n'


class Server(BaseHTTPRequestHandler):
    """answers: path to (status, headers, body), or to a list of these, one for each request."""

    answers: ClassVar[dict] = {}
    asked: ClassVar[list] = []

    def do_GET(self):
        self.asked.append((self.path, dict(self.headers)))
        found = self.answers.get(self.path, (404, {}, b""))
        if isinstance(found, list):
            found = found.pop(0) if len(found) > 1 else found[0]
        status, headers, body = found
        if headers.get("ETag") and headers["ETag"] == self.headers.get("If-None-Match"):
            status, body = 304, b""
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


@pytest.fixture(scope="module")
def server():
    httpd = ThreadingHTTPServer(("127.0.0.1", 0), Server)
    threading.Thread(target=httpd.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{httpd.server_port}"
    httpd.shutdown()


@pytest.fixture
def web(server, tmp_path, monkeypatch):
    """(base of the server, its answers, what was asked, function that reads addresses)."""
    Server.answers, Server.asked = {}, []
    waited: list[float] = []
    monkeypatch.setattr(sites, "sleep", waited.append)

    def read(*paths, **options):
        lines = [p if "://" in p or p.startswith("#") else server + p for p in paths]
        (tmp_path / "list.txt").write_text("\n".join(lines))
        options = {"delay": 0, "private": True, "recheck_hours": 0} | options
        out, bad = read_source(tmp_path, path="list.txt", format="urls", options=options, max_bad_fraction=1)
        return out.to_pylist(), bad

    read.waited = waited
    return server, Server.answers, Server.asked, read


def html(body="a", **headers):
    return 200, {"Content-Type": "text/html; charset=utf-8", **headers}, PAGE.format(body).encode()


def test_a_folder_may_be_called_like_a_new_file(web):
    _base, answers, _asked, read = web
    answers["/a"] = html("a")
    rows, _ = read("/a", cache="www.newsweek.new")
    assert [r["text"] for r in rows] == [PAGE.format("a")]


def test_files_are_read_by_their_own_formats_and_what_is_gone_is_quarantined(web):
    base, answers, asked, read = web
    answers |= {
        "/robots.txt": (200, {}, b"User-agent: corpusmill\nDisallow: /no/*.html$\nUser-agent: *\nDisallow: /\n"),
        "/a": html(**{"X-Robots-Tag": "noai"}),
        "/rows.jsonl.gz": (200, {"Content-Type": "application/gzip"}, gzip.compress(ROWS)),
        "/b": (200, {"Content-Type": "text/plain", "Content-Encoding": "gzip"}, gzip.compress(b"three")),
        "/old": (301, {"Location": "/new"}, b""),
        "/new": html("new"),
        "/gone": (410, {}, b""),
        "/x.bin": (200, {"Content-Type": "application/octet-stream"}, b"\x00\x01"),
        "/loop": (302, {"Location": "/loop"}, b""),
    }
    paths = [
        "# a comment",
        "/a",
        "/a#part",
        "/rows.jsonl.gz",
        "/b",
        "/old",
        "/gone",
        "/never",
        "/no/x.html",
        "/x.bin",
        "/loop",
    ]
    rows, bad = read(*paths)
    assert sorted(r["text"] for r in rows) == sorted([PAGE.format("a"), PAGE.format("new"), "one", "two", "three"])
    page = next(r for r in rows if r["url"] == f"{base}/a")
    assert (page["rights_headers"], page["status"]) == ("X-Robots-Tag: noai", 200)
    assert {r["url"] for r in rows} == {None, f"{base}/a", f"{base}/new"}
    assert bad.by_reason() == {"http-404": 1, "http-410": 1, "too-many-redirects": 1}
    assert f"{base}/gone" in bad.to_table()["file"].to_pylist()
    assert bad.left == {
        "address that robots.txt forbids": (1, f"{base}/no/x.html"),
        "address with a file of unknown format": (1, f"{base}/x.bin"),
    }
    assert [p for p, _ in asked].count("/robots.txt") == 1
    assert "/no/x.html" not in {p for p, _ in asked}
    assert asked[0][1]["User-Agent"] == "corpusmill/1.0"


def test_a_host_is_asked_again_by_etag_and_an_unchanged_page_keeps_its_file(web):
    base, answers, asked, read = web
    answers |= {
        "/tag": html("x", ETag='"1"'),
        "/same": html("y"),
        "/new": [html("old"), html("young")],
        "/b": html("b"),
    }
    first, _ = read("/tag", "/same", "/new", "/b")
    assert read("/tag", "/same", "/new", "/b", recheck_hours=24)[0] == first
    assert len(asked) == 5  # robots.txt and four pages: nothing was due
    answers["/b"] = (404, {}, b"")
    again, bad = read("/tag", "/same", "/new", "/b")
    assert asked[-4:][0][1].get("If-None-Match") == '"1"'
    before = {r["url"]: r for r in first}
    for row in again:
        if row["url"] != f"{base}/new":
            assert row == before[row["url"]]  # with the date and record of its first capture
    assert sorted(r["text"] for r in again) == sorted(PAGE.format(x) for x in ("x", "y", "young"))
    assert bad.by_reason() == {"http-404": 1}


def test_faults_that_may_pass_are_tried_again_and_then_stop_the_run(web, tmp_path):
    base, answers, _asked, read = web
    busy = (503, {"Retry-After": "7"}, b"")
    answers |= {
        "/a": [busy, busy, html("a")],
        "/b": busy,
        "/c": html("c"),
        "/cut": (200, {"Content-Length": "99", "Content-Type": "text/plain"}, b"x"),
    }
    rows, _ = read("/a")
    assert [r["text"] for r in rows] == [PAGE.format("a")]
    assert [w for w in read.waited if w > 1] == [7.0, 7.0]
    with pytest.raises(
        UnreadableFileError, match=r"1 of 2 addresses that cannot be fetched now, such as .*/b \(status 503"
    ):
        read("/c", "/b", retries=1)
    rows, bad = read("/c", "/b", "/cut", unreachable="leave-out", retries=0)
    assert [r["text"] for r in rows] == [PAGE.format("c")]
    ((number, example),) = bad.left.values()  # answers are read in the order of hashes, in which the port has a part
    assert (list(bad.left), number) == (["address that cannot be reached now"], 2)
    assert example in {f"{base}/b", f"{base}/cut"}
    answers["/c"] = busy
    assert [r["text"] for r in read("/c", retries=0)[0]] == [PAGE.format("c")]  # what is there stays


def test_robots_txt_decides_for_each_hop_and_a_broken_one_for_the_whole_site(web):
    base, answers, _asked, read = web
    answers |= {
        "/robots.txt": (200, {}, b"User-agent: *\nDisallow: /private\nCrawl-delay: 5\n"),
        "/a": (302, {"Location": "/private/x"}, b""),
        "/b": html("b"),
        "/c": html("c"),
    }
    rows, bad = read("/a", "/b", "/c")
    assert len(rows) == 2
    assert bad.left == {"address that robots.txt forbids": (1, f"{base}/a")}
    assert len([w for w in read.waited if w > 1]) >= 2  # as the crawl delay asks
    answers["/robots.txt"] = (500, {}, b"")
    with pytest.raises(UnreadableFileError, match=r"its robots\.txt answers with status 500"):
        read("/d", retries=0)
    answers["/robots.txt"] = (200, {}, b"User-agent: *\nCrawl-delay: 86400\n")
    _, bad = read("/d")
    assert bad.left == {"address whose robots.txt asks for more than 300 s between requests": (1, f"{base}/d")}


def test_sizes_are_bounded_whether_they_are_told_or_not(web):
    _base, answers, _, read = web
    answers |= {
        "/big": (200, {"Content-Type": "text/plain"}, b"a" * 5000),
        "/bomb": (200, {"Content-Type": "text/plain", "Content-Encoding": "gzip"}, gzip.compress(b"a" * 10**6)),
        "/ok": (200, {"Content-Type": "text/plain"}, b"ok"),
    }
    rows, bad = read("/big", "/bomb", "/ok", max_bytes=4000)
    assert [r["text"] for r in rows] == ["ok"]
    assert bad.by_reason() == {"too-large": 2}


PRIVATE = ["127.0.0.1", "127.8.8.8", "10.1.2.3", "172.16.0.1", "192.168.1.1", "169.254.169.254", "0.0.0.0", "100.64.0.1",
           "224.0.0.1", "255.255.255.255", "::1", "::", "fe80::1%eth0", "fc00::1", "ff02::1", "::ffff:127.0.0.1",
           "64:ff9b::a00:1", "2002:7f00:1::", "2001:db8::1"]  # fmt: skip


def test_private_networks_are_refused_by_the_address_that_is_connected_to(web, monkeypatch):
    assert not any(is_public(a) for a in PRIVATE)
    assert all(is_public(a) for a in ("93.184.215.14", "2606:2800:21f:cb07::1", "64:ff9b::5db8:d70e"))
    base, _answers, asked, read = web
    port = base.rpartition(":")[2]
    names = [
        f"http://2130706433:{port}/",
        f"http://0x7f.1:{port}/",
        f"http://[::1]:{port}/",
        f"http://localhost:{port}/a",
    ]
    _, bad = read("/a", *names, private=False)
    assert bad.by_reason() == {"private-address": 5}
    assert asked == []
    assert all("which is not in the public internet" in d for d in bad.to_table()["detail"].to_pylist())


def test_a_redirect_into_a_private_network_is_refused(web, monkeypatch):
    base, answers, asked, read = web
    port = base.rpartition(":")[2]
    answers |= {
        "/a": (302, {"Location": f"http://127.0.0.2:{port}/secret"}, b""),
        "/f": (302, {"Location": "file:///etc/passwd"}, b""),
    }
    monkeypatch.setattr("corpusmill.transforms.sources.fetch.connection.is_public", lambda ip: ip == "127.0.0.1")
    rows, bad = read("/a", "/f", private=False)
    assert rows == []
    assert bad.by_reason() == {"private-address": 1, "bad-address": 1}
    assert "/secret" not in {p for p, _ in asked}


BAD = {
    "ftp://e.org/x": "does not begin with http",
    "e.org/x": "does not begin with http",
    "https://me:secret@e.org/": "has a user name or password",
    "http://e .org/": "has a host name",
    "http://[1/": "is no address",
    "http://e.org:x/": "is no address",
}


def test_a_list_is_checked_line_by_line(tmp_path):
    for address, what in BAD.items():
        (tmp_path / "a.txt").write_text(f"# mine\n\nhttps://e.org/\n{address}\n")
        with pytest.raises(BadFileError, match=rf"a\.txt: line 4: .*{what}"):
            read_addresses(str(tmp_path / "a.txt"))
    (tmp_path / "a.csv").write_text("n,url\n1,https://e.org/a\n2,https://e.org/a#b\n")
    assert read_addresses(str(tmp_path / "a.csv")) == ["https://e.org/a"]
    (tmp_path / "a.jsonl").write_text('{"link": "x"}\n')
    with pytest.raises(BadFileError, match="has no column url among link"):
        read_addresses(str(tmp_path / "a.jsonl"))
    assert (
        requested("https://日本.example/路?q=文 書") == "https://xn--wgv71a.example/%E8%B7%AF?q=%E6%96%87%20%E6%9B%B8"
    )


def test_a_run_is_refreshed_by_what_changed_and_a_run_without_news_does_nothing(web, tmp_path, monkeypatch):
    base, answers, _asked, _read = web
    monkeypatch.chdir(tmp_path)
    answers |= {f"/{i}": html(f"page {i}", ETag=f'"{i}"') for i in range(4)}
    (tmp_path / "list.txt").write_text("\n".join(f"{base}/{i}" for i in range(4)))
    options = {"delay": 0, "private": True, "recheck_hours": 0}
    source = {"name": "w", "path": "list.txt", "format": "urls", "columns": {"id": "record"}, "options": options}
    recipe = {"name": "t", "sources": [source], "steps": ["exact"], "output": "out"}
    first = corpusmill.run(recipe)
    assert first.dataset.manifest["documents"] == 4
    assert not corpusmill.run(recipe).committed
    source["options"] = options | {"timeout": 5, "user_agent": "other/2"}  # no result depends on these
    assert corpusmill.run(recipe).dataset.manifest["content"] == first.dataset.manifest["content"]
    before = len(Server.asked)
    spec = SourceSpec.model_validate(source)
    assert len(list_files(spec, str(tmp_path), online=False)) == 4
    assert list(source_splits(Dataset("out"), Dataset("out").manifest()))  # of reports and takedowns
    assert len(Server.asked) == before
    answers["/2"] = html("page two", ETag='"new"')
    again = corpusmill.run(recipe)
    texts = again.dataset.to_pandas()["text"].tolist()
    assert sorted(texts) == sorted(PAGE.format(x) for x in ("page 0", "page 1", "page two", "page 3"))
    notes = list((tmp_path / "fetched").rglob(".*.json"))
    assert {json.loads(n.read_text())["kind"] for n in notes} == {"file"}
