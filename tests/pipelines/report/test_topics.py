"""The report's sections on topics and people, and the pages of `map` and `bias` in a real browser."""

import json

import numpy as np
import pytest

from corpusmill.pipelines.coverage.bias import measure
from corpusmill.pipelines.coverage.map import make_map
from corpusmill.pipelines.coverage.sample import part_of
from corpusmill.pipelines.report import topics
from corpusmill.pipelines.report.coverage_page import write_bias, write_map
from corpusmill.pipelines.report.html import BYTES, page
from corpusmill.transforms.people.lexicon import load
from tests.browser import NARROW, WIDE, browser, needs_chromium
from tests.pipelines.coverage.corpus import make, rows

WORDS = {
    "zh": ["机器学习模型", "数据训练集合", "神经网络参数"],
    "ar": ["التوثيق الأصلي", "الأوامر المفيدة", "شبكة الاتصال"],
}


def documents() -> list[dict[str, str]]:
    """Three topics in English, of which two are short, one in Chinese and one in Arabic; some name people."""
    rng = np.random.default_rng(0)
    made = rows({0: 200, 1: 120, 2: 120})
    for i, row in enumerate(made):
        row["text"] += " She is a nurse." * (i % 3 == 0) + " He is an engineer." * (i % 4 == 0)
        row["text"] *= 8 if row["id"].startswith("t-0") else 1
    for lang, words in WORDS.items():
        made += [
            {"id": f"<b>{lang}-{i}", "text": " ".join(rng.choice(words, 9)) + f" {i}", "lang": lang} for i in range(60)
        ]
    return made


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    return make(tmp_path_factory.mktemp("topics"), documents(), files=3, steps=[{"sample": {"fraction": 0.9}}])


def test_the_report_shows_topics_and_people(dataset):
    text = page(dataset, dataset.manifest())
    assert len(text.encode()) < BYTES
    for part in ('id="clusters"', 'id="table"', 'id="diversity"', 'id="mentions"', 'id="filters"', 'class="treemap'):
        assert text.count(part) == 1
    assert "topica" in text
    assert "gender.female" in text
    assert "&lt;b&gt;zh-" in text
    assert "Vendi score" in text
    assert "shards that are evenly spread" not in text


def test_a_large_dataset_is_read_in_part(dataset, monkeypatch):
    manifest = dataset.manifest()
    files = [{**manifest["files"][0], "path": str(i), "rows": 10, "bytes": 100} for i in range(10)]
    large = {**manifest, "files": files, "bytes": 1000}
    picked = part_of(large, 300)
    assert [f["path"] for f in picked["files"]] == ["0", "3", "6"]
    assert picked["documents"] == 30
    assert len(part_of(large, 1)["files"]) == 1
    assert part_of(large, None) is large
    monkeypatch.setattr(topics, "READ", manifest["bytes"] // 3)
    found = topics.look(dataset, manifest)
    assert not found.filters  # the sources are larger than what is read
    assert found.part == ""  # one shard is read whole
    assert "shards" in topics.Topics(found.map, None, False, "3 of 10 shards").sections(300)["map"]["part"]


def test_private_documents_are_not_in_it(tmp_path, monkeypatch):
    import corpusmill
    from corpusmill.pipelines.dataset.snapshot import Dataset

    monkeypatch.chdir(tmp_path)
    (tmp_path / "own.jsonl").write_text("".join(json.dumps(r) + "\n" for r in rows({1: 40}, source="p")))
    source = {"name": "own", "path": "own.jsonl", "columns": {"id": "id"}, "private": True}
    corpusmill.run({"name": "t", "sources": [source], "output": "out"})
    text = page(Dataset("out"), Dataset("out").manifest())
    assert "topicb" not in text
    assert 'id="clusters"' not in text


@needs_chromium
def test_the_pages_of_map_and_bias_in_a_browser(dataset, tmp_path):
    found = make_map(dataset, against=make(tmp_path / "b", rows({0: 100, 4: 90})), clusters=12)
    assert found.dimensions[0].holes
    write_map(found, str(tmp_path / "map.html"))
    write_bias(measure(dataset, None, None, load(), 5_000), str(tmp_path / "bias.html"))
    with browser() as tab:
        for name in ("map", "bias"):
            for size, dark in ((WIDE, False), (NARROW, True)):
                tab.open(f"file://{tmp_path}/{name}.html", size, dark)
                assert tab.overflow() <= 0
                assert tab.axe() == []
                tab.shot(f"{name}-{'narrow-dark' if dark else 'wide'}", whole=True)
            narrow = "[...document.querySelectorAll('td:not(.n)')].filter(e => e.offsetWidth < 60).length"
            assert tab.js(narrow) == 0
            assert tab.errors == []
        assert {r.split(":")[0] for r in tab.requests} <= {"file"}
