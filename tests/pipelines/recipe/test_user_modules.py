"""Modules beside recipes: each folder's own, whatever another's are called."""

import importlib
import sys
import threading
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from corpusmill.pipelines.dataset.snapshot import Dataset
from corpusmill.pipelines.recipe import user_modules
from corpusmill.pipelines.recipe.model import load
from corpusmill.pipelines.recipe.user_modules import imported, known, of
from corpusmill.pipelines.run import run
from tests.corpora import rows, write_recipe, write_shards

STEP = """
from twin_helper import SAID
from corpusmill.transforms.arrow import set_column
from corpusmill.transforms.base import Map
import pyarrow as pa


class Mine(Map):
    name = "mine"

    def map(self, batch, rng):
        return set_column(batch, "said", pa.array([SAID] * len(batch), pa.string()))
"""


@pytest.fixture(autouse=True)
def _knows_nothing(monkeypatch):
    monkeypatch.setattr(sys, "path", list(dict.fromkeys(sys.path)))
    monkeypatch.setattr(user_modules, "_folders", {})
    yield
    for name in [n for n in sys.modules if n.startswith("twin_")]:
        del sys.modules[name]


def folder(parent, name):
    """A folder with modules that say its name."""
    made = parent / name
    (made / "twin_package").mkdir(parents=True)
    (made / "twin_package" / "__init__.py").touch()
    for file in ("twin_helper.py", "twin_package/deep.py", f"twin_only_{name}.py"):
        (made / file).write_text(f"SAID = {name!r}\n")
    (made / "twin_step.py").write_text(STEP)
    return str(made)


def said(module):
    return importlib.import_module(module).SAID


def test_each_folder_has_its_own_and_they_are_imported_once(tmp_path):
    folders = {name: folder(tmp_path, name) for name in ("a", "b", "c")}
    objects = {}
    for name in ("a", "b", "a", "c", "b", "a"):
        with of(folders[name]):
            assert [said("twin_helper"), said("twin_package.deep"), said("twin_step")] == [name] * 3
            assert objects.setdefault(name, sys.modules["twin_step"]) is sys.modules["twin_step"]
            assert {"twin_helper", "twin_package", "twin_package.deep", "twin_step"} <= set(imported(folders[name]))
        # behind it, those that were asked for last; and what only one folder has is there for all
        assert said("twin_helper") == name
        assert said("twin_only_a") == "a"
    assert set(folders.values()) <= set(sys.path)
    assert len(sys.path) == len(set(sys.path))


def test_what_is_installed_is_nobodys(tmp_path, monkeypatch):
    installed, beside = folder(tmp_path, "site"), folder(tmp_path, "a")
    monkeypatch.syspath_prepend(installed)
    module = importlib.import_module("twin_helper")
    with of(beside):
        assert importlib.import_module("twin_helper") is module
        assert said("twin_package.deep") == "site"
        assert said("twin_only_a") == "a"
    # nor is our own package taken for a recipe's, where one lies at the top of a working tree
    root = str(Path(user_modules.__file__).parents[3])
    with of(root), of(beside):
        assert sys.modules["corpusmill.pipelines.recipe.user_modules"] is user_modules


def test_a_folder_within_a_folder_is_another_one(tmp_path):
    outer = folder(tmp_path, "a")
    inner = folder(tmp_path / "a", "b")
    with of(outer):
        assert said("twin_helper") == "a"
    with of(inner):
        assert said("twin_helper") == "b"
        assert "twin_helper" in imported(inner)
        assert "twin_helper" not in imported(outer)
    with of(outer):
        assert said("twin_helper") == "a"


def test_what_the_user_imports_anew_is_not_brought_back(tmp_path):
    a = folder(tmp_path, "a")
    with of(a):
        said("twin_helper")
        first = known("twin_helper")
    (tmp_path / "a" / "twin_helper.py").write_text("SAID = 'edited by the user'\n")
    with of(a):
        assert known("twin_helper") == first  # what runs is what was imported
    del sys.modules["twin_helper"]
    with of(a):
        assert said("twin_helper") == "edited by the user"
        assert known("twin_helper")[1] != first[1]
    (tmp_path / "a" / "twin_helper.py").write_text("SAID = 'edited again, and reloaded'\n")
    importlib.reload(sys.modules["twin_helper"])
    assert said("twin_helper") == "edited again, and reloaded"
    assert known("twin_helper")[1] not in (first[1], "")


def test_an_error_within_leaves_the_others_where_they_were(tmp_path):
    a, b = folder(tmp_path, "a"), folder(tmp_path, "b")
    (tmp_path / "b" / "twin_step.py").write_text("1 / 0")
    with of(a):
        module = importlib.import_module("twin_step")
    with pytest.raises(ZeroDivisionError), of(b):
        importlib.import_module("twin_step")
    with of(a):
        assert sys.modules["twin_step"] is module


def test_threads_that_ask_for_different_folders(tmp_path):
    folders = {name: folder(tmp_path, name) for name in ("a", "b")}
    wrong, start = [], threading.Barrier(4)

    def ask(name):
        start.wait()
        for _ in range(30):
            with of(folders[name]):
                if said("twin_step") != name or said("twin_package.deep") != name:
                    wrong.append(name)

    threads = [threading.Thread(target=ask, args=(name,)) for name in ("a", "b", "a", "b")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_a_thread_that_looks_for_a_module_meanwhile_finds_it(tmp_path, monkeypatch):
    a, b = folder(tmp_path, "a"), folder(tmp_path, "b")
    with of(b), of(a):
        assert sys.path[-2:] == [a, b]
    looks, go, found = threading.Event(), threading.Event(), []

    class Waits:
        """The finder of the folder that comes first."""

        def find_spec(self, name, target=None):
            if name == "twin_only_b":
                looks.set()
                go.wait(60)

        def invalidate_caches(self):
            pass

    monkeypatch.setitem(sys.path_importer_cache, a, Waits())
    thread = threading.Thread(target=lambda: found.append(said("twin_only_b")))
    thread.start()
    assert looks.wait(60)
    with of(b):
        assert sys.path[-2:] == [b, a]
    go.set()
    thread.join()
    assert found == ["b"]


@pytest.mark.parametrize("options", [[], ["--direct_running_mode=in_memory"]], ids=["without a graph", "graph"])
def test_two_recipes_of_one_process_run_their_own_steps(tmp_path, options):
    recipes = {}
    for name in ("a", "b"):
        folder(tmp_path, name)
        write_shards(tmp_path / name / "raw", rows(10), 2)
        recipes[name] = load(write_recipe(tmp_path / name, ["twin_step:Mine"]))
    for name, recipe in recipes.items():
        assert run(recipe, workers=1, options=options).committed
        for file in Dataset(recipe.dataset).files():
            assert set(pq.read_table(file)["said"].to_pylist()) == {name}
