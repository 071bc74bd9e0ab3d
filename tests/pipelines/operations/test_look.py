"""Documents before and after a step, of datasets and of recipes, in every script, on a terminal and off it."""

import json
import random
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from corpusmill.pipelines.dataset.snapshot import Dataset
from corpusmill.pipelines.operations.look import Look, Pair, of_dataset, of_recipe
from corpusmill.pipelines.recipe.model import load
from corpusmill.pipelines.report.look import render, render_pair, side_by_side, words
from corpusmill.pipelines.report.terminal import cell_width
from corpusmill.pipelines.run import run
from corpusmill.transforms.errors import DatasetError, RecipeError
from tests.corpora import rows, write_recipe, write_shards

NOISE = {"noise": {"delete": 0.1, "swap": 0.1}}
STEPS = [{"clean": {}}, {"exact": {}}, {"length": {"min_words": 5}}, NOISE]


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    folder = tmp_path_factory.mktemp("look")
    write_shards(folder / "raw", rows(200), 3)
    recipe = load(write_recipe(folder, STEPS))
    run(recipe)
    return folder, recipe


def test_derived_documents_stand_beside_their_parents(corpus):
    folder, _ = corpus
    texts = {d["id"]: d["text"] for d in rows(200)}
    look = of_dataset(Dataset(folder / "out"), None, None, None, 5)
    assert len(look.pairs) == 5
    for pair in look.pairs:
        assert pair.before == texts[pair.parent].strip()
        assert pair.after != pair.before
        assert json.loads(pair.note)["edits"] > 0
    again = of_dataset(Dataset(folder / "out"), 1, "noise", look.pairs[0].parent, 5)
    assert again.pairs == [look.pairs[0]]
    assert of_dataset(Dataset(folder / "out"), 1, "noise", look.pairs[0].id, 5).pairs == [look.pairs[0]]


def test_a_dataset_without_derived_documents_says_what_to_do(corpus):
    folder, _ = corpus
    with pytest.raises(DatasetError, match="look RECIPE --step NAME"):
        of_dataset(Dataset(folder / "out"), None, "synonyms", None, 3)
    with pytest.raises(DatasetError, match="comes from nobody"):
        of_dataset(Dataset(folder / "out"), None, None, "nobody", 3)


def test_a_recipes_step_is_tried_without_a_run_and_agrees_with_it(corpus, tmp_path):
    folder, recipe = corpus
    look = of_recipe(recipe, "noise", None, 4)
    assert look.left_out == ["exact"]
    published = {p.id: p for p in of_dataset(Dataset(folder / "out"), None, "noise", None, 64).pairs}
    shared = [p for p in look.pairs if p.id in published]
    assert shared
    assert all(p == published[p.id] for p in shared)
    # nothing is written
    write_shards(tmp_path / "raw", rows(50), 2)
    of_recipe(load(write_recipe(tmp_path, STEPS)), "noise", None, 2)
    assert not (tmp_path / "out").exists()


def test_filters_show_what_they_drop_and_maps_what_they_change(corpus, tmp_path):
    _, recipe = corpus
    dropped = of_recipe(recipe, "length", None, 3).pairs
    assert all(p.after is None and p.note.startswith("dropped by length for min_words (") for p in dropped)
    docs = [{"id": f"d{i}", "text": f"one  two\r\nthree {i} ", "year": 1} for i in range(9)]
    write_shards(tmp_path / "raw", docs, 2)
    tidy = load(write_recipe(tmp_path, [{"clean": {}}]))
    (pair,) = of_recipe(tidy, None, "d4", 3).pairs
    assert (pair.before, pair.id, pair.parent) == ("one  two\r\nthree 4 ", "d4", None)
    assert pair.after == "one  two\nthree 4" or pair.after == "one two\nthree 4"


def test_what_cannot_be_looked_at_is_said(corpus):
    _, recipe = corpus
    with pytest.raises(RecipeError, match=r"no step `nois`; its steps are: clean, exact, length, noise"):
        of_recipe(recipe, "nois", None, 3)
    with pytest.raises(RecipeError, match="exact needs the whole corpus"):
        of_recipe(recipe, "exact", None, 3)
    with pytest.raises(RecipeError, match="no document nobody reaches step noise"):
        of_recipe(recipe, "noise", "nobody", 3)


TEXT = st.text(st.sampled_from("ab c\n数据。\t仮名é\u0301"), max_size=60)


@given(TEXT, TEXT)
def test_each_side_is_its_text_again(before, after):
    left, right = [], []
    for old, new in side_by_side(before, after):
        left.append("".join(bit.text for bit in old))
        right.append("".join(bit.text for bit in new))
        assert "".join(b.text for b in old if not b.changed) == "".join(b.text for b in new if not b.changed)
    assert "\n".join(left).rstrip("\n") == before.rstrip("\n")
    assert "\n".join(right).rstrip("\n") == after.rstrip("\n")
    assert "".join(words(before)) == before


@given(TEXT, TEXT, st.integers(40, 90), st.booleans())
def test_columns_are_straight_in_every_script(before, after, width, rich):
    shown = render_pair(Pair("id", "p", "s", before, after, ""), width, rich)
    plain = re.sub(r"\x1b\[[0-9;]*m", "", shown).splitlines()
    bars = {cell_width(line.split("│")[0]) for line in plain if "│" in line}
    assert len(bars) <= 1
    assert all(cell_width(line) <= width for line in plain[1:] if "│" in line)


def test_edits_are_marked_by_word_and_by_character():
    pair = Pair("d", None, "s", "keep this word\n我们清洗数据", "keep that word\n我们去重数据", "")
    plain = render_pair(pair, 80, False)
    assert "keep [-this-] word" in plain
    assert "keep {+that+} word" in plain
    assert "我们[-清洗-]数据" in plain
    assert "我们{+去重+}数据" in plain
    rich = render_pair(pair, 80, True)
    assert "\x1b[1;31mthis\x1b[0m" in rich
    assert "\x1b[32m重\x1b[0m" in rich
    assert "[-" not in rich.replace("\x1b[", "")


def test_documents_cannot_move_the_cursor():
    pair = Pair("a\x1b[2J", None, "s", "x \x1b[31m y", "z \x07\u202e", "note\x1b]0;title\x07")
    assert "\x1b" not in render(Look([pair], []), 80, False)
    assert "\x07" not in render(Look([pair], []), 80, False)


def test_equal_lines_are_left_out_and_long_documents_take_no_time():
    rng = random.Random(1)
    lines = [" ".join(rng.choices("abcdefghij", k=8)) for _ in range(3000)]
    changed = [*lines]
    for i in range(0, 3000, 7):
        changed[i] = "new " + changed[i]
    shown = render_pair(Pair("d", None, "s", "\n".join(lines), "\n".join(changed), ""), 80, False)
    assert shown.count("{+new +}") == len(range(0, 3000, 7))
    shown = render_pair(Pair("d", None, "s", "\n".join(lines), "\n".join([*lines[:-1], "end"]), ""), 80, False)
    assert "… 2,998 equal lines" in shown
    assert len(shown.splitlines()) < 6


def test_absent_parents_and_empty_texts():
    assert "its parent is not in the snapshot" in render_pair(Pair("d", "p", "s", None, "text", "note"), 80, False)
    assert render_pair(Pair("d", None, "s", "", "", ""), 80, False) == "d (s)"
    assert "[-gone-]" in render_pair(Pair("d", None, "s", "gone", None, "dropped"), 80, False)
