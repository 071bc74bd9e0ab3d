"""`corpusmill scorer`: train, eval and card, and a recipe that uses what was trained."""

import json
import re

import pyarrow.parquet as pq
import pytest

from corpusmill.privacy.certification import learned_from, mark
from corpusmill.transforms.select._linear import open_scorer
from tests.command import invoke, invoke_json
from tests.transforms.select.test_select import COOKING, SPORT, texts


def write(path, kind, number, seed, **columns):
    path.write_text("".join(json.dumps({"text": t, **columns}) + "\n" for t in texts(kind, number, seed)))
    return path


@pytest.fixture
def files(tmp_path):
    return write(tmp_path / "like.jsonl", COOKING, 200, 1), write(tmp_path / "unlike.jsonl", SPORT, 200, 2)


def test_train_eval_card_and_a_recipe(tmp_path, files):
    like, unlike = files
    out = tmp_path / "s.safetensors"
    card = invoke_json("scorer", "train", "--like", like, "--unlike", unlike, "--out", out, "--buckets", 4096)
    assert card["documents"] == {"like": 200, "unlike": 200}
    assert card["held_out"]["auc"] == 1.0
    fresh = [write(tmp_path / f"{n}.jsonl", k, 40, s) for n, k, s in (("a", COOKING, 11), ("b", SPORT, 12))]
    assert invoke_json("scorer", "eval", out, "--like", fresh[0], "--unlike", fresh[1])["accuracy"] == 1.0
    assert invoke_json("scorer", "card", out)["documents"] == card["documents"]
    assert "Trained on: 200 like, 200 unlike." in invoke("scorer", "card", out).output
    recipe = tmp_path / "r.yaml"
    recipe.write_text(
        "name: r\nsources: [{name: a, path: a.jsonl}, {name: b, path: b.jsonl}]\n"
        "steps: [{quality: {model: s.safetensors}}, {top: {by: quality, share: 0.5}}]\noutput: {path: out}\n"
    )
    assert invoke("run", recipe, "--workers", 1).exit_code == 0
    tables = [pq.read_table(f) for f in (tmp_path / "out" / "data").glob("*.parquet")]
    assert sorted(s for t in tables for s in t["source"].to_pylist()) == ["a"] * 40


def test_the_same_documents_give_the_same_file(tmp_path, files):
    like, unlike = files
    made = []
    for name in ("one", "two"):
        assert invoke("scorer", "train", "--like", like, "--unlike", unlike, "--out", tmp_path / name).exit_code == 0
        made.append((tmp_path / name).read_bytes())
    assert made[0] == made[1]


def test_labels_in_a_column(tmp_path):
    lines = [
        {"text": t, "label": label} for kind, label in ((COOKING, "food"), (SPORT, "sport")) for t in texts(kind, 90, 4)
    ]
    path = tmp_path / "labels.jsonl"
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    card = invoke_json("scorer", "train", "--labels", path, "--out", tmp_path / "s")
    assert card["documents"] == {"food": 90, "sport": 90}


def test_one_label_and_too_few_documents_are_told(tmp_path, files):
    like, _ = files
    path = write(tmp_path / "one.jsonl", COOKING, 30, 1, label="food")
    done = invoke("scorer", "train", "--labels", path, "--out", tmp_path / "s")
    assert done.exit_code == 78
    assert "all documents have the label `food`" in done.output
    few = write(tmp_path / "few.jsonl", SPORT, 1, 3)
    done = invoke("scorer", "train", "--like", like, "--unlike", few, "--out", tmp_path / "s")
    assert "the label `unlike` has 1 documents" in done.output
    assert not (tmp_path / "s").exists()
    assert invoke("scorer", "train", "--like", like, "--out", tmp_path / "s").exit_code == 2
    assert invoke("scorer", "card", like).exit_code != 0


def test_an_unknown_label_is_named(tmp_path, files):
    like, unlike = files
    invoke("scorer", "train", "--like", like, "--unlike", unlike, "--out", tmp_path / "s", "--buckets", 64)
    path = write(tmp_path / "x.jsonl", COOKING, 5, 1, label="food")
    assert (
        "has no label `food`; its labels are like, unlike"
        in invoke("scorer", "eval", tmp_path / "s", "--labels", path).output
    )


