"""The web recipe from web archives to training shards."""

import random
import runpy
import shutil
from pathlib import Path

import pytest

pytest.importorskip("resiliparse")
import pyarrow.parquet as pq

from corpusmill.pipelines.operations.train_tokenizer import train
from corpusmill.pipelines.recipe.model import load
from corpusmill.pipelines.run import run
from tests.corpora import rows

ROOT = Path(__file__).resolve().parents[2]
RECIPE = ROOT / "pipelines/recipes/web.yaml"
PAGES = ROOT.parent / "shared/data/pages/pages.parquet"
record = runpy.run_path(str(ROOT / "examples/local_warc.py"))["record"]
MENU = "".join(f'<li><a href="/{n}">{n} of the site</a></li>' for n in ("Home", "News", "Sport", "Weather", "Contact"))
NOTE = "This text was brought to you by the friends of the valley and its many readers."


def page(text: str) -> bytes:
    body = "".join(f"<p>{part}.</p>" for part in text.split(". ") if part)
    return (
        f"<html><head><title>Story</title></head><body><nav><ul>{MENU}</ul></nav><main><article><h1>A story</h1>{body}"
        f"<p>{NOTE}</p></article></main></body></html>"
    ).encode()


def prose(n: int) -> list[str]:
    """Texts of sentences that the filters let pass."""
    words = "the of and to in that have with be for a river old bridge night water people house road field long green".split()
    words += (
        "morning evening teacher letter garden window kitchen market winter summer stone farmer doctor village".split()
    )
    out = []
    for i in range(n):
        draw = random.Random(i)
        parts = [" ".join(["The", *(draw.choice(words) for _ in range(11)), f"number{i}x{k}"]) for k in range(40)]
        out.append(". ".join(parts) + ". ")
    return out


def archive(folder: Path, pages: list[tuple[str, bytes]], shards: int) -> None:
    (folder / "raw").mkdir(parents=True)
    records = [record(url, html, i) for i, (url, html) in enumerate(pages)]
    for shard in range(shards):
        (folder / "raw" / f"{shard}.warc.gz").write_bytes(b"".join(records[shard::shards]))
    shutil.copy(RECIPE, folder / "web.yaml")


@pytest.fixture(scope="module")
def pages() -> list[tuple[str, bytes]]:
    found = [(f"https://www.valley.example/{i}", page(text)) for i, text in enumerate(prose(24))]
    found += [("http://valley.example/3?utm_source=letter", page(prose(4)[3]))]
    found += [("https://freeporn.example/1", page(rows(1)[0]["text"]))]
    found += [("https://valley.example/list", f"<ul>{MENU}</ul>".encode())]
    return found


def test_from_archives_to_training_rows(tmp_path, pages):
    rows_made = []
    for shards, workers in ((1, 1), (3, 2)):
        folder = tmp_path / str(shards)
        archive(folder, pages, shards)
        if shards == 1:
            train(str(folder / "web.yaml"), vocab_size=500)
        else:
            shutil.copy(tmp_path / "1" / "tokenizer.json", folder)
        result = run(load(folder / "web.yaml", ["steps.pack.length=128"]), workers=workers)
        steps = {s["name"]: s for s in result.funnel["steps"]}
        assert steps["urls"]["dropped"] == {"max_address_words": 1}
        assert steps["url-duplicates"]["dropped"] == {"same-url": 1}
        assert steps["extract"]["dropped"] == {"empty-page": 1}
        assert steps["extract"]["details"]["cut_blocks"] >= 24 * 5
        assert steps["site-boilerplate"]["details"]["cut_blocks"] >= 24
        assert steps["pack"]["dropped"]["used"] == steps["pack"]["rows_in"] > 10
        rows_made.append(steps["pack"]["rows_in"])
    assert rows_made[0] == rows_made[1]


def test_labelled_pages_go_through(tmp_path):
    if not PAGES.exists():
        pytest.skip(f"{PAGES} is not there")
    table = pq.read_table(PAGES, columns=["url", "html"]).slice(0, 120).to_pylist()
    archive(tmp_path, [(p["url"], p["html"]) for p in table], 2)
    recipe = (tmp_path / "web.yaml").read_text()
    (tmp_path / "web.yaml").write_text(recipe[: recipe.index("  - pack")] + recipe[recipe.index("output:") :])
    languages = "steps.language.keep=[de, en, fr, es, it, pl, nl, pt, cs, ru, zh, ja]"
    result = run(load(tmp_path / "web.yaml", [languages]), workers=2)
    steps = {s["name"]: s for s in result.funnel["steps"]}
    assert result.funnel["rows_in"] + result.funnel["quarantined"] >= 120
    assert steps["extract"]["rows_out"] >= 0.95 * steps["extract"]["rows_in"] > 90
    assert result.manifest["documents"] > 0
