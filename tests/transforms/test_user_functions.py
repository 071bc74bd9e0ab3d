"""Functions of a text as steps: in a recipe, in memory, on several engines, and what is said when one is wrong."""

import json
import sys

import pytest

from corpusmill.pipelines.dataset.snapshot import Dataset
from corpusmill.pipelines.recipe.model import load
from corpusmill.pipelines.run import run
from corpusmill.transforms.clean.text_map import TextMap
from corpusmill.transforms.errors import RecipeError
from corpusmill.transforms.filters.filter import UserFilter
from corpusmill.transforms.filters.text_filter import TextFilter
from tests.command import invoke

MODULE = """
def no_ads(text: str) -> bool:
    return "buy" not in text


def letters(text: str, least: int = 0) -> float:
    return max(least, sum(c.isalpha() for c in text)) / max(1, len(text))


def quiet(text: str) -> str:
    return text.lower()


def untold(text):
    return True


def liar(text: str) -> bool:
    return [True]


def broken(text: str) -> bool:
    return 1 / len(text) > 0


def by_batch(batch):
    return ["buy" not in text for text in batch.column("text").to_pylist()]
"""


@pytest.fixture
def folder(tmp_path):
    name = f"own_functions_{abs(hash(tmp_path)) % 10**9}"
    (tmp_path / f"{name}.py").write_text(MODULE)
    lines = [{"text": t} for t in ("Read This", "buy this now", "12345 6789 a", "Read That")]
    (tmp_path / "raw.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))

    def write(*steps):
        recipe = {"name": "own", "sources": [{"name": "raw", "path": "raw.jsonl"}], "output": {"path": "out"}}
        text = json.dumps(recipe | {"steps": json.loads(json.dumps(steps).replace("MODULE", name))})
        (tmp_path / "recipe.yaml").write_text(text)
        return tmp_path / "recipe.yaml"

    write.module, write.file = name, tmp_path / f"{name}.py"
    return write


def texts(recipe):
    run(recipe)
    import pyarrow.parquet as pq

    return [t for file in Dataset(recipe.dataset).files() for t in pq.read_table(file)["text"].to_pylist()]


def test_functions_keep_score_and_edit_and_are_called_by_their_names(folder):
    recipe = load(folder("MODULE:no_ads", {"MODULE:letters": {"min_score": 0.5}}, "MODULE:quiet"))
    assert [s.name for s in recipe.steps] == ["no-ads", "letters", "quiet"]
    assert [s.transform.name for s in recipe.steps] == ["text-filter", "text-filter", "text-map"]
    assert texts(recipe) == ["read this", "read that"]
    funnel = Dataset(recipe.dataset).manifest()["funnel"]
    assert [(s["name"], s["dropped"]) for s in funnel["steps"]] == [
        ("no-ads", {"false": 1}),
        ("letters", {"min_score": 1}),
        ("quiet", {}),
    ]


def test_the_command_line_runs_them_and_sets_their_fields(folder):
    path = folder("MODULE:no_ads", {"MODULE:letters": {"min_score": 0.1}})
    done = invoke("run", path, "--workers", "2", "--set", "steps.letters.min_score=0.5")
    assert done.exit_code == 0, done.output
    assert invoke("run", path, "--set", "steps.letters.min_score=0.5").exit_code == 3


def test_an_edited_function_runs_again_even_in_the_same_process(folder):
    path = folder("MODULE:no_ads")
    assert len(texts(load(path))) == 3
    folder.file.write_text(MODULE.replace('"buy" not in', '"Read" not in'))
    assert texts(load(path)) == ["buy this now", "12345 6789 a"]


def test_a_filter_by_batch_is_looked_for_beside_the_recipe_too(folder):
    recipe = load(folder({"filter": {"call": "MODULE:by_batch"}}))
    assert isinstance(recipe.steps[0].transform, UserFilter)
    assert recipe.own_modules == {folder.module}
    assert len(texts(recipe)) == 3


@pytest.mark.parametrize(
    ("step", "message"),
    [
        ("MODULE:untold", "is a function that does not say what it returns"),
        ("MODULE:no_adds", "has no class or function `no_adds`"),
        ("absent_module_here:f", "importing `absent_module_here` failed: ModuleNotFoundError"),
        ({"filter": {"call": "absent_module_here:f"}}, "is it installed, or beside the recipe?"),
        ({"MODULE:no_ads": {"min_scor": 1}}, "did you mean `min_score`?"),
    ],
)
def test_what_cannot_be_a_step_is_a_mistake_of_the_recipe(folder, step, message):
    done = invoke("check", folder(step))
    assert done.exit_code == 78
    assert message in done.output
    assert "1 mistake in the recipe" in done.output


@pytest.mark.parametrize(
    ("step", "line", "message"),
    [
        ("liar", 18, "`liar` returned [True] (list) for document "),
        ("broken", 23, "`broken` raised ZeroDivisionError: division by zero for document "),
        ("letters", 6, "`letters` returned "),
    ],
)
def test_a_function_that_goes_wrong_is_the_users_own_mistake(folder, step, line, message):
    (folder.file.parent / "raw.jsonl").write_text('{"text": "a"}\n')
    if step == "broken":
        folder.file.write_text(MODULE.replace("len(text) > 0", "(len(text) - 1) > 0"))
    done = invoke("run", folder(f"MODULE:{step}"))
    assert done.exit_code == 78
    assert f"{folder.file}:{line}: {message}" in done.output
    assert "defect of corpusmill" not in done.output


def test_functions_work_on_data_in_memory(folder, monkeypatch):
    monkeypatch.syspath_prepend(str(folder.file.parent))
    assert TextFilter(call=f"{folder.module}:no_ads")(["a", "buy"]) == ["a"]
    assert TextFilter(call=f"{folder.module}:letters", min_score=0.5, options={"least": 1})(["a", "123"]) == ["a"]
    assert TextMap(call=f"{folder.module}:quiet")(["A"]) == ["a"]
    with pytest.raises(RecipeError, match="leave `min_score` and `max_score` out"):
        TextFilter(call=f"{folder.module}:no_ads", min_score=0.5)(["a"])
    assert folder.module in sys.modules
