"""A job as bytes: to a process that has never seen the recipe's folder, and to one that has, with other modules in it."""

import pickle
import subprocess
import sys

import pytest

from corpusmill.pipelines.engine.open_job import open_job
from corpusmill.pipelines.recipe import user_modules
from corpusmill.pipelines.recipe.model import load
from corpusmill.pipelines.runners.job_transport import Carried
from corpusmill.transforms.errors import EngineError
from tests.corpora import rows, write_recipe, write_shards

MODULE = """
from carried_helper import SAID
from corpusmill.transforms.base import Map


class Mine(Map):
    name = "mine"
    version = {version}

    def said(self):
        return SAID

    def map(self, batch, rng):
        return batch
"""
PACK = (
    "import pickle, sys; from corpusmill.pipelines.runners.job_transport import Carried; "
    "from corpusmill.pipelines.engine.open_job import open_job; "
    "from corpusmill.pipelines.recipe.model import load; "
    "sys.stdout.buffer.write(pickle.dumps(Carried(open_job(load(sys.argv[1])))))"
)


def packed(folder, version, said):
    """The bytes of a job with a step of the user's own, made by another process."""
    if not (folder / "raw").exists():
        write_shards(folder / "raw", rows(10), 2)
    # of another length each time: an edit of the same length in the same second is not seen by Python's cache
    (folder / "carried_mine.py").write_text(MODULE.format(version=version) + "#" * version)
    (folder / "carried_helper.py").write_text(f"SAID = {said!r}\n")
    recipe = write_recipe(folder, ["carried_mine:Mine"])
    return subprocess.run([sys.executable, "-c", PACK, str(recipe)], stdout=subprocess.PIPE, check=True).stdout


@pytest.fixture
def worker(monkeypatch):
    """This process as a worker that lives long; afterwards it knows nothing of it."""
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.setattr(user_modules, "_folders", {})
    monkeypatch.setattr(user_modules, "_read", {})
    yield
    for name in ("carried_mine", "carried_helper"):
        sys.modules.pop(name, None)


def step_of(data):
    return pickle.loads(data).job.recipe.steps[0].transform


def test_a_job_of_our_own_steps_takes_no_folder_along(tmp_path):
    write_shards(tmp_path / "raw", rows(10), 2)
    job = open_job(load(write_recipe(tmp_path, ["clean", "exact"])))
    before = list(sys.path)
    again = pickle.loads(pickle.dumps(Carried(job))).job
    assert again == job
    assert again.work_digest() == job.work_digest()
    assert sys.path == before
    state = Carried(job).__getstate__()
    assert (state["folder"], state["modules"]) == ("", {})


@pytest.mark.usefixtures("worker")
def test_a_step_beside_the_recipe_is_found_where_it_was_never_imported(tmp_path):
    data = packed(tmp_path, 1, "a")
    assert "carried_mine" not in sys.modules
    assert (step_of(data).version, step_of(data).said()) == (1, "a")
    assert sys.path.count(str(tmp_path)) == 1


@pytest.mark.usefixtures("worker")
def test_a_long_lived_worker_runs_the_edited_step(tmp_path):
    first = step_of(packed(tmp_path, 1, "a"))
    edited = step_of(packed(tmp_path, 22, "a"))
    helper = step_of(packed(tmp_path, 22, "the helper was edited, the step was not"))
    assert [first.version, edited.version, helper.version] == [1, 22, 22]
    assert [first.said(), edited.said(), helper.said()] == ["a", "a", "the helper was edited, the step was not"]
    # nothing changed: nothing is imported anew
    assert type(step_of(packed(tmp_path, 22, helper.said()))) is type(helper)


@pytest.mark.usefixtures("worker")
def test_a_worker_that_inherits_the_path_of_who_ran_another_recipe_takes_the_right_module(tmp_path):
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        packed(tmp_path / name, ord(name), name)
    both = PACK.replace("sys.stdout", "load(sys.argv[2]); sys.stdout", 1)
    recipes = [str(tmp_path / name / "recipe.yaml") for name in ("b", "a")]
    data = subprocess.run([sys.executable, "-c", both, *recipes], stdout=subprocess.PIPE, check=True).stdout
    sys.path.append(str(tmp_path / "a"))  # as processes that are started get it
    assert (step_of(data).version, step_of(data).said()) == (ord("b"), "b")


@pytest.mark.usefixtures("worker")
def test_a_long_lived_worker_keeps_two_recipes_apart(tmp_path):
    made = {}
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        made[name] = packed(tmp_path / name, ord(name), name)
    for name in ("a", "b", "a", "a", "b"):
        step = step_of(made[name])
        assert (step.version, step.said()) == (ord(name), name)
        assert sys.modules["carried_mine"].__file__ == str(tmp_path / name / "carried_mine.py")


@pytest.mark.usefixtures("worker")
@pytest.mark.parametrize("imported", [False, True])
def test_a_worker_that_sees_other_code_says_so(tmp_path, imported):
    """As where the folder is a copy that nobody brought up to date."""
    if imported:
        step_of(packed(tmp_path, 1, "a"))
    data = packed(tmp_path, 22, "b")
    (tmp_path / "carried_mine.py").write_text(MODULE.format(version=333))
    with pytest.raises(EngineError, match=r"the module `carried_\w+` is another one here"):
        step_of(data)


@pytest.mark.usefixtures("worker")
def test_two_recipes_of_one_process_are_packed_each_with_its_own(tmp_path):
    jobs = {}
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        packed(tmp_path / name, ord(name), name)
        jobs[name] = open_job(load(tmp_path / name / "recipe.yaml"))
    for name in ("a", "b", "a"):
        made = pickle.dumps(Carried(jobs[name]))
        again = pickle.loads(made).job
        assert type(again.recipe.steps[0].transform) is type(jobs[name].recipe.steps[0].transform)
        assert (again.recipe.steps[0].transform.version, step_of(made).said()) == (ord(name), name)
    # by a process that has neither
    read = "import pickle, sys; print(pickle.load(sys.stdin.buffer).job.recipe.steps[0].transform.said())"
    for name in ("a", "b"):
        made = pickle.dumps(Carried(jobs[name]))
        assert subprocess.check_output([sys.executable, "-c", read], input=made).decode() == f"{name}\n"
