"""Imports that nobody asked for are not made; what needs a package finds it afterwards."""

import importlib
import json
import subprocess
import sys
import threading
from importlib.machinery import PathFinder

import pytest

from corpusmill.pipelines.recipe.model import load
from corpusmill.pipelines.runners import hidden_imports

RECIPE = """name: lean
sources: [{{name: a, path: "in/*.jsonl"}}]
steps: [{{{steps}}}]
output: {{path: out}}
"""


OWN = """from corpusmill.transforms.filters.gopher_quality import GopherQuality


class Mine(GopherQuality):
    name = "mine"
"""


def recipe(tmp_path, steps="clean: {}"):
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.jsonl").write_text('{"text": "a"}\n')
    (tmp_path / "own_lean.py").write_text(OWN)
    path = tmp_path / "r.yaml"
    path.write_text(RECIPE.format(steps=steps))
    return load(str(path))


@pytest.mark.parametrize(
    ("steps", "ours"),
    [("clean: {}", True), ("gopher-quality@1: {}", True), ("'own_lean:Mine': {}", False)],
)
def test_only_a_process_that_runs_our_code_alone_hides_anything(tmp_path, monkeypatch, steps, ours):
    monkeypatch.setattr(hidden_imports, "_allowed", False)
    hidden_imports.allow(recipe(tmp_path, steps))
    assert hidden_imports._allowed is ours


def test_nothing_is_hidden_without_leave(monkeypatch):
    monkeypatch.setattr(hidden_imports, "_allowed", False)
    before = list(sys.meta_path)
    with hidden_imports.imports():
        assert sys.meta_path == before


def test_threads_at_work_find_what_is_hidden_from_who_starts_up(monkeypatch, tmp_path):
    monkeypatch.setattr(hidden_imports, "_allowed", True)
    monkeypatch.setattr(hidden_imports, "HIDDEN", ("somebody_elses",))
    (tmp_path / "somebody_elses.py").write_text("")
    monkeypatch.syspath_prepend(str(tmp_path))
    found = []
    thread = threading.Thread(target=lambda: found.append(importlib.import_module("somebody_elses")))
    with hidden_imports.imports():
        with pytest.raises(ModuleNotFoundError):
            importlib.import_module("somebody_elses")
        thread.start()
        thread.join()
    assert found == [sys.modules.pop("somebody_elses")]


def test_a_thread_that_looks_for_a_module_when_it_ends_finds_it(monkeypatch, tmp_path):
    monkeypatch.setattr(hidden_imports, "_allowed", True)
    (tmp_path / "somebody_elses.py").write_text("")
    monkeypatch.syspath_prepend(str(tmp_path))
    looks, go, found = threading.Event(), threading.Event(), []

    class Waits:
        def find_spec(self, name, path=None, target=None):
            if name == "somebody_elses":
                looks.set()
                go.wait(60)

    finders = list(sys.meta_path)
    finders.insert(finders.index(PathFinder), Waits())
    monkeypatch.setattr(sys, "meta_path", finders)
    thread = threading.Thread(target=lambda: found.append(importlib.import_module("somebody_elses")))
    with hidden_imports.imports():
        thread.start()
        assert looks.wait(60)
    go.set()
    thread.join()
    assert found == [sys.modules.pop("somebody_elses", None)]


CODE = """
import json, sys, warnings
warnings.simplefilter("error")
from corpusmill.pipelines.runners import hidden_imports
from corpusmill.pipelines.recipe.model import load
hidden_imports.allow(load(sys.argv[1]))
hidden_imports.begin()
with hidden_imports.imports():
    import apache_beam
    from apache_beam.runners.portability.fn_api_runner import FnApiRunner
early = sorted({"pandas", "boto3", "pymongo", "google.cloud.storage"} & set(sys.modules))
import pandas, pyarrow as pa
frame = pa.table({"a": [1, 2], "b": ["x", None]}).to_pandas()
back = pa.Table.from_pandas(pandas.DataFrame({"a": [0.5, None]}))
print(json.dumps([early, frame["a"].tolist(), back["a"].null_count, pa.array(pandas.Series([0.5, None])).null_count]))
"""


def test_what_was_hidden_is_imported_when_it_is_needed(tmp_path):
    recipe(tmp_path)
    argv = [sys.executable, "-c", CODE, str(tmp_path / "r.yaml")]
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout.splitlines()[-1]) == [[], [1, 2], 1, 1]
