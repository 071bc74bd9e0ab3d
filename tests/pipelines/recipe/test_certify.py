"""Which recipes may be trained on privately."""

import json
import shutil
from pathlib import Path

import pytest

from corpusmill.pipelines.recipe.certify import certify, guard
from corpusmill.pipelines.recipe.model import Recipe, load, loads
from corpusmill.privacy.certification import mark
from corpusmill.training.settings import from_mapping
from corpusmill.transforms.errors import PrivacyError, RecipeError


def recipe(folder: Path, steps: str, private: str = "true", path: str = "raw.jsonl") -> Recipe:
    (folder / "raw.jsonl").write_text('{"text": "x", "user": "ann"}\n')
    text = f"""
name: letters
sources:
  - {{name: mail, path: {path}, private: {private}, columns: {{user: user}}}}
steps: {steps}
output: {{path: out}}
"""
    return loads(text, "letters.yaml", folder)


def test_steps_that_look_at_one_document_are_certified(tmp_path):
    found = certify(
        recipe(tmp_path, "[clean: {}, gopher-quality: {}, unit: {by: user}, bound-units: {max_rows: 4}]"), "user"
    )
    assert not found.refusals
    assert dict(found.steps) == {"clean": "record", "gopher-quality": "record", "unit": "record", "bound-units": "unit"}
    found.require()


@pytest.mark.parametrize("step", ["exact", "minhash", "lines", "paragraphs", "substring", "mix"])
def test_steps_between_units_are_refused_with_the_way_out(tmp_path, step):
    found = certify(recipe(tmp_path, f"[clean: {{}}, {step}: {{}}]"))
    (refusal,) = found.refusals
    assert (refusal.step, refusal.stability) == (step, "cross")
    with pytest.raises(PrivacyError, match=rf"letters, line \d+: `{step}` \(cross\): .*To go on: "):
        found.require()


def test_public_data_needs_no_certificate(tmp_path):
    found = certify(recipe(tmp_path, "[exact: {}]", private="false"))
    assert not found.private
    found.require()


def test_a_step_of_ones_own_is_cross_until_it_says_otherwise(tmp_path):
    (tmp_path / "mine.py").write_text(
        "from corpusmill.transforms.base import Filter, Verdict\n"
        "import numpy as np\n"
        "class Odd(Filter):\n"
        "    name = 'odd'\n"
        "    def judge(self, batch, rng):\n"
        "        return Verdict(('odd',), np.full(len(batch), -1, np.int16), np.zeros(len(batch)))\n"
        "class Even(Odd):\n"
        "    name = 'even'\n"
        "    stability = 'record'\n"
    )
    assert [r.step for r in certify(recipe(tmp_path, "['mine:Odd': {}, 'mine:Even': {}]")).refusals] == ["odd"]


def test_packing_keeps_units_apart_or_is_refused(tmp_path):
    (tmp_path / "tokenizer.json").write_text("{}")
    packed = "[pack: {tokenizer: tokenizer.json%s}]"
    assert [r.step for r in certify(recipe(tmp_path, packed % ""), "user").refusals] == ["pack"]
    found = certify(recipe(tmp_path, packed % ", separate: user"), "user")
    assert not found.refusals
    assert any("one shard" in a for a in found.assumptions)
    assert any("tokenizer.json was made from public data" in a for a in found.assumptions)
    assert certify(recipe(tmp_path, packed % ", separate: lang"), "user").refusals


def dataset(folder: Path, private: bool, steps: list) -> None:
    (folder / "snapshots").mkdir(parents=True)
    made = {"name": "old", "sources": [{"name": "mail", "private": private}], "steps": steps}
    (folder / "snapshots" / "000001.json").write_text(json.dumps({"recipe": made}))


