"""A refresh does the units that what is new concerns, and no others."""

from __future__ import annotations

import pytest

from corpusmill.pipelines.engine import tasks
from corpusmill.pipelines.recipe.model import load
from corpusmill.pipelines.run import run
from corpusmill.pipelines.runners import local
from tests.corpora import rows, write_recipe, write_shards

STEPS = [{"exact": {}}, {"minhash": {}}]


def executed(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The kinds of the units that run from now on."""
    ran: list[str] = []
    for kind in ("pass", "keys"):

        def watched(task, real=tasks.KINDS[kind], kind=kind):
            ran.append(f"{kind} {task.stage.number}")
            return real(task)

        monkeypatch.setitem(tasks.KINDS, kind, watched)
    return ran


@pytest.mark.parametrize("seed", [11, 12, 13])
def test_a_new_shard_reruns_only_what_it_concerns(tmp_path, monkeypatch, seed):
    """Whatever number the new shard gets: it follows from its content."""
    write_shards(tmp_path / "raw", rows(400), 8)
    recipe = write_recipe(tmp_path, STEPS)
    run(load(recipe), workers=1)
    write_shards(tmp_path / "raw", rows(6, seed=seed), 1, first=9)
    ran = executed(monkeypatch)
    run(load(recipe), workers=1)
    # incumbents stay, so their shards do; looked at again are those that hold a candidate of a document that came
    assert [ran.count(f"pass {n}") for n in range(3)] == [1, 1, 1]
    assert ran.count("keys 1") <= 3


def test_small_stages_need_no_graph_and_large_ones_get_one(tmp_path, monkeypatch):
    graphs = []
    real = local.Local.run_graph
    monkeypatch.setattr(local.Local, "run_graph", lambda *args: graphs.append(1) or real(*args))
    contents = []
    for limit, expected in ((local.SMALL, 0), (0, 1)):
        monkeypatch.setattr(local, "SMALL", limit)
        folder = tmp_path / str(limit)
        write_shards(folder / "raw", rows(60), 3)
        contents.append(run(load(write_recipe(folder, STEPS)), workers=2).manifest["content"])
        assert len(graphs) == expected
    assert contents[0] == contents[1]


def test_an_error_in_a_small_stage_is_told_as_it_was_raised(tmp_path, monkeypatch):
    write_shards(tmp_path / "raw", rows(60), 3)

    def fails(*_):
        raise ZeroDivisionError("of a filter")

    monkeypatch.setitem(tasks.KINDS, "decide", fails)
    with pytest.raises(ZeroDivisionError, match="of a filter"):
        run(load(write_recipe(tmp_path, STEPS)), workers=2)