def test_pairs_teach_which_text_is_preferred(tmp_path):
    good, bad = texts(COOKING, 120, 1), texts(SPORT, 120, 2)
    path = tmp_path / "pairs.jsonl"
    path.write_text("".join(json.dumps({"chosen": a, "rejected": b}) + "\n" for a, b in zip(good, bad)))
    out = tmp_path / "s"
    card = invoke_json("scorer", "train", "--pairs", path, "--out", out, "--buckets", 4096)
    assert card["pairs"] == 120
    assert card["held_out"]["accuracy"] == 1.0
    fresh = [write(tmp_path / f"{n}.jsonl", k, 40, s) for n, k, s in (("a", COOKING, 11), ("b", SPORT, 12))]
    assert invoke_json("scorer", "eval", out, "--like", fresh[0], "--unlike", fresh[1])["auc"] == 1.0
    lines = path.read_text().splitlines(True)
    path.write_text("".join(reversed(lines)))
    before = out.read_bytes()
    again = tmp_path / "again"
    invoke("scorer", "train", "--pairs", path, "--out", again, "--buckets", 4096)
    assert open_scorer(str(again)).weights.tobytes() == open_scorer(str(out)).weights.tobytes()
    assert before != again.read_bytes()  # the card names the file's digest
    path.write_text(json.dumps({"chosen": "x", "rejected": "y"}) + "\n")
    assert "there are 1 pairs of different texts" in invoke("scorer", "train", "--pairs", path, "--out", again).output


def test_a_folder_figures_by_language_and_numbers_as_labels(tmp_path):
    lines = [
        {"text": t, "score": score + i % 2, "lang": ("en", "de")[i % 2], "source": "s"}
        for kind, score in ((COOKING, 3), (SPORT, 0))
        for i, t in enumerate(texts(kind, 250, 4))
    ]
    path = tmp_path / "judged.jsonl"
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    options = ("--labels", path, "--label-column", "score", "--buckets", 4096, "--characters", "2-3", "--dims", 8)
    card = invoke_json("scorer", "train", *options, "--at-least", 3, "--out", f"{tmp_path}/made/")
    assert card["documents"] == {"like": 250, "unlike": 250}
    assert set(card["held_out"]["by_lang"]) == {"en", "de"}
    assert card["held_out"]["by_source"]["s"]["auc"] == 1.0
    assert "Trained on: 250 like, 250 unlike." in (tmp_path / "made" / "README.md").read_text()
    shown = invoke("scorer", "card", tmp_path / "made").output
    assert "Language de: " in shown
    assert "Source s: " in shown
    fresh = write(tmp_path / "fresh.jsonl", COOKING, 30, 9, label="like")
    assert invoke_json("scorer", "eval", tmp_path / "made", "--labels", fresh)["accuracy"] == 1.0
    assert invoke("scorer", "train", *options, "--at-least", 9, "--out", tmp_path / "s").exit_code == 78
    assert "shorter first" in invoke("scorer", "train", *options, "--characters", "4-2", "--out", tmp_path / "s").output


def test_a_scorer_of_private_documents_is_marked(tmp_path, files):
    like, unlike = files
    mark(like, ["diaries"])
    out = tmp_path / "s"
    invoke("scorer", "train", "--like", like, "--unlike", unlike, "--out", out, "--buckets", 64)
    assert learned_from(out) == ["diaries"]
    assert "Private: it was learned from diaries." in invoke("scorer", "card", out).output


def test_text_of_an_evaluation_set_is_told(tmp_path, files):
    like, unlike = files
    done = invoke("scorer", "train", "--like", like, "--unlike", unlike, "--evaluation", like, "--out", tmp_path / "s")
    assert done.exit_code == 78
    assert "share text with the evaluation set" in done.output
    assert not (tmp_path / "s").exists()


def test_a_field_without_a_default_is_not_called_required():
    shown = invoke("steps", "quality").output
    assert "required" not in shown
    assert "- quality: {model: quality.bin, min_score: 0.5}" in shown
    assert re.search(r"^model +required", invoke("steps", "annotate").output, re.MULTILINE)