def test_the_lineage_is_judged_and_privacy_does_not_wear_off(tmp_path):
    step = {"name": "minhash", "transform": "minhash@1", "fields": {}}
    dataset(tmp_path / "old", True, [step])
    (tmp_path / "old" / "data.jsonl").write_text('{"text": "x"}\n')
    found = certify(recipe(tmp_path, "[clean: {}]", path="old/data.jsonl"))
    assert [(r.step, r.stability) for r in found.refusals] == [("minhash", "cross")]
    forgot = certify(recipe(tmp_path, "[clean: {}]", private="false", path="old/data.jsonl"))
    assert any("mark the source `private: true`" in str(r) for r in forgot.refusals)
    gone = {"name": "gone", "transform": "nowhere:Gone@1", "fields": {}}
    dataset(tmp_path / "older", True, [gone])
    (tmp_path / "older" / "data.jsonl").write_text('{"text": "x"}\n')
    assert [r.step for r in certify(recipe(tmp_path, "[]", path="older/data.jsonl")).refusals] == ["gone"]


def test_files_learned_from_private_text_are_refused(tmp_path):
    dataset(tmp_path / "old", True, [])
    (tmp_path / "old" / "tokenizer.json").write_text("{}")
    found = certify(recipe(tmp_path, "[tokenize: {tokenizer: old/tokenizer.json}]"))
    assert any("learned from the private source mail" in str(r) for r in found.refusals)


def test_early_stopping_and_tied_weights_are_refused(tmp_path):
    values = {
        "output": "m",
        "data": {"train": "out", "validation": "held"},
        "evaluation": {"patience": 3},
        "model": {"tie": True},
    }
    found = certify(recipe(tmp_path, "[]"), train=from_mapping(values, tmp_path))
    assert [r.step for r in found.refusals] == ["evaluation.patience", "model.tie"]


def test_bounding_reaches_within_a_unit_only_if_it_goes_by_the_unit(tmp_path):
    """A document of a user whose documents are bounded drives out another one: another unit, if documents are the units."""
    by_user = recipe(tmp_path, "[bound-units: {by: user}]")
    assert not certify(by_user, "user").refusals
    assert [r.step for r in certify(by_user).refusals] == ["bound-units"]
    assert [r.step for r in certify(by_user, "account").refusals] == ["bound-units"]
    named = recipe(tmp_path, "[unit: {by: user}, bound-units: {distinct: true}]")
    assert not certify(named, "user").refusals
    assert certify(named, "document").refusals
    assert not certify(recipe(tmp_path, "[unit: {}, bound-units: {distinct: true}]")).refusals


def test_public_data_behind_a_private_recipe_may_have_been_made_in_any_way(tmp_path):
    step = {"name": "minhash", "transform": "minhash@1", "fields": {}}
    dataset(tmp_path / "web", False, [step])
    (tmp_path / "web" / "data.jsonl").write_text('{"text": "x"}\n')
    made = recipe(tmp_path, "[clean: {}]")
    public = made.sources[0].model_copy(update={"name": "web", "path": "web/data.jsonl", "private": False})
    both = made.model_copy(update={"sources": [*made.sources, public]})
    assert not certify(both, assume=True).refusals
    alone = made.model_copy(update={"sources": [public]})
    assert [r.step for r in certify(alone, assume=True).refusals] == ["minhash"]
    assert not certify(alone).refusals


def test_code_that_a_dataset_names_is_not_imported(tmp_path):
    (tmp_path / "evil.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')\ndef keep(text): return True\n")
    for name, step in {
        "class": {"name": "own", "transform": "evil:Own@1", "fields": {}},
        "function": {"name": "own", "transform": "filter@1", "fields": {"call": "evil:keep"}},
        "unfit": {"name": "own", "transform": "clean@1", "fields": {"no_such_field": 1}},
    }.items():
        dataset(tmp_path / name, True, [step])
        (tmp_path / name / "data.jsonl").write_text('{"text": "x"}\n')
        refusals = certify(recipe(tmp_path, "[clean: {}]", path=f"{name}/data.jsonl")).refusals
        assert [(r.step, r.stability) for r in refusals] == [("own", "cross")]
    assert not (tmp_path / "ran").exists()


