"""Dumps of MediaWiki in the schema of dumps.wikimedia.org: the same pages for any compression and any cut."""

import bz2
import random
from xml.sax.saxutils import escape

import pytest

import corpusmill
from corpusmill.transforms.errors import BadFileError
from tests.transforms.sources.made import COMPRESS, read_source

SPACES = {-2: "Media", 0: "", 1: "Diskussion", 6: "Datei", 10: "Vorlage", 14: "Kategorie"}
HEAD = """<mediawiki xmlns="http://www.mediawiki.org/xml/export-0.11/" version="0.11" xml:lang="de">
  <siteinfo>
    <sitename>Wikipedia</sitename>
    <dbname>dewiki</dbname>
    <base>https://de.wikipedia.org/wiki/Wikipedia:Hauptseite</base>
    <generator>MediaWiki 1.42.0</generator>
    <case>first-letter</case>
    <namespaces>
{}
    </namespaces>
  </siteinfo>
""".format("\n".join(f'      <namespace key="{k}" case="first-letter">{v}</namespace>' for k, v in SPACES.items()))
TAIL = "</mediawiki>\n"


def page(number, text, title=None, ns=0, redirect="", model="wikitext"):
    target = f'\n    <redirect title="{redirect}" />' if redirect else ""
    title = escape(title or f"Seite {number}")
    return f"""  <page>
    <title>{title}</title>
    <ns>{ns}</ns>
    <id>{number}</id>{target}
    <revision>
      <id>{number + 1000}</id>
      <parentid>{number + 900}</parentid>
      <timestamp>2026-01-02T03:04:05Z</timestamp>
      <contributor><username>A &amp; B</username><id>7</id></contributor>
      <comment>x</comment>
      <model>{model}</model>
      <format>text/x-wiki</format>
      <text bytes="{len(text)}" sha1="x" xml:space="preserve">{escape(text)}</text>
      <sha1>x</sha1>
    </revision>
  </page>
"""


def words(i):
    rng = random.Random(i)
    return (
        f"'''Seite {i}''' & <b>mehr</b>: " + "".join(rng.choices("abcdefgh ñ文書\n", k=1500)) + f"\n[[Kategorie:K{i}]]"
    )


PAGES = [page(i, words(i)) for i in range(200)]


def multistream(pages=PAGES, each=10):
    streams = [HEAD, *("".join(pages[i : i + each]) for i in range(0, len(pages), each)), TAIL]
    return b"".join(bz2.compress(s.encode()) for s in streams)


def plain(pages=PAGES):
    return (HEAD + "".join(pages) + TAIL).encode()


def read(folder, name, **fields):
    out, bad = read_source(folder, path=name, format="wikipedia", max_bad_fraction=1, **fields)
    return out.to_pylist(), bad


def test_pages_of_all_kinds(tmp_path):
    pages = [
        page(
            1,
            "'''Wasser''' ist [[nass]].[[Datei:x.jpg|mini|Bild]] <!-- a --> 5 < 6 & \"7\"\n[[Kategorie:Stoff]]",
            "Wasser & Eis",
        ),
        page(2, "#WEITERLEITUNG [[Wasser]]", redirect="Wasser"),
        page(3, "Vorlage", "Vorlage:X", 10),
        page(4, "return {}", "Modul:X", 0, model="Scribunto"),
        page(5, "", "Leer"),
    ]
    (tmp_path / "dewiki-1-pages-articles.xml").write_bytes(plain(pages))
    out, bad = read_source(tmp_path, path="dewiki-1-pages-articles.xml")
    rows = out.to_pylist()
    assert rows[0] == rows[0] | {
        "text": 'Wasser ist nass. 5 < 6 & "7"',
        "title": "Wasser & Eis",
        "url": "https://de.wikipedia.org/wiki/Wasser_%26_Eis",
        "page_id": 1,
        "revision_id": 1001,
        "namespace": 0,
        "date": "2026-01-02T03:04:05Z",
        "categories": ["Stoff"],
    }
    assert [r["title"] for r in rows] == ["Wasser & Eis", "Leer"]
    assert {kind: n for kind, (n, _) in bad.left.items()} == {
        "redirect page": 1,
        "other-namespace page": 1,
        "non-wikitext page": 1,
    }
    rows, _ = read(tmp_path, "dewiki-1-pages-articles.xml", options={"namespaces": [10], "markup": "wikitext"})
    assert [(r["title"], r["text"]) for r in rows] == [("Vorlage:X", "Vorlage")]


def chunked(data, size):
    """As pbzip2 writes: streams that end anywhere."""
    return b"".join(bz2.compress(data[i : i + size]) for i in range(0, len(data), size))


FILES = {
    "a.xml": plain,
    "a.xml.bz2": multistream,
    "b.xml.bz2": lambda: bz2.compress(plain()),
    "c.xml.bz2": lambda: chunked(plain(), 7000),
    **{f"a.xml{s}": lambda s=s: COMPRESS[s](plain()) for s in (".gz", ".xz", ".zst")},
}


