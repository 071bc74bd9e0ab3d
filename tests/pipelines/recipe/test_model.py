"""The recipe: every mistake at once with its place, overrides, defaults written out, digests."""

from __future__ import annotations

import json
import pickle
import subprocess
import sys
from pathlib import Path

import pytest

from corpusmill.pipelines.recipe.model import Output, Recipe, Step, examine, load, loads, make_steps
from corpusmill.pipelines.recipe.registry import load as transform
from corpusmill.transforms.errors import RecipeError
from corpusmill.transforms.sources.spec import SourceSpec

GOOD = """\
name: docs
seed: 7
sources:
  - {name: manuals, path: raw/*.txt, private: true}
  - name: machine
    format: machine-docs
steps:
  - exact
  - gopher-quality@1: {min_words: 5}
  - exact: {keep: longest}
output: {path: out/docs}
"""


def mistakes(text: str, *overrides: str) -> list[str]:
    """`line:col what` of every mistake."""
    with pytest.raises(RecipeError) as caught:
        loads(text, "r.yaml", overrides=overrides, check_paths=False)
    return [line for line in str(caught.value).splitlines() if line.startswith(("r.yaml:", "--set:"))]


def test_a_good_recipe() -> None:
    recipe = loads(GOOD, base_dir=Path("/base"), check_paths=False)
    assert recipe.name == "docs"
    assert recipe.seed == 7
    assert [s.name for s in recipe.steps] == ["exact", "gopher-quality", "exact#2"]
    assert [s.line for s in recipe.steps] == [8, 9, 10]
    assert [s.key for s in recipe.steps] == ["exact@1", "gopher-quality@1", "exact@1"]
    assert recipe.steps[1].transform.min_words == 5
    assert recipe.sources[0].private
    assert recipe.output_dir == Path("/base/out/docs")
    assert recipe.output.format == "parquet"


HEAD = "name: a\nsources: [{name: s, format: machine-docs}]\noutput: {path: o}\n"  # steps come on line 4