def test_a_private_file_is_private_under_any_name(tmp_path):
    """The recipe itself marks the file; as a validation set, a second source or a copy of either it was taken for public."""
    (tmp_path / "raw").mkdir()
    letters = tmp_path / "raw" / "letters.jsonl"
    letters.write_text('{"id": "1", "text": "dear all"}\n')
    shutil.copy(letters, tmp_path / "copied.jsonl")
    (tmp_path / "other.jsonl").write_text('{"id": "1", "text": "dear ALL"}\n')
    tokenizer = tmp_path / "tokenizer.json"
    tokenizer.write_text("{}")
    mark(tokenizer, ["letters"])
    shutil.copy(tokenizer, tmp_path / "public.json")

    def judged(extra: str, validation: str = "other.jsonl", tokens: str = "") -> list[str]:
        data = f"validation: {validation}" + (f", tokenizer: {tokens}" if tokens else "")
        (tmp_path / "recipe.yaml").write_text(
            "name: letters\n"
            "sources:\n"
            "  - {name: letters, path: raw/*.jsonl, private: true, columns: {id: id}}\n"
            f"{extra}"
            "steps: [clean]\noutput: {path: out}\n"
            "privacy: {population: p, unit: document, units: 100, epsilon: 8, delta: 1.0e-6}\n"
            f"train: {{steps: 2, objective: {{name: instruction}}, data: {{{data}}}, privacy: {{sigma: 2.0}}}}\n"
        )
        return [str(r) for r in certify(load(tmp_path / "recipe.yaml", check_privacy=False), "document").refusals]

    assert judged("") == []
    assert "it is taken for public, and holds the private source" in judged("  - {name: x, path: copied.jsonl}\n")[0]
    for validation in ("raw/letters.jsonl", "copied.jsonl"):
        (refusal,) = judged("", validation)
        assert "data.validation" in refusal
        assert "the private source" in refusal
    (refusal,) = judged("", tokens="public.json")
    assert "is a file that was learned from letters" in refusal


def test_a_certification_says_what_it_cannot_see(tmp_path):
    (tmp_path / "sly.py").write_text(
        "from corpusmill.transforms.base import Filter\nclass Sly(Filter):\n    name = 'sly'\n    stability = 'record'\n"
        "    def judge(self, batch, rng):\n        raise NotImplementedError\n"
    )
    model = "{model: 'api:http://localhost:1/v1#q', prompt: rephrase}"
    steps = f"['sly:Sly': {{}}, where: {{column: copies, max_value: 1}}, generate: {model}]"
    found = certify(recipe(tmp_path, steps), "user")
    text = "\n".join(found.assumptions)
    assert "says so of itself (record)" in text
    assert "`copies` was computed for each document alone" in text
    assert "the server of api:http://localhost:1/v1#q" in text
    assert "each person has one value of `user`" in text


def test_a_base_that_does_not_exist_is_refused(tmp_path):
    settings = from_mapping({"output": "r", "data": {"train": "x"}, "tune": {"base": "runs/none"}}, tmp_path)
    found = certify(recipe(tmp_path, "[clean: {}]"), train=settings)
    assert any("there is no such model" in refusal.reason for refusal in found.refusals)


def test_a_base_is_looked_for_only_where_paths_are_checked(tmp_path):
    (tmp_path / "raw.jsonl").write_text('{"text": "x"}\n')
    text = """
name: letters
sources: [{name: mail, path: raw.jsonl, private: true}]
output: {path: out}
privacy: {population: people, units: 1000, epsilon: 8, delta: 1.0e-6}
train:
  tune: {base: runs/none, method: lora}
  batch: {rows: 8}
  data: {length: 16}
  privacy: {epsilon: 6}
"""
    missing = r"there is no such model \(.*runs/none\)"
    with pytest.raises(RecipeError, match=missing):
        loads(text, "letters.yaml", tmp_path)
    unchecked = loads(text, "letters.yaml", tmp_path, check_paths=False)
    with pytest.raises(RecipeError, match=missing):  # before it runs
        guard(unchecked)
    steps = text.replace("output:", "steps: [exact]\noutput:")
    with pytest.raises(RecipeError, match=r"`exact` \(cross\)"):
        loads(steps, "letters.yaml", tmp_path, check_paths=False)
