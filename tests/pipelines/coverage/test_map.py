"""The map of a snapshot."""

import json
from html.parser import HTMLParser

import pytest

from corpusmill.pipelines.coverage.map import make_map
from corpusmill.transforms.errors import DatasetError
from tests.command import invoke, invoke_json
from tests.pipelines.coverage.corpus import make, rows

COUNTS = {0: 500, 1: 300, 2: 150, 3: 60, 4: 10}


def test_a_topic_of_one_percent_that_was_removed_is_named_first(tmp_path):
    here = make(tmp_path / "a", rows({k: n for k, n in COUNTS.items() if k != 4}))
    reference = make(tmp_path / "b", rows(COUNTS, source="r"))
    found = make_map(here, against=reference, clusters=16)
    assert found.against is not None
    first, examples = found.against.lacks[0]
    assert first.sure
    assert first.here == 0
    assert "topice" in found.topics.labels[first.cluster]
    assert all("topice" in e["text"] for e in examples)
    assert not [d for d, _ in found.against.only_here if d.sure]
    turned = make_map(reference, against=here, clusters=16)
    assert "topice" in turned.topics.labels[turned.against.only_here[0][0].cluster]


def test_a_source_of_one_topic_is_a_hole_of_all_others(tmp_path):
    documents = rows({0: 200, 1: 200, 2: 200}, lang="en") + rows({3: 150}, seed=9, lang="de")
    found = make_map(make(tmp_path, documents), clusters=8)
    language = next(d for d in found.dimensions if d.name == "language")
    only = [c for c in range(len(found.counts)) if language.counts[c, language.values.index("de")]]
    assert all("topicd" in found.topics.labels[c] for c in only)
    assert [(value, of) for _, value, _, of in language.one_topic] == [("de", 150)]
    assert {c for c, value, n, _ in language.holes if value == "de" and n == 0} >= {
        c for c in range(len(found.counts)) if c not in only and found.counts[c] > 100
    }


def test_the_same_figures_for_any_sharding_and_number_of_workers(tmp_path):
    documents = rows(COUNTS)
    first = make_map(make(tmp_path / "a", documents), clusters=8, sample=400).to_dict()
    second = make_map(make(tmp_path / "b", documents[::-1], files=5, workers=2), clusters=8, sample=400).to_dict()
    first.pop("dataset")
    second.pop("dataset")
    assert json.dumps(first) == json.dumps(second)


def test_a_uniform_corpus_is_more_diverse(tmp_path):
    flat = {f.name: f for f in make_map(make(tmp_path / "a", rows(dict.fromkeys(range(5), 100))), clusters=8).figures}
    steep = {
        f.name: f
        for f in make_map(make(tmp_path / "b", rows({0: 460, 1: 10, 2: 10, 3: 10, 4: 10})), clusters=8).figures
    }
    for name in ("distinct-1", "Vendi score"):
        assert flat[name].value > steep[name].value + 2 * (flat[name].error + steep[name].error)
    assert flat["compression ratio"].value < steep["compression ratio"].value


def test_snapshots_that_moved_are_told(tmp_path):
    make(tmp_path, rows({0: 200, 1: 200}))
    found = make_map(make(tmp_path, rows({0: 200, 1: 200, 2: 400})), clusters=6)
    assert [m.number for m in found.moved] == [1]
    assert 0.3 < found.moved[0].distance < 0.7


def test_the_verb_prints_and_writes_a_page(tmp_path):
    make(tmp_path / "a", rows({0: 100, 1: 50}))
    make(tmp_path / "b", rows({0: 100, 1: 50, 2: 60}, source="<i>"))
    a, b, page = (str(tmp_path / p) for p in ("a/out", "b/out", "map.html"))
    shown = invoke("map", a, "--against", b, "--clusters", "6", "--html", page).output
    assert "It has, and this lacks" in shown
    assert "topicc" in shown
    assert "Vendi score" in shown
    text = (tmp_path / "map.html").read_text()
    HTMLParser().feed(text)
    assert "<script" not in text
    assert "&lt;i&gt;-2-" in text
    assert invoke_json("map", a, "--clusters", "6")["sampled"] == 150


def test_private_documents_are_left_out(tmp_path, monkeypatch):
    import corpusmill
    from corpusmill.pipelines.dataset.snapshot import Dataset

    monkeypatch.chdir(tmp_path)
    (tmp_path / "open.jsonl").write_text("".join(json.dumps(r) + "\n" for r in rows({0: 80})))
    (tmp_path / "own.jsonl").write_text("".join(json.dumps(r) + "\n" for r in rows({1: 80}, source="p")))
    sources = [{"name": n, "path": f"{n}.jsonl", "columns": {"id": "id"}} for n in ("open", "own")]
    sources[1]["private"] = True
    corpusmill.run({"name": "t", "sources": sources, "output": "out"})
    found = make_map(Dataset("out"), clusters=4)
    assert (found.documents, found.hidden) == (80, 80)
    assert "topicb" not in json.dumps(found.to_dict())
    corpusmill.run({"name": "t", "sources": sources[1:], "output": "all"})
    with pytest.raises(DatasetError, match="privacy statistics"):
        make_map(Dataset("all"))


def test_documents_without_words(tmp_path):
    with pytest.raises(DatasetError, match="no document has a word"):
        make_map(make(tmp_path, [{"id": str(i), "text": "...", "lang": "en"} for i in range(30)]))
