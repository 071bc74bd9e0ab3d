import subprocess
import sys
from pathlib import Path

import pytest

from corpusmill.pipelines.recipe.starter_step import starter_step
from tests.command import invoke


@pytest.mark.slow
def test_a_new_step_passes_its_test_and_runs_in_a_recipe_beside_it(tmp_path):
    done = invoke("init", "--step", tmp_path / "not_loud.py")
    assert done.exit_code == 0, done.output
    subprocess.run([sys.executable, "-m", "pytest", "-q", "test_not_loud.py"], cwd=tmp_path, check=True)
    (tmp_path / "raw.jsonl").write_text('{"text": "LOUD"}\n{"text": "quiet"}\n')
    (tmp_path / "recipe.yaml").write_text(
        "name: own\nsources: [{name: raw, path: raw.jsonl}]\n"
        "steps: [{'not_loud:NotLoud': {max_share: 0.5}}]\noutput: {path: out}\n"
    )
    done = invoke("run", tmp_path / "recipe.yaml")
    assert done.exit_code == 0, done.output
    assert "max_share" in done.output


@pytest.mark.parametrize("name", ["My Filter.py", "my-filter.py", "filter", "import.txt", "_x.py"])
def test_a_file_that_is_no_module_is_refused(tmp_path, name):
    done = invoke("init", "--step", tmp_path / name)
    assert done.exit_code == 78
    assert "a step's file is a module of lower-case words" in done.output


def test_a_step_that_exists_is_left_as_it_is(tmp_path):
    (tmp_path / "my_filter.py").write_text("mine")
    assert invoke("init", "--step", tmp_path / "my_filter.py").exit_code == 78
    assert (tmp_path / "my_filter.py").read_text() == "mine"
    assert invoke("init", "--step", "--train").exit_code == 2


def test_the_example_of_a_step_is_what_init_writes():
    folder = Path(__file__).resolve().parents[3] / "examples/own_steps"
    for name, text in starter_step("not_loud.py").items():
        assert (folder / name).read_text(encoding="utf-8") == text
