"""Verbs that change a dataset ask a person at a terminal first."""

import pytest

from tests.command import invoke, invoke_json
from tests.corpora import rows, write_recipe, write_shards


@pytest.fixture
def out(tmp_path):
    write_shards(tmp_path / "raw", rows(6), 1)
    assert invoke("run", write_recipe(tmp_path, ["clean"]), "--workers", 1).exit_code == 0
    return tmp_path / "out"


@pytest.fixture
def terminal(monkeypatch):
    """A terminal at which a person types the answer."""

    def typed(answer: str) -> None:
        monkeypatch.setattr("corpusmill.pipelines.commands._at_terminal", lambda: True)
        monkeypatch.setattr("corpusmill.pipelines.commands._answer", lambda: answer)

    return typed


@pytest.mark.parametrize("answer", ["", "n", "no"])
def test_an_answer_that_is_not_yes_changes_nothing(out, tmp_path, terminal, answer):
    (tmp_path / "ids").write_text("0-00001\n")
    terminal(answer)
    for args in (["forget", out, "--ids", tmp_path / "ids"], ["gc", out]):
        done = invoke(*args)
        assert done.exit_code == 1
        assert "for good? [y/N]" in done.stdout
        assert done.stdout.endswith("Nothing was changed.\n")
    assert not (out / "suppressed").exists()


@pytest.mark.parametrize("more", [[], ["--yes"]])
def test_yes_is_typed_or_given(out, terminal, more):
    terminal("y" if not more else "n")
    done = invoke("gc", out, *more)
    assert done.exit_code == 0
    assert ("[y/N]" in done.stdout) == (not more)


def test_a_dry_run_asks_nothing_and_changes_nothing(out, tmp_path, terminal):
    terminal("n")
    (tmp_path / "ids").write_text("0-00001\nnobody\n")
    done = invoke("forget", out, "--ids", tmp_path / "ids", "--dry-run")
    assert done.exit_code == 1
    assert "nobody" in done.stderr
    assert "Documents found: 1" in done.stdout
    assert "not finished yet" not in done.stdout
    assert len(invoke_json("log", out)) == 1


def test_log_names_rollbacks_takedowns_and_other_recipes(out, tmp_path):
    recipe = out.parent / "recipe.yaml"
    assert invoke("run", recipe, "--set", "seed=9", "--workers", 1).exit_code == 0
    assert invoke("rollback", out, 1).exit_code == 0
    (tmp_path / "ids").write_text("0-00001\n")
    assert invoke("forget", out, "--ids", tmp_path / "ids", "--purge", "--workers", 1).exit_code == 0
    notes = [s["notes"] for s in invoke_json("log", out)]
    assert notes == [["purged"], ["purged", "recipe or --set changed"], ["rollback to 1", "purged"], ["takedown"]]
    assert "rollback to 1, purged" in invoke("log", out).stdout
