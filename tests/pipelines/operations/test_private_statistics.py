"""`corpusmill privacy statistics`: counts of a private dataset, paid from its ledger, shown in its report."""

import json

import pytest
from click.testing import CliRunner

from corpusmill.pipelines.cli import cli
from corpusmill.pipelines.operations.private_statistics import releases
from corpusmill.pipelines.recipe.model import load
from corpusmill.pipelines.run import run
from corpusmill.privacy.ledger import Ledger
from tests.corpora import rows, write_recipe, write_shards

pytest.importorskip("dp_accounting", reason="dp-accounting is not installed (extra `privacy`)")


def corpusmill(*args: object):
    return CliRunner().invoke(cli, [*map(str, args)])


@pytest.fixture
def dataset(tmp_path):
    write_shards(tmp_path / "raw", rows(400), 2)
    write_shards(tmp_path / "open", rows(50, seed=3), 1)
    sources = [
        {"name": "mail", "path": "raw/*.parquet", "columns": {"id": "id"}, "private": True},
        {"name": "web", "path": "open/*.parquet", "columns": {"id": "id"}},
    ]
    privacy = {"population": "letters", "units": 1000, "epsilon": 3.0, "delta": 1e-4}
    run(load(write_recipe(tmp_path, [{"length": {"min_chars": 5}}], sources=sources, privacy=privacy)), workers=1)
    return tmp_path / "out"


def test_counts_are_published_once_paid_and_shown(dataset, monkeypatch):
    # the same draws in every run: what is asserted of them holds always, or never
    monkeypatch.setattr("corpusmill.pipelines.beam.counts.secrets.token_bytes", lambda n: bytes(range(n)))
    kept = json.loads(corpusmill("show", dataset, "--json").stdout)["documents"]
    before = corpusmill("show", dataset).output
    assert "private counts" not in before
    said = corpusmill("privacy", "statistics", dataset, "--epsilon", "2", "--workers", "1", "--json")
    assert said.exit_code == 0, said.output
    found = json.loads(said.stdout)
    assert found["by"] == ["source", "length"]
    assert found["sources"] == ["mail"]
    mail = next(r for r in found["counts"] if r["by"] == "source")
    assert mail["group"] == "mail"  # public documents are not counted
    assert abs(mail["units"] - (kept - 50)) < 50
    assert 1.0 < Ledger(dataset).spent() < 2.0  # at the budget's delta, which is larger
    assert [r["counts"] for r in releases(str(dataset), 1)] == [found["counts"]]
    shown = corpusmill("show", dataset).output
    assert "private counts of documents of mail: epsilon 2 at delta 1e-06, add-or-remove" in shown
    assert "the funnel may not" in " ".join(shown.split())
    assert corpusmill("show", dataset, "--html", dataset / "page.html").exit_code == 0
    page = (dataset / "page.html").read_text()
    assert "Counts that may be published" in page
    assert "counts of snapshot 1 by source, length" in corpusmill("privacy", "status", dataset).output
    assert corpusmill("verify", dataset).exit_code == 0


def test_what_cannot_be_paid_or_counted_is_refused_before_anything_is_read(dataset):
    assert corpusmill("privacy", "statistics", dataset, "--epsilon", "2", "--by", "topic").exit_code == 78
    over = corpusmill("privacy", "statistics", dataset, "--epsilon", "6", "--by", "source")
    assert over.exit_code == 1
    assert "No data was touched" in over.output
    assert not Ledger(dataset).entries()
    assert releases(str(dataset), 1) == []
    elsewhere = corpusmill("privacy", "statistics", dataset, "--epsilon", "1", "--ledger", dataset / "none.jsonl")
    assert "there is no privacy ledger" in elsewhere.output


def test_counts_demand_the_certification_of_the_snapshot(tmp_path):
    """After `exact`, one user with 200 documents that equal those of 200 others decides which of these are counted."""
    (tmp_path / "raw").mkdir()
    mine = [
        {"id": f"a{i:03}", "text": f"document {i} about a transfer", "user": "zoe", "label": "card"} for i in range(200)
    ]
    others = [{**row, "id": f"z{i:03}", "user": f"u{i:03}", "label": "transfer"} for i, row in enumerate(mine)]
    (tmp_path / "raw" / "a.jsonl").write_text("".join(json.dumps(row) + "\n" for row in mine + others))
    columns = {name: name for name in ("id", "text", "user", "label")}
    sources = [{"name": "calls", "path": "raw/*.jsonl", "columns": columns, "private": True}]
    run(load(write_recipe(tmp_path, ["exact"], sources=sources)), workers=1)
    out = tmp_path / "out"
    made = corpusmill(
        "privacy", "budget", out, "--population", "p", "--unit", "user", "--epsilon", 8, "--delta", 1e-6, "--units", 201
    )
    assert made.exit_code == 0, made.output
    refused = corpusmill("privacy", "statistics", out, "--epsilon", "2", "--by", "label", "--workers", "1")
    assert refused.exit_code == 1
    assert "cannot be counted privately (unit: user)" in refused.output
    assert "exact" in refused.output
    assert not Ledger(out).entries()
    assert releases(str(out), 1) == []
