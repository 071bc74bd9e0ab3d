"""What is said of a recipe's paths before anything runs."""

import os

import pytest

from corpusmill.pipelines.recipe.model import load
from corpusmill.pipelines.recipe.path_checks import check_input, check_output
from corpusmill.pipelines.run import run
from corpusmill.transforms.errors import RecipeError
from corpusmill.transforms.settings.mistakes import Mistakes
from corpusmill.transforms.settings.yaml_positions import parse
from tests.corpora import rows, write_recipe, write_shards


def said(check, *args, **more):
    """(what, advice) of the mistakes that a check notes."""
    mistakes = Mistakes(parse(b"output: {path: out}\n", "r.yaml"))
    check(*args, mistakes=mistakes, **more)
    return [(p.what, p.advice) for p in mistakes.problems]


def of_input(path, folder, **more):
    return said(check_input, path, ("output",), base_dir=folder, **more)


def of_output(path, sources, folder):
    return said(check_output, path, sources, base_dir=folder)


@pytest.fixture
def folder(tmp_path):
    for name in ("raw/a.jsonl", "raw/b.jsonl", "raw/deep/c.txt", "raw/.hidden.jsonl"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("{}")
    (tmp_path / "empty").mkdir()
    return tmp_path


@pytest.mark.parametrize(
    "path",
    [
        "raw",
        "raw/a.jsonl",
        "raw/*.jsonl",
        "raw/{a,x}.jsonl",
        "raw/[ab].jsonl",
        "**/c.txt",
        "raw/d*",
        "empty",
    ],
)
def test_a_path_that_leads_somewhere_is_right(folder, path):
    for name in (path, str(folder / path), f"file://{folder / path}"):
        assert of_input(name, folder) == []


def test_what_lies_in_a_store_is_not_looked_for(folder):
    assert of_input("s3://bucket/none", folder) == []


@pytest.mark.parametrize(
    ("path", "what", "advice"),
    [
        ("rwa", "there is no file or folder rwa", "did you mean `raw`?"),
        ("raw/a.json", "there is no file or folder raw/a.json", "did you mean `a.jsonl`?"),
        ("nowhere/at/all", "there is no file or folder nowhere/at/all", "looked in {}"),
        ("raw/*.parquet", "no file matches raw/*.parquet", "looked in {}/raw"),
        ("raw/deep/*/x", "no file matches raw/deep/*/x", "looked in {}/raw/deep"),
        ("raw/{x,y}.jsonl", "no file matches raw/{x,y}.jsonl", "looked in {}/raw"),
        ("raw/.h*", "no file matches raw/.h*", "looked in {}/raw"),
        ("empty/*", "no file matches empty/*", "looked in {}/empty"),
        ("raw/pipe.txt", "raw/pipe.txt is a device, pipe or socket", "name a file or folder"),
        ("raw/link", "raw/link is a link to gone, which is not there", ""),
    ],
)
def test_a_path_to_nothing_says_where_was_looked(folder, path, what, advice):
    os.mkfifo(folder / "raw/pipe.txt")
    (folder / "raw/link").symlink_to("gone")
    assert of_input(path, folder) == [(f"`path`: {what}", advice.format(folder))]


def test_a_field_of_a_step_is_called_by_its_name(folder):
    assert of_input("no.json", folder, what="tokenizer")[0][0].startswith("`tokenizer`: there is no file")


@pytest.mark.parametrize(
    ("output", "sources", "what"),
    [
        ("raw/a.jsonl", [], "raw/a.jsonl is a file"),
        ("raw", ["raw"], "the source raw would read the output raw"),
        ("raw/out", ["raw"], "the source raw would read the output raw/out"),
        ("raw/out", ["raw/**/*.parquet"], "the source raw/**/*.parquet would read the output raw/out"),
        ("raw", ["raw/*.jsonl"], "the source raw/*.jsonl would read the output raw"),
        ("raw/out", ["raw/*"], "the source raw/* would read the output raw/out"),
        ("raw/out", ["raw/*/*.jsonl"], "the source raw/*/*.jsonl would read the output raw/out"),
        ("raw/../raw/out", ["raw"], "the source raw would read the output raw/../raw/out"),
        ("raw/out", ["link/**"], "the source link/** would read the output raw/out"),
        (".", ["data"], "the source data would read the output ."),
        (".", ["data/*.parquet"], "the source data/*.parquet would read the output ."),
        (".", ["scores"], "the source scores would read the output ."),
        (".", ["events.jsonl"], "the source events.jsonl would read the output ."),
        ("raw/read", [], "raw/read holds a README.md, which the dataset's own would replace"),
        ("s3://bucket", [], "s3://bucket is a whole bucket"),
        ("s3://bucket/", [], "s3://bucket/ is a whole bucket"),
        ("s3://b/raw/out", ["s3://b/raw"], "the source s3://b/raw would read the output s3://b/raw/out"),
        ("s3://b/raw/out", ["s3://b/raw/**"], "the source s3://b/raw/** would read the output s3://b/raw/out"),
    ],
)
def test_an_output_that_cannot_be_is_refused(folder, output, sources, what):
    (folder / "link").symlink_to("raw")
    (folder / "raw/read").mkdir()
    (folder / "raw/read/README.md").touch()
    assert [w for w, _ in of_output(output, sources, folder)] == [f"`path`: {what}"]


@pytest.mark.parametrize(
    ("output", "sources"),
    [
        ("out", ["raw", "raw/*.jsonl", "raw/**", "s3://b/out"]),
        ("raw/out", ["raw/*.jsonl", "raw/a.jsonl", "raw/deep", "raw/[ab]*"]),
        (".", ["raw", "raw/*.jsonl", "*.parquet"]),
        ("s3://b/out", ["s3://b/raw/**", "s3://b/out2", "raw"]),
        ("s3://b/raw/out", ["s3://b/raw/*.parquet"]),
    ],
)
def test_an_output_beside_the_sources_is_right(folder, output, sources):
    assert of_output(output, sources, folder) == []


@pytest.mark.parametrize("name", ["corpus [2]", "corpus {a,b}", "what?", "star*"])
def test_a_recipe_in_a_folder_whose_name_is_a_pattern(tmp_path, name):
    """The folder is that folder: its brackets are no pattern, those of the recipe's paths are."""
    folder, other = tmp_path / name, tmp_path / "corpus 2"
    write_shards(other / "raw", rows(4, seed=1), 1)
    write_shards(folder / "raw", rows(12), 3)
    recipe = load(write_recipe(folder, ["exact"]))
    recipe = load(folder / "recipe.yaml", ["sources.raw.path=raw/part-00[01].parquet"])
    assert run(recipe, workers=1).funnel["rows_in"] == 8
    with pytest.raises(RecipeError, match=r"no file matches raw/\*\.jsonl") as told:
        load(folder / "recipe.yaml", ["sources.raw.path=raw/*.jsonl"])
    assert f"looked in {folder}/raw" in str(told.value)


@pytest.mark.parametrize(
    ("model", "what"),
    [
        ("api:http://h:1/v1#m?key=DB_PASSWORD", "only variables named like NAME_API_KEY or NAME_TOKEN are sent"),
        ("api:http://h:1/v1#m?key=sk-live-1234567890", "put the key into an environment variable and name that"),
        ("api:http://h:1/v1", "write it as api:http://HOST:PORT/v1#MODEL"),
        ("api:http://me:hunter2@h:1/v1#m", "`model`: a name with credentials in it is not used"),
        ("runs/none", "runs/none"),
    ],
)
def test_a_model_that_cannot_be_asked_is_a_mistake_and_no_secret_is_shown(folder, model, what):
    step = {"generate": {"model": model, "prompt": "rephrase"}}
    (folder / "raw/a.jsonl").write_text('{"text": "a"}\n')
    path = write_recipe(folder, [step], sources=[{"name": "raw", "path": "raw/a.jsonl"}])
    with pytest.raises(RecipeError) as caught:
        load(path)
    assert what in str(caught.value)
    assert str(caught.value).endswith("1 mistake in the recipe")
    assert not any(secret in str(caught.value) for secret in ("hunter2", "sk-live", "1234567890"))


@pytest.mark.parametrize("path", ["raw/{a", "raw/{a,{b}", "raw/[z-a]*", "raw/**{", "raw/{a.jsonl"])
def test_a_pattern_that_is_wrong_is_a_mistake_at_its_line(folder, path):
    recipe = write_recipe(folder, [], sources=[{"name": "raw", "path": path}])
    with pytest.raises(RecipeError, match=r"recipe\.yaml:5:\d+: `path`: the pattern .*(not closed|is wrong)"):
        load(recipe)


@pytest.mark.parametrize("path", ["raw/a}b", "raw/[!]", "raw/[[:x]", "raw/[a&&b]", "raw/[]"])
def test_an_odd_pattern_matches_nothing_and_says_so(folder, path):
    with pytest.raises(RecipeError, match=r"there is no file or folder|no file matches"):
        load(write_recipe(folder, [], sources=[{"name": "raw", "path": path}]))
