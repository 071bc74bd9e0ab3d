"""What came first to a dataset stays when a duplicate of it comes; what each file came with is told from manifest to manifest."""

import json
import random

import pytest

from corpusmill.pipelines.dataset.arrivals import ranked, waves
from corpusmill.pipelines.dataset.snapshot import Dataset
from corpusmill.pipelines.operations.rollback import rollback
from corpusmill.pipelines.recipe.model import load
from corpusmill.pipelines.run import run
from corpusmill.transforms.errors import DatasetError
from corpusmill.transforms.shards import read_shard
from tests.command import invoke
from tests.corpora import rows, sentence, write_recipe, write_shards

TEXTS = ["\n".join(sentence(random.Random(100 * k + n), 12) for n in range(8)) for k in range(8)]


def named(*pairs: tuple[str, str], source: str = "s") -> list[dict]:
    return [{"source": source, "path": p, "digest": d} for p, d in pairs]


def came(before: list[dict], wave: int) -> list[dict]:
    return [i | {"arrival": wave} for i in before]


def test_a_file_keeps_its_wave_through_changes_and_moves():
    before = came(named(("a", "1"), ("b", "2")), 1) + came(named(("c", "3")), 2)
    listed = named(("a", "changed"), ("c", "3"), ("moved", "2"), ("copy", "3"), ("new", "4"))
    assert waves(before, listed) == [1, 2, 1, 3, 3]
    assert waves([], listed) == [1] * 5
    assert waves(before, named(("a", "1"), source="other")) == [3]


def test_manifests_of_before_waves_count_as_one():
    assert waves(named(("a", "1")), named(("a", "1"), ("b", "2"))) == [1, 2]


def test_waves_are_ranks_and_one_wave_is_none():
    assert ranked([1, 5, 3, 5]) == [0, 2, 1, 2]
    assert ranked([4, 4]) is None
    assert ranked([]) is None


def kept(out) -> set[str]:
    return {i for file in Dataset(out).files() for b in read_shard(file) for i in b.column("id").to_pylist()}


def lived(folder, steps, ids=("m", "a", "z"), edit="\n!"):
    """A dataset to which the same texts come three times, each time with one edit more, under other ids; its recipe."""
    for n, i in enumerate(ids):
        docs = [{"id": f"{i}{k}", "text": t + edit * n, "year": 2000 + n} for k, t in enumerate(TEXTS)]
        write_shards(folder / "raw", docs, 1, first=n)
        recipe = write_recipe(folder, steps)
        run(load(recipe), workers=1)
    return recipe


STEPS = [
    {"exact": {"normalize": "words"}},
    {"minhash": {}},
    {"lines": {"min_words": 1}},
    {"paragraphs": {"min_words": 1}},
    {"substring": {}},
]


@pytest.mark.parametrize("step", STEPS, ids=lambda s: next(iter(s)))
def test_incumbents_stay_and_their_shards_with_them(tmp_path, step):
    whole = "exact" in step or "minhash" in step  # the others drop what has nothing of its own
    lived(tmp_path, [step], edit="\n!" if whole else "")
    dataset = Dataset(tmp_path / "out")
    assert kept(tmp_path / "out") == {f"m{k}" for k in range(len(TEXTS))}
    shards = [{f["path"] for f in dataset.manifest(n)["files"]} for n in dataset.numbers]
    assert shards[0] == shards[1] == shards[2]
    assert [i["arrival"] for i in sorted(dataset.manifest()["inputs"], key=lambda i: i["path"])] == [1, 2, 3]


def test_what_is_asked_for_by_content_wins_over_what_came_first(tmp_path):
    lived(tmp_path, [{"minhash": {"keep": "longest"}}])
    assert kept(tmp_path / "out") == {f"z{k}" for k in range(len(TEXTS))}  # the latest texts are the longest