GALLERY = [
    ("", "1:1: the recipe is empty"),
    ("- a\n", "1:1: a recipe is a mapping"),
    ("text", "1:1: a recipe is a mapping"),
    (HEAD + "sed: 3", "4:1: a recipe has no section `sed`"),
    (HEAD + "train: {}", "4:1: `train` needs rows of tokens, but the last step is not `pack`"),
    (HEAD + "privacy: {population: p, epsilon: 3, delta: 0.1, units: 99}", "4:45: `delta` is above 1 / `units`"),
    (HEAD + "seed: true", "4:7: `seed`: must be a whole number, not true or false (true)"),
    (HEAD + "seed: '3'", '4:7: `seed`: must be a whole number, not a text ("3")'),
    (HEAD + "seed: 1.5", "4:7: `seed`: must be a whole number, not 1.5"),
    (HEAD + "seed: -1", "4:7: `seed` is -1: must be at least 0"),
    (HEAD + f"seed: {2**63}", f"4:7: `seed` is {2**63}: must be less than {2**63:,}"),
    (HEAD + "expect: []", "4:9: the fields of `expect`: must be a mapping, not a list"),
    (HEAD + "schedule: ''", "4:11: the fields of `schedule`: must be a mapping, not a text"),
    (HEAD.replace("name: a", "name: my docs", 1), '1:7: `name` is "my docs": that is not allowed'),
    (HEAD.replace("name: a\n", "", 1), "1:1: the recipe lacks `name`"),
    (HEAD.replace("output: {path: o}", ""), "1:1: the recipe lacks `output`"),
    (HEAD.replace("path: o", "path: ''"), "3:16: `path`: must have at least 1 character"),
    (HEAD.replace("path: o", "path: o, format: parket"), '3:27: `format`: must be parquet or arrow, not "parket"'),
    (HEAD.replace("path: o", "path: gs://b/"), "3:16: `path`: gs://b/ is a whole bucket"),
    (HEAD.replace("path: o", "path: s3://me:word@b/o"), "3:16: `path`: a name with credentials in it is not used"),
    (HEAD.replace("{path: o}", "o"), "3:9: the fields of the recipe: must be a mapping, not a text"),
    ("name: a\noutput: {path: o}", "1:1: the recipe names no sources"),
    ("name: a\noutput: {path: o}\nsources: []", "3:10: `sources` is a list of at least one source"),
    ("name: a\noutput: {path: o}\nsources: [x]", "3:11: the fields of source 1: must be a mapping, not a text"),
    ("name: a\noutput: {path: o}\nsources: [{path: x}]", "3:11: source 1 lacks `name`"),
    ("name: a\noutput: {path: o}\nsources: [{name: s}]", "3:11: `path` is missing"),
    (HEAD.replace("}]", ", keep: [en, no]}]"), "2:54: `keep`: must be a text, not true or false (false)"),
    (HEAD.replace("}]", ", columns: {txt: x}}]"), "2:53: `txt`: must be one of id, text, "),
    (HEAD.replace("}]", "}, {name: s, path: x}]"), "2:51: two sources are called `s`"),
    (HEAD.replace("format: machine-docs", "path: [a, 3]"), "2:31: `path`: must be a text, not a whole number (3)"),
    (HEAD.replace("format: machine-docs", "path: 3"), "2:27: `path`: must be a text or a list, not a whole number (3)"),
    (HEAD + "steps: exact", "4:8: `steps` is a list"),
    (HEAD + "steps: {exact: {}}", "4:8: `steps` is a list"),
    (HEAD + "steps: [minhahs]", "4:9: no transform is called `minhahs`"),
    (HEAD + "steps: [minhash@9]", "4:9: `minhash@9` does not exist here"),
    (HEAD + "steps: [[exact]]", "4:9: a step is the name of a transform"),
    (HEAD + "steps: [null]", "4:9: a step is the name of a transform"),
    (HEAD + "steps:\n- exact: {}\n  minhash: {}", "6:3: the step `exact` has a second key, `minhash`"),
    (HEAD + "steps: [minhash: 0.8]", "4:18: the fields of the step `minhash`: must be a mapping, not a number"),
    (HEAD + "steps: [minhash: {treshold: 1}]", "4:19: the step `minhash` has no field `treshold`"),
    (HEAD + "steps: [minhash: {threshold: 1.7}]", "4:30: `threshold` is 1.7: must be at most 1"),
    (HEAD + "steps: [minhash: {threshold: high}]", '4:30: `threshold`: must be a number, not a text ("high")'),
    (HEAD + "steps: [minhash: {verify: 1}]", "4:27: `verify`: must be true or false, not a whole number (1)"),
    (HEAD + "steps: [exact: {keep: shortest}]", "4:23: `keep`: must be one of first, longest, newest, priority"),
    (HEAD + "steps: [no_such_module_at_all:Cls]", "4:9: importing `no_such_module_at_all` failed"),
    (HEAD + "steps: [exact: {keep: *x}]", "4:23: the alias `*x` is not allowed"),
    (HEAD + "steps: [\n", "5:1: not valid YAML"),
]


@pytest.mark.parametrize(("text", "expected"), GALLERY, ids=[g[1][:44] for g in GALLERY])
def test_gallery_of_bad_recipes(text: str, expected: str) -> None:
    found = mistakes(text)
    assert len(found) == 1, found
    assert found[0].startswith(f"r.yaml:{expected}"), found[0]