@pytest.mark.parametrize("name", FILES)
def test_any_compression_and_any_cut_give_the_same_pages(tmp_path, name):
    (tmp_path / name).write_bytes(FILES[name]())
    whole, bad = read(tmp_path, name)
    assert (len(whole), bad.count) == (200, 0)
    assert [r["page_id"] for r in whole] == list(range(200))
    for target in (3_000, 20_000, 150_000):
        rows, bad = read(tmp_path, name, target=target)
        assert sorted(rows, key=lambda r: r["page_id"]) == whole
        assert bad.count == 0


@pytest.mark.parametrize("name", ["a.xml", "a.xml.bz2", "c.xml.bz2"])
def test_a_dump_cut_anywhere_gives_every_complete_page_and_accounts_for_the_rest(tmp_path, name):
    data, rng = FILES[name](), random.Random(name)
    for cut in [rng.randrange(3000, len(data)) for _ in range(8)]:
        (tmp_path / name).write_bytes(data[:cut])
        rows, bad = read(tmp_path, name)
        ids = [r["page_id"] for r in rows]
        assert ids == list(range(len(ids)))
        if name == "a.xml":
            assert len(ids) == data[:cut].count(b"</page>")
        assert bad.by_reason() == {"truncated": 1}
        again, bad_again = read(tmp_path, name, target=30_000)
        assert sorted(r["page_id"] for r in again) == ids
        assert bad_again.count == 1


def test_a_damaged_stream_is_told_and_the_next_is_read(tmp_path):
    data = bytearray(multistream())
    at = data.index(b"BZh91AY&SY", len(data) // 2) + 200
    data[at] ^= 0xFF
    (tmp_path / "a.xml.bz2").write_bytes(data)
    rows, bad = read(tmp_path, "a.xml.bz2")
    assert (len(rows), bad.by_reason()) == (190, {"bad-record": 1})
    again, _ = read(tmp_path, "a.xml.bz2", target=20_000)
    assert sorted(r["page_id"] for r in again) == [r["page_id"] for r in rows]


def test_a_page_that_is_no_xml_or_too_long_is_quarantined_alone(tmp_path):
    pages = [page(1, "a"), page(2, "b").replace("<id>2</id>", "<id>2"), page(3, "c" * 5_000_000), page(4, "d")]
    (tmp_path / "a.xml").write_bytes(plain(pages))
    rows, bad = read(tmp_path, "a.xml", max_document_bytes=1_000_000)
    assert ([r["page_id"] for r in rows], bad.by_reason()) == ([1, 4], {"bad-record": 2})


def test_entities_cannot_be_declared(tmp_path):
    lol = '<!DOCTYPE x [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;">]>\n'
    (tmp_path / "a.xml").write_bytes((lol + HEAD + page(1, "x").replace(">x<", ">&b;<") + page(2, "y") + TAIL).encode())
    rows, bad = read(tmp_path, "a.xml")
    assert ([r["page_id"] for r in rows], bad.by_reason()) == ([2], {"bad-record": 1})


def test_bombs_and_other_files_are_refused(tmp_path, monkeypatch):
    (tmp_path / "a.xml").write_bytes(b"<rss><page></page></rss>")
    with pytest.raises(BadFileError, match="is no dump of MediaWiki"):
        read(tmp_path, "a.xml")
    (tmp_path / "x-index.txt.bz2").write_bytes(bz2.compress(b"600:10:Anarchism\n"))
    rows, bad = read(tmp_path, "x-index.txt.bz2")
    assert (rows, bad.left) == ([], {"index file": (1, "x-index.txt.bz2")})
    monkeypatch.setattr("corpusmill.transforms.sources.limits.FLOOR", 1 << 20)
    (tmp_path / "a.xml.bz2").write_bytes(bz2.compress(plain([page(1, "a" * (8 << 20))])))
    with pytest.raises(BadFileError, match="as a decompression bomb does"):
        read(tmp_path, "a.xml.bz2", max_expansion=2)


def test_a_run_gives_the_same_bytes_for_any_workers(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "x-pages-articles-multistream.xml.bz2").write_bytes(multistream())
    source = {"name": "w", "path": "*.bz2", "columns": {"id": "url"}}
    recipe = {"name": "t", "sources": [source], "steps": ["exact"]}
    made = [
        corpusmill.run(recipe | {"output": {"path": f"out{w}", "shard_bytes": 1 << 16}}, workers=w).dataset.manifest
        for w in (1, 2)
    ]
    assert made[0]["content"] == made[1]["content"]
    assert made[0]["funnel"]["rows_in"] == 200


def test_the_names_of_dumps_are_known_and_so_is_a_compressed_file_of_another_name(tmp_path):
    names = ["enwiki-20260101-pages-articles-multistream1.xml-p1p41242.bz2", "enwiki-latest-pages-articles.xml.bz2",
             "dewiki-20260101-pages-articles14.xml-p7p9.bz2", "mine.bz2"]  # fmt: skip
    for number, name in enumerate(names):
        (tmp_path / name).write_bytes(multistream([page(number, f"Text {number}")]))
    index = "enwiki-20260101-pages-articles-multistream-index1.txt-p1p41242.bz2"
    (tmp_path / index).write_bytes(bz2.compress(b"600:10:Anarchism\n"))
    out, bad = read_source(tmp_path, path=".")
    assert sorted(out["text"].to_pylist()) == [f"Text {n}" for n in range(4)]
    assert bad.left == {"index file": (1, index)}
