"""What shortens start-up can be turned off, part by part, and changes no result."""

import json
import subprocess
import sys

import pytest

from corpusmill.transforms.errors import RecipeError
from corpusmill.transforms.startup import PARTS, VARIABLE, plain
from tests.corpora import rows, write_recipe, write_shards

PROGRAM = """
import json, sys
from corpusmill.pipelines.recipe.model import load
from corpusmill.pipelines.run import run
from corpusmill.pipelines.runners import hidden_imports
recipe = load(sys.argv[1], ["output.path=" + sys.argv[2]])
hidden_imports.allow(recipe)
content = run(recipe, workers=1).manifest["content"]
loaded = [name for name in ("numba", "pandas", "apache_beam") if name in sys.modules]
sampling = None
if "apache_beam" in sys.modules:
    from apache_beam.runners.worker import statesampler
    sampling = statesampler.StateSampler.__init__.__defaults__[0]
print(json.dumps([content, loaded, sampling]))
"""


@pytest.fixture(scope="module")
def recipe(tmp_path_factory):
    folder = tmp_path_factory.mktemp("startup")
    write_shards(folder / "raw", rows(30), 2)
    return write_recipe(folder, ["clean", {"exact": {}}])


def ran(recipe, parts, monkeypatch):
    monkeypatch.setenv(VARIABLE, parts)
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(recipe), f"out-{parts}"], capture_output=True, text=True, check=True
    )
    return json.loads(done.stdout.splitlines()[-1])


def test_each_part_is_turned_off_by_its_name_and_results_stay(recipe, monkeypatch):
    ran(recipe, "", monkeypatch)  # compiles what is not cached yet, for which numba is needed
    content, loaded, sampling = ran(recipe, "", monkeypatch)
    assert (loaded, sampling) == ([], None)
    kernels = ran(recipe, "kernels", monkeypatch)
    assert kernels[0] == content
    assert "numba" in kernels[1]
    imports = ran(recipe, "imports", monkeypatch)
    assert imports[0] == content
    assert "pandas" in imports[1]
    graph = ran(recipe, "graph", monkeypatch)
    assert graph[0] == content
    assert "apache_beam" in graph[1]
    assert graph[2] == 10
    every = ran(recipe, "all", monkeypatch)
    assert every == [content, ["numba", "pandas", "apache_beam"], 200]


def test_a_name_that_is_none_is_refused_with_those_that_are(monkeypatch):
    monkeypatch.setenv(VARIABLE, "kernels, fast")
    with pytest.raises(
        RecipeError, match=r"CORPUSMILL_PLAIN=fast: there are kernels, imports, graph, sampling and all"
    ):
        plain("imports")


def test_without_the_variable_nothing_is_turned_off(monkeypatch):
    monkeypatch.delenv(VARIABLE, raising=False)
    assert not any(map(plain, PARTS))