def test_golden_message_of_several_mistakes() -> None:
    text = HEAD + "sead: 3\nsteps:\n  - minhahs: {}\n  - minhash: {treshold: 0.8}\n  - exact: {keep: no}\n"
    with pytest.raises(RecipeError) as caught:
        loads(text, "r.yaml", overrides=["steps.minhash.threshold=2"], check_paths=False)
    assert str(caught.value) == (
        "r.yaml:4:1: a recipe has no section `sead`\n"
        "    4 | sead: 3\n"
        "      | ^^^^ did you mean `seed`?\n"
        "r.yaml:6:5: no transform is called `minhahs`\n"
        "    6 |   - minhahs: {}\n"
        "      |     ^^^^^^^ did you mean `minhash`?\n"
        "r.yaml:7:15: the step `minhash` has no field `treshold`\n"
        "    7 |   - minhash: {treshold: 0.8}\n"
        "      |               ^^^^^^^^ did you mean `threshold`?\n"
        "r.yaml:8:19: `keep`: must be one of first, longest, newest, priority, not false\n"
        "    8 |   - exact: {keep: no}\n"
        "      |                   ^^ YAML reads a bare yes, no, on or off as true or false: quote it if it is a text\n"
        "--set:1:25: `threshold` is 2: must be at most 1\n"
        "    1 | steps.minhash.threshold=2\n"
        "      |                         ^ Least Jaccard similarity of near-duplicates.\n"
        "5 mistakes in the recipe"
    )


def test_numbers_without_a_point_before_the_exponent() -> None:
    assert loads(HEAD + "steps: [minhash: {threshold: 5e-1}]", check_paths=False).steps[0].transform.threshold == 0.5


def test_paths_must_lead_somewhere(tmp_path: Path) -> None:
    (tmp_path / "raw").mkdir()
    (tmp_path / "raw" / "a.jsonl").write_text('{"text": "a"}\n')
    text = "name: a\nsources:\n- {name: s, path: PATH}\noutput: {path: OUT}\n"

    def check(path: str, out: str = "out") -> str:
        file = tmp_path / "r.yaml"
        file.write_text(text.replace("PATH", path).replace("OUT", out))
        recipe, problems = examine(file)
        assert (recipe is None) == bool(problems)
        return "; ".join(f"{p.what} | {p.advice}" for p in problems)

    assert (
        check("raw/a.jsonl")
        == check("raw/*.jsonl")
        == check("raw")
        == check("gs://bucket/x")
        == check("hf://a/b")
        == ""
    )
    assert check("[raw/a.jsonl, raw]") == ""
    assert "no file matches raw/*.parquet" in check("raw/*.parquet")
    assert "did you mean `raw`?" in check("rwa")
    assert "did you mean `a.jsonl`?" in check("raw/a.json")
    assert "would read the output raw/out" in check("raw", "raw/out")
    assert "would read the output raw" in check("raw/*.jsonl", "raw")
    assert "is a file" in check("raw/*.jsonl", "raw/a.jsonl")
    assert check("raw/*.jsonl", "raw-out") == ""
    (tmp_path / "r.yaml").write_text(text.replace("PATH", "[raw, nope]").replace("OUT", "out"))
    with pytest.raises(RecipeError, match=r"r\.yaml:3:25: `path`: there is no file or folder nope"):
        load(tmp_path / "r.yaml")
    assert load(tmp_path / "r.yaml", check_paths=False).base_dir == tmp_path


def test_files_that_are_no_recipe(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="corpusmill init"):
        load(tmp_path / "none.yaml")
    with pytest.raises(RecipeError, match="cannot be read"):
        load(tmp_path)
    with pytest.raises(RecipeError, match="cannot be read"):
        load("a\0b")
    (tmp_path / "big.yaml").write_bytes(b"#" * 2_000_000)
    with pytest.raises(RecipeError, match="at most 1,000,000"):
        load(tmp_path / "big.yaml")
    (tmp_path / "data.yaml").write_bytes(bytes(range(256)) * 10)
    with pytest.raises(RecipeError, match="UTF-8"):
        load(tmp_path / "data.yaml")


def test_canonical_form_has_every_default_and_loads_back() -> None:
    recipe = loads(GOOD, base_dir=Path("/somewhere"), check_paths=False)
    data = recipe.canonical()
    assert "somewhere" not in json.dumps(data)
    assert data["steps"][2] == {
        "name": "exact#2",
        "transform": "exact@1",
        "fields": transform("exact")(keep="longest").model_dump(mode="json"),
    }
    as_recipe = {**data, "steps": [{s["transform"]: s["fields"]} for s in data["steps"]]}
    assert loads(json.dumps(as_recipe), check_paths=False).canonical() == data


