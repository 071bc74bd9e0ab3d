"""The HTML page: whole in itself, without script, everything escaped."""

from __future__ import annotations

import base64
import hashlib
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from corpusmill.pipelines.report.html import page
from corpusmill.transforms.shards import ShardWriter

EVIL = "<script>alert(1)</script>\"'&"


class _Dataset:
    """What the page needs of a dataset: its folder."""

    def __init__(self, path: Path) -> None:
        self.path = str(path)


@pytest.fixture
def made(tmp_path: Path) -> tuple[Any, dict[str, Any]]:
    def write(name: str, rows: dict[str, list[Any]]) -> dict[str, Any]:
        batch = pa.record_batch(rows)
        with ShardWriter(str(tmp_path / name), batch.schema) as writer:
            writer.write(batch)
        return {"path": name, "rows": batch.num_rows}

    files = [
        write("data/a.parquet", {"id": [EVIL, "k2"], "text": [EVIL * 100, "漢字"], "source": ["web", "web"]}),
        write("data/b.parquet", {"id": ["secret-id"], "text": ["a secret text"], "source": ["private"]}),
    ]
    dropped = {
        "id": ["secret-id", EVIL, "x", "y"],
        "source": ["private", "web", "web", "web"],
        "step": ["exact"] * 4,
        "reason": [EVIL] * 4,
    }
    dropped |= {"value": [0.0, float("nan"), 1.0, 2.0], "survivor": [None, EVIL, None, None]}
    manifest = {
        "name": "name",
        "number": 3,
        "created": None,
        "documents": 3,
        "bytes": 100,
        "files": files,
        "tables": {"dropped": [write("dropped/0.parquet", dropped)]},
        "recipe": {"sources": [{"name": "web"}, {"name": "private", "private": True}]},
        "funnel": {
            "sources": [{"name": "web", "rows": 7, "bytes": 100, "quarantined": 0}],
            "steps": [
                {
                    "name": "exact",
                    "kind": "group",
                    "rows_in": 7,
                    "rows_out": 3,
                    "derived": 0,
                    "bytes_out": 9,
                    "dropped": {EVIL: 4},
                }
            ],
            "rows_in": 7,
            "rows_out": 3,
            "quarantined": 0,
        },
    }
    return _Dataset(tmp_path), manifest


def test_nothing_is_run_or_loaded(made: tuple[Any, dict[str, Any]]) -> None:
    text = page(*made)
    tags: list[tuple[str, list]] = []
    parser = HTMLParser()
    parser.handle_starttag = lambda tag, attrs: tags.append((tag, attrs))  # type: ignore[method-assign]
    parser.feed(text)
    assert not {"script", "link", "img", "iframe", "object"} & {tag for tag, _ in tags}
    assert not [a for _, attrs in tags for a in attrs if a[0] in ("src", "href", "style") or a[0].startswith("on")]
    assert EVIL not in text
    assert "&lt;script&gt;" in text


def test_the_policy_allows_its_own_style_alone(made: tuple[Any, dict[str, Any]]) -> None:
    text = page(*made)
    style = re.search(r"<style>(.*?)</style>", text, re.DOTALL)
    assert style
    digest = base64.b64encode(hashlib.sha256(style.group(1).encode()).digest()).decode()
    assert f"content=\"default-src 'none'; style-src 'sha256-{digest}'\"" in text


def test_it_holds_the_funnel_and_examples(made: tuple[Any, dict[str, Any]]) -> None:
    text = page(*made)
    assert "7 read - 4 dropped = 3 documents" in text
    assert text.count('<td class="id">') == 6  # three examples of the one reason: document and survivor
    assert "漢字" in text
    assert "nan" not in text


def test_texts_of_private_sources_are_left_out(made: tuple[Any, dict[str, Any]]) -> None:
    text = page(*made)
    assert "a secret text" not in text
    assert "secret-id" not in text
    assert "Documents of private sources are not shown" in text


def test_a_snapshot_without_documents(made: tuple[Any, dict[str, Any]]) -> None:
    dataset, manifest = made
    empty = {"sources": [], "steps": [], "rows_in": 0, "rows_out": 0, "quarantined": 0}
    assert "hold no document" in page(dataset, {**manifest, "documents": 0, "files": [], "tables": {}, "funnel": empty})
