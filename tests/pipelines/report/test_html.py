"""The HTML report: whole in itself, without script, everything escaped, and right in a browser."""

import base64
import hashlib
import json
import re
from html.parser import HTMLParser

import pytest

from corpusmill.pipelines.dataset.snapshot import Dataset
from corpusmill.pipelines.report.html import BYTES, page
from tests.command import invoke
from tests.corpora import write_recipe

EVIL = "<script>document.title='ran'</script><img src=x onerror=\"document.title='ran'\">\"'&"
CONTROLS = "\x1b[31m\x1b]0;x\x07\u202eevil\u2066\u2028\x00"
PROSE = "The words of document {} are read with care, and they have that which the rules of prose ask for here. "
STEPS = [{"gopher-quality": {"min_words": 10, "keep_scores": True}}, "exact", "minhash"]


@pytest.fixture(scope="module")
def out(tmp_path_factory):
    """A dataset of two snapshots: hostile, right-to-left, CJK and long documents, duplicates, and a private source."""
    folder = tmp_path_factory.mktemp("report")
    (folder / "raw").mkdir()
    long = " ".join(f"the word{i} that have" for i in range(90))
    docs = [{"id": f"d{i}", "text": PROSE.format(f"{i} " * 5) * 2} for i in range(12)]
    docs += [
        {"id": EVIL + CONTROLS, "text": EVIL + CONTROLS},
        {"id": "kept" + EVIL, "text": PROSE.format(EVIL + CONTROLS) * 2},
        {"id": "hebrew", "text": "שלום עולם, זהו מסמך בעברית עם כמה מילים. " * 6},
        {"id": "chinese", "text": "这是一个很长的中文文档，里面有很多句子。" * 20},
        {"id": "line", "text": "x" * 1_000_000},
        {"id": "hashes", "text": ("# # # # the words have that " * 12)},
        {"id": "twin a", "text": long},
        {"id": "twin b", "text": long + " and one more"},
        {"id": "bad", "text": None},
    ]
    (folder / "raw/a.jsonl").write_text("".join(json.dumps(d) + "\n" for d in docs))
    secret = [{"id": "secret-id", "text": "a secret text"}, {"id": "secret-2", "text": PROSE.format("secret") * 3}]
    (folder / "raw/secret.ndjson").write_text("".join(json.dumps(d) + "\n" for d in secret))
    source = {"name": "web", "path": "raw/*.jsonl", "columns": {"id": "id"}, "max_bad_fraction": 0.5}
    recipe = write_recipe(folder, STEPS, sources=[source])
    assert invoke("run", recipe, "--workers", 1).exit_code == 0
    (folder / "raw/b.jsonl").write_text(json.dumps({"id": "new", "text": PROSE.format("new") * 4}) + "\n")
    assert invoke("run", recipe, "--workers", 1).exit_code == 0
    private = {"name": "mail", "path": "raw/*.ndjson", "columns": {"id": "id"}, "private": True}
    other = write_recipe(folder, STEPS, sources=[source, private], output={"path": "private"})
    assert invoke("run", other, "--workers", 1).exit_code == 0
    return folder / "out"


@pytest.fixture(scope="module")
def text(out):
    reader = Dataset(out)
    return page(reader, reader.manifest())


def tags(text):
    found = []
    parser = HTMLParser()
    parser.handle_starttag = lambda tag, attrs: found.append((tag, dict(attrs)))
    parser.feed(text)
    return found


def test_nothing_is_run_or_loaded(text):
    assert not {"script", "link", "img", "iframe", "object", "base", "form"} & {tag for tag, _ in tags(text)}
    for _, attrs in tags(text):
        assert not {a for a in attrs if a in ("src", "style") or a.startswith("on")}
        assert attrs.get("href", "#").startswith("#")
    assert "<script>" not in text
    assert "&lt;script&gt;" in text
    assert not set("\x1b\x00\x07\u202e\u2066\u2028") & set(text)
    assert len(text.encode()) < BYTES


def test_the_policy_allows_its_own_style_alone(text):
    style = re.search(r"<style>(.*?)</style>", text, re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(style.group(1).encode()).digest()).decode()
    assert f"content=\"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'\"" in text


def test_it_holds_the_recipe_the_funnel_and_examples(text):
    assert "22 read - 1 quarantined" in text
    for part in ("<strong><bdi>gopher-quality</bdi></strong>", "min_words: 10", "gopher-quality: max_hash_ratio"):
        assert part in text
    assert "<mark>#</mark>" in text  # what broke the rule
    assert "min_words is 10" in text
    assert "שלום עולם" in text or "这是一个很长的中文文档" in text
    assert "<ins> and one more</ins>" in text or "one more</ins>" in text
    assert "Jaccard 0.9" in text
    assert 'id="quarantine"' in text
    assert "null-text" in text
    assert 'class="trend"' in text


def test_histograms_say_their_threshold_in_words(text):
    labels = [a["aria-label"] for tag, a in tags(text) if a.get("class") == "histogram"]
    assert any(re.search(r"max_hash_ratio: \d+ values .* beyond max_hash_ratio = 0\.1", label) for label in labels)
    assert all(a.get("role") == "img" for tag, a in tags(text) if a.get("class") == "histogram")


def test_texts_and_ids_of_private_sources_are_left_out(out):
    reader = Dataset(out.parent / "private")
    private = page(reader, reader.manifest())
    assert "secret text" not in private
    assert "secret-" not in private
    assert "Documents of private sources are not shown" in private
    assert "null-text" in private  # of the source that is not private


def test_a_large_report_is_cut_until_it_fits(out, monkeypatch):
    reader = Dataset(out)
    whole = page(reader, reader.manifest())
    monkeypatch.setattr("corpusmill.pipelines.report.html.BYTES", len(whole.encode()) - 1)
    assert len(page(reader, reader.manifest())) < len(whole)


def test_a_snapshot_without_documents(tmp_path):
    (tmp_path / "raw").mkdir()
    (tmp_path / "raw/a.jsonl").write_text('{"text": "short"}\n')
    recipe = write_recipe(tmp_path, [{"length": {"min_words": 5}}], sources=[{"name": "raw", "path": "raw/*.jsonl"}])
    assert invoke("run", recipe, "--workers", 1).exit_code == 0
    reader = Dataset(tmp_path / "out")
    assert "No document is left" in page(reader, reader.manifest())


def test_the_verb_writes_one_file(out, tmp_path):
    done = invoke("report", out, "-o", tmp_path / "r.html")
    assert done.exit_code == 0, done.output
    assert (tmp_path / "r.html").read_text().startswith("<!doctype html>")
    assert [p.name for p in tmp_path.iterdir()] == ["r.html"]
    assert invoke("report", out, "-o", tmp_path / "no" / "r.html").exit_code in (0, 1)
    assert invoke("report", tmp_path / "none").exit_code == 1