def test_a_dataset_made_anew_chooses_by_content_unless_it_is_given_the_history(tmp_path):
    recipe = lived(tmp_path, [{"minhash": {}}])
    fresh = run(load(recipe, ["output.path=fresh"]), workers=1)
    assert kept(tmp_path / "fresh") == {f"a{k}" for k in range(len(TEXTS))}
    assert fresh.manifest["content"] != Dataset(tmp_path / "out").manifest()["content"]
    done = invoke("run", recipe, "--set", "output.path=again", "--arrivals", tmp_path / "out")
    assert done.exit_code == 0, done.output
    assert Dataset(tmp_path / "again").manifest()["content"] == Dataset(tmp_path / "out").manifest()["content"]
    # and remembers it
    assert not run(load(recipe, ["output.path=again"]), workers=1).committed


def test_a_dataset_that_is_not_there_has_no_history(tmp_path):
    write_shards(tmp_path / "raw", rows(4), 1)
    with pytest.raises(DatasetError, match=r"--arrivals: .*nowhere does not exist"):
        run(load(write_recipe(tmp_path, [])), workers=1, arrivals=str(tmp_path / "nowhere"))
    assert not (tmp_path / "out" / "snapshots").exists()


def test_what_came_behind_a_snapshot_comes_anew_after_a_rollback(tmp_path):
    recipe = lived(tmp_path, [{"minhash": {}}])
    rollback(str(tmp_path / "out"), 1)
    manifest = run(load(recipe), workers=1).manifest
    assert sorted(i["arrival"] for i in manifest["inputs"]) == [1, 2, 2]
    assert kept(tmp_path / "out") == {f"m{k}" for k in range(len(TEXTS))}


def test_a_first_one_that_is_gone_gives_way_to_the_next(tmp_path):
    recipe = lived(tmp_path, [{"minhash": {}}], ids=("m", "z", "a"))
    (tmp_path / "raw" / "part-000.parquet").unlink()
    run(load(recipe), workers=1)
    assert kept(tmp_path / "out") == {f"z{k}" for k in range(len(TEXTS))}


def test_small_files_of_one_refresh_leave_the_shards_of_others_alone(tmp_path):
    (tmp_path / "raw").mkdir()
    sources = [{"name": "raw", "path": "raw/*.txt"}]
    for n in range(3):
        for k in range(20):
            (tmp_path / "raw" / f"{n}-{k}.txt").write_text(f"{n} {k} some text of a small file")
        recipe = write_recipe(tmp_path, [{"exact": {}}], sources=sources)
        run(load(recipe), workers=1)
    dataset = Dataset(tmp_path / "out")
    shards = [{f["path"] for f in dataset.manifest(n)["files"]} for n in dataset.numbers]
    assert shards[0] < shards[1] < shards[2]
    assert dataset.manifest()["documents"] == 60


def test_small_shards_of_many_refreshes_become_full_ones_as_in_a_dataset_made_anew(tmp_path):
    (tmp_path / "raw").mkdir()
    sources = [{"name": "raw", "path": "raw/*.txt"}]
    recipe = write_recipe(tmp_path, [{"minhash": {}}], sources=sources)
    for n in range(4):
        for k, text in enumerate(TEXTS):
            (tmp_path / "raw" / f"{'dacb'[n]}{k}.txt").write_text(text + "\n!" * n)
        run(load(recipe), workers=1)
    assert len(Dataset(tmp_path / "out").files()) == 1  # the incumbents, in the shard of the first refresh
    planned = json.loads(invoke("plan", recipe, "--as-new", "--json").output)
    assert not planned["nothing_new"]
    done = invoke("run", recipe, "--as-new")
    assert done.exit_code == 0, done.output
    fresh = run(load(recipe, ["output.path=fresh"]), workers=1).manifest
    merged = Dataset(tmp_path / "out").manifest()
    assert merged["content"] == fresh["content"]
    assert {i["arrival"] for i in merged["inputs"]} == {1}
    assert invoke("run", recipe).exit_code == invoke("run", recipe, "--as-new").exit_code == 3
    assert invoke("run", recipe, "--as-new", "--arrivals", "fresh").exit_code == 2
    assert invoke("plan", recipe, "--as-new", "--price", "1").exit_code == 2