def test_the_digest_says_what_makes_the_content() -> None:
    def digest(text: str, *overrides: str) -> str:
        return loads(text, base_dir=Path("/x"), overrides=overrides, check_paths=False).digest()

    same = digest(GOOD)
    assert len(same) == 32
    assert digest(GOOD.replace("seed: 7", "seed:   7  # why")) == same
    assert digest(GOOD, "output.path=elsewhere") == same
    assert digest(GOOD.replace("gopher-quality@1", "gopher-quality")) == same
    assert digest(GOOD, "steps.exact.keep=first") == same
    others = {
        digest(GOOD, "seed=8"),
        digest(GOOD, "steps.exact.keep=newest"),
        digest(GOOD, "steps.exact#2.keep=newest"),
        digest(GOOD, "sources.manuals.path=b"),
        digest(GOOD, "output.level=9"),
        digest(GOOD.replace("  - exact\n", "")),
    }
    assert same not in others
    assert len(others) == 6


def test_built_in_python() -> None:
    exact, quality = transform("exact"), transform("gopher-quality")
    source = SourceSpec(name="manuals", path="raw/*.txt", private=True)
    machine = SourceSpec(name="machine", format="machine-docs")
    recipe = Recipe(
        name="docs",
        seed=7,
        sources=[source, machine],
        steps=make_steps([exact(), quality(min_words=5), exact(keep="longest")]),
        output=Output(path="out/docs"),
    )
    assert recipe.canonical() == loads(GOOD, check_paths=False).canonical()
    with pytest.raises(ValueError, match="two sources are called"):
        Recipe(name="a", sources=[machine, machine], output=Output(path="o"))
    with pytest.raises(ValueError, match="two steps are called"):
        steps = [Step(name="x", transform=exact()), Step(name="x", transform=exact())]
        Recipe(name="a", sources=[machine], steps=steps, output=Output(path="o"))


def test_a_recipe_travels_to_workers() -> None:
    recipe = loads(GOOD, base_dir=Path("/x"), check_paths=False)
    again = pickle.loads(pickle.dumps(recipe))
    assert again.canonical() == recipe.canonical()
    assert again.base_dir == recipe.base_dir


def test_reading_a_recipe_imports_no_engine() -> None:
    code = (
        "import sys; from corpusmill.pipelines.recipe.model import loads;"
        f"loads({GOOD!r}, check_paths=False);"
        "heavy = {'apache_beam', 'torch', 'datasets', 'transformers', 'pandas', 'pyarrow.dataset'} & set(sys.modules);"
        "assert not heavy, heavy"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize("file", sorted((Path(__file__).parents[3] / "pipelines" / "recipes").glob("*.yaml")))
def test_recipes_that_come_with_corpusmill_are_right(file: Path) -> None:
    recipe = load(file, check_paths=False)
    assert recipe.name == file.stem
    assert recipe.steps


@pytest.mark.parametrize(
    ("step", "said"),
    [
        ("filter: {call: 'no_such_module:fn'}", "4:9: importing `no_such_module` failed"),
        ("decontaminate: {sets: {gsm8k: none.parquet}}", "4:39: `sets.gsm8k`: there is no file or folder none.parquet"),
        ("pack: {tokenizer: none.json, length: 8}", "4:27: `tokenizer`: there is no file or folder none.json"),
    ],
)
def test_a_file_that_a_step_names_is_told_where_it_is_named(tmp_path: Path, step: str, said: str) -> None:
    (tmp_path / "r.yaml").write_text(HEAD + f"steps: [{step}]\n")
    recipe, problems = examine(tmp_path / "r.yaml")
    assert recipe is None
    (problem,) = problems
    assert problem.render().splitlines()[0].startswith(f"{tmp_path}/r.yaml:{said}")
    assert problem.advice


def test_a_recipe_in_a_bucket_is_told_by_its_name() -> None:
    with pytest.raises(RecipeError, match=r"^s3://bucket/corpus\.yaml: a recipe is read from a disk of this machine"):
        load("s3://bucket/corpus.yaml")
