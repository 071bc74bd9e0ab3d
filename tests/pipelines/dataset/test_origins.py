"""Origins of documents: tallied shard by shard, summed in the manifest, shown by the card."""

import json

import pyarrow as pa
import pytest

import corpusmill
from corpusmill.pipelines.dataset.origins import Tally, section, summed


def rows(n=60):
    hosts = ["www.example.co.uk", "a.user.github.io", "b.user.github.io", "example.org"]
    for i in range(n):
        yield {
            "url": f"https://{hosts[i % 4]}/{i}",
            "text": f"text {i} " * (1 + i % 4),
            "licence": ["MIT", None][i % 2],
            "created": f"2026-0{1 + i % 3}-05T00:00:00Z",
        }


def test_origins_are_those_of_the_published_documents_for_any_sharding(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    data = list(rows())
    for k in range(3):
        (tmp_path / f"{k}.jsonl").write_text("\n".join(json.dumps(r) for r in data[k::3]))
    source = {"name": "w", "path": "*.jsonl", "columns": {"created": "created"}}
    recipe = {"name": "t", "sources": [source], "steps": [{"length": {"min_chars": 10}}]}
    runs = [
        corpusmill.run(recipe | {"output": {"path": f"o{n}", "shard_bytes": n}}, workers=1).dataset.manifest
        for n in (1 << 16, 1 << 26)
    ]
    assert runs[0]["origins"] == runs[1]["origins"]
    assert runs[0]["origins"]["distinct"] == {"domain": 2, "licence": 1, "month": 3}
    top = [(o["kind"], o["value"], o["documents"]) for o in runs[0]["origins"]["top"]]
    # the texts of example.co.uk are too short
    assert top[:2] == [("domain", "user.github.io", 30), ("domain", "example.org", 15)]
    assert sum(o["bytes"] for o in runs[0]["origins"]["top"] if o["kind"] == "domain") == runs[0]["bytes"]
    card = (tmp_path / "o65536" / "README.md").read_text()
    assert "| domain | documents | bytes of text | share |\n|---|---|---|---|\n| user.github.io | 30 |" in card
    assert "| *not stated* | 30 |" in card
    assert "Documents are dated from 2026-01 to 2026-03." in card


def test_private_text_is_not_tallied(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.jsonl").write_text("\n".join(json.dumps(r) for r in rows(8)))
    source = {"name": "w", "path": "a.jsonl", "columns": {"id": "url"}, "private": True}
    recipe = {"name": "t", "sources": [source], "output": "out"}
    assert "origins" not in corpusmill.run(recipe).dataset.manifest


@pytest.mark.parametrize("kind", ["domain", "licence", "language"])
def test_a_long_list_is_cut_in_the_card_and_a_hostile_value_stays_a_cell(kind):
    tally = Tally()
    column = {"domain": "url", "licence": "licence", "language": "lang"}[kind]
    values = [f"https://e{i}.org/" for i in range(2000)] if kind == "domain" else [f"|x\n{i}" for i in range(2000)]
    tally.add(pa.record_batch({"id": values, "text": ["ab"] * 2000, column: values}))
    found = summed([tally.table(), tally.table()])
    assert found["distinct"] == {kind: 2000}
    assert len(found["top"]) == {"domain": 1000}.get(kind, 100)
    text = section(found)
    assert "| and 1,980 more |" in text
    assert all(line.startswith(("| ", "|-")) for line in text.split("\n\n")[0].splitlines())


def test_documents_without_origins_have_no_section():
    tally = Tally()
    tally.add(pa.record_batch({"id": ["a"], "text": ["x"], "date": pa.array([None], pa.timestamp("us"))}))
    tally.add(pa.record_batch({"id": [1], "text": ["x"], "url": [2]}))
    assert section(summed([tally.table()])) == ""
    assert summed([]) is None
