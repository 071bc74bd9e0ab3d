"""Single documents at the terminal: why, dropped, pairs, quarantine, and files and steps beside them."""

import json

import pytest

from tests.command import invoke, invoke_json
from tests.corpora import write_recipe

TEXT = "The words of document {} are read with care, and they have that which the rules of prose ask for. "


@pytest.fixture(scope="module")
def out(tmp_path_factory):
    folder = tmp_path_factory.mktemp("documents")
    (folder / "raw").mkdir()
    long = " ".join(f"word{i}" for i in range(200))
    docs = [{"id": f"d{i}", "text": TEXT.format(i) * 3} for i in range(8)]
    docs += [{"id": "short\x1b[2J", "text": "too\x1b[31m short"}, {"id": "bad", "text": None}]
    docs += [{"id": "a", "text": long}, {"id": "b", "text": long + " more"}, {"id": "twin", "text": docs[0]["text"]}]
    (folder / "raw/part.jsonl").write_text("".join(json.dumps(d) + "\n" for d in docs))
    sources = [{"name": "raw", "path": "raw/*.jsonl", "columns": {"id": "id"}, "max_bad_fraction": 0.5}]
    steps = [{"length": {"min_words": 10}}, "exact", "minhash"]
    recipe = write_recipe(folder, steps, sources=sources)
    assert invoke("run", recipe, "--workers", 1).exit_code == 0
    return folder / "out"


def test_why_says_what_was_found_and_asked_and_shows_the_text(out):
    done = invoke("why", out, "short\x1b[2J", "--text")
    assert done.exit_code == 0
    assert "found 2; min_words is 10" in done.stdout
    assert "row 8 of part.jsonl, 14 B:\n\ntoo\ufffd[31m short" in done.stdout
    assert "\x1b" not in done.stdout
    assert f"Its text: corpusmill why {out} ID --text" in invoke("why", out, "d1").stdout
    kept = invoke_json("why", out, "d1", "--text")
    assert kept["text"]["text"] == TEXT.format(1) * 3
    assert kept["text"]["file"].startswith("data/")
    # an exact duplicate names the other row
    assert "the survivor is d0" in invoke("why", out, "twin").stdout


def test_dropped_shows_texts_by_step_and_rule(out):
    every = invoke("dropped", out).stdout
    assert "length: min_words, 1 in all" in every
    assert "exact: exact-duplicate, 1 in all" in every
    assert "    | too\ufffd[31m short" in every
    assert "\x1b" not in every
    (row,) = invoke_json("dropped", out, "--step", "length", "--rule", "min_words", "-n", 5)
    assert (row["id"], row["text"]) == ("short\x1b[2J", "too\x1b[31m short")
    assert "| " not in invoke("dropped", out, "--no-text").stdout
    unknown = invoke("dropped", out, "--step", "clean")
    assert (unknown.exit_code, "its steps are: length, exact, minhash" in unknown.stderr) == (1, True)
    assert "reasons are: min_words" in invoke("dropped", out, "--step", "length", "--rule", "max_words").stderr


def test_pairs_show_differences(out):
    said = invoke("pairs", out).stdout
    assert "Jaccard 0.99" in said
    assert "{+ more+}" in said.replace("{+ +}", "").replace("\n", " ") or "{+" in said
    (pair,) = invoke_json("pairs", out)
    assert {pair["id_a"], pair["id_b"]} == {"a", "b"}
    assert pair["text_b"] == pair["text_a"] + " more"


def test_pairs_of_a_snapshot_without_them(tmp_path):
    (tmp_path / "raw").mkdir()
    (tmp_path / "raw/a.jsonl").write_text('{"text": "one"}\n')
    sources = [{"name": "raw", "path": "raw/*.jsonl"}]
    assert invoke("run", write_recipe(tmp_path, ["exact"], sources=sources), "--workers", 1).exit_code == 0
    done = invoke("pairs", tmp_path / "out")
    assert (done.exit_code, "`minhash` and `semantic` find them" in done.stderr) == (1, True)
    assert invoke("quarantine", tmp_path / "out").stdout == "No row is quarantined.\n"
    assert invoke("dropped", tmp_path / "out").stdout == "No document was dropped.\n"


def test_quarantine_and_files(out):
    said = invoke("quarantine", out).stdout
    assert "part.jsonl" in said
    assert "null-text" in said
    (row,) = invoke_json("quarantine", out)
    assert row["position"] == 10
    paths = invoke("files", out).stdout.split()
    assert paths == invoke_json("files", out, "--snapshot", 1)
    assert all(p.startswith(str(out)) and p.endswith(".parquet") for p in paths)


def test_steps_are_listed_and_explained():
    listed = invoke_json("steps")
    assert {"clean", "minhash", "pack"} <= {s["name"] for s in listed}
    assert {s["kind"] for s in listed} <= {"map", "filter", "expand", "group", "terminal"}
    one = invoke("steps", "minhash").stdout
    assert "threshold" in one
    assert "0.8" in one
    assert "Broder 1997" in one
    assert invoke_json("steps", "minhash")["fields"][0]["name"] == "threshold"
    assert "did you mean `minhash`?" in invoke("steps", "minhsah").stderr
    assert invoke("steps", "my.own:Step").exit_code == 78
