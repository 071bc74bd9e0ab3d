"""The public Python API, used as from a notebook."""

import json
import pickle
import subprocess
import sys
from pathlib import Path

import polars as pl
import pyarrow as pa
import pytest

import corpusmill
from corpusmill.pipelines.recipe.registry import names
from corpusmill.steps import Clean, Exact, Length, Lines, Minhash, Pack, Paragraphs, Substring, Top
from corpusmill.transforms.base import Transform
from corpusmill.transforms.errors import DatasetError, RecipeError
from corpusmill.transforms.tokens.train_tokenizer import train_tokenizer
from tests.corpora import rows, write_shards


@pytest.fixture
def folder(tmp_path, monkeypatch):
    write_shards(tmp_path / "raw", rows(200), 3)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def recipe(**changes):
    values = {
        "name": "docs",
        "sources": [{"name": "raw", "path": "raw/*.parquet", "columns": {"id": "id", "text": "text"}}],
        "steps": [Clean(), Length(min_words=3), "exact", {"minhash": {"threshold": 0.7}}],
        "output": "out",
    }
    return values | changes


def test_a_session_in_a_notebook(folder):
    result = corpusmill.run(corpusmill.Recipe(**recipe()))
    assert (result.committed, result.snapshot) == (True, 1)
    corpus = corpusmill.open("out")
    assert repr(corpus) == f"Dataset('out', snapshot 1 of 1: {len(corpus):,} documents)"
    assert repr(result).startswith(f"RunResult(committed, Dataset('{folder}/out', snapshot 1")
    assert "minhash" in corpus._repr_html_()
    assert result._repr_html_().count("<pre>") == 1

    table = corpus.to_arrow()
    assert table.num_rows == len(corpus) == result.funnel["rows_out"] > 0
    assert corpus.to_polars(["id"])["id"].to_list() == table["id"].to_pylist()
    assert list(corpus.to_pandas()["text"]) == table["text"].to_pylist()
    assert corpus.to_datasets()["id"][:] == table["id"].to_pylist()
    assert sum(batch.num_rows for batch in corpus.batches(["text"], batch_rows=7)) == len(corpus)
    assert pl.scan_parquet(corpus.files()).select(pl.len()).collect().item() == len(corpus)

    near = corpus.dropped(step="minhash")
    assert set(near["reason"].to_pylist()) == {"near-duplicate"}
    assert (
        near.num_rows + corpus.dropped("exact").num_rows + corpus.dropped("length").num_rows
        == corpus.dropped().num_rows
    )
    assert corpus.dropped(reason="near-duplicate").equals(near)
    assert set(near["survivor"].to_pylist()) <= set(table["id"].to_pylist())
    assert min(corpus.pairs()["jaccard"].to_pylist()) >= 0.7
    assert corpus.why(near["id"][0].as_py())["outcome"] == "dropped"
    assert corpus.table("quarantine").num_rows == corpus.funnel["quarantined"]


def test_a_recipe_is_a_path_a_mapping_or_an_object_and_the_result_is_the_same(folder):
    mapping = recipe(steps=["clean", {"length": {"min_words": 3}}, "exact", {"minhash": {"threshold": 0.7}}])
    (folder / "recipe.yaml").write_text(json.dumps(mapping | {"output": {"path": "out"}}))
    first = corpusmill.run("recipe.yaml", workers=1)
    again = [corpusmill.run(mapping), corpusmill.run(corpusmill.Recipe(**recipe())), corpusmill.run("recipe.yaml")]
    assert [(r.committed, r.snapshot) for r in (first, *again)] == [(True, 1), *[(False, 1)] * 3]
    more = corpusmill.run("recipe.yaml", overrides=["steps.length.min_words=60"])
    assert (more.committed, more.dataset.snapshots) == (True, [1, 2])
    assert len(more.dataset) < len(more.dataset.snapshot(1)) == len(first.dataset)


def test_steps_in_memory_keep_what_a_run_of_the_recipe_keeps(folder):
    kept = corpusmill.run(recipe()).dataset.to_arrow(["id"])["id"].to_pylist()
    table = pa.Table.from_pylist(rows(200))
    for step in (Clean(), Length(min_words=3), Exact(), Minhash(threshold=0.7)):
        table = step(table)
    assert sorted(table["id"].to_pylist()) == sorted(kept)


@pytest.mark.parametrize(
    "step",
    [Exact(normalize="words"), Lines(), Paragraphs(), Substring(min_bytes=40), Top(by="year", share=0.5)],
    ids=lambda step: step.name,
)
def test_a_group_in_memory_decides_as_a_run_does(folder, step):
    run = corpusmill.run(recipe(steps=[step])).dataset.to_pandas().sort_values(["id", "text"])
    memory = step(pa.Table.from_pylist(rows(200))).to_pandas().sort_values(["id", "text"])
    assert memory[["id", "text"]].values.tolist() == run[["id", "text"]].values.tolist()
    assert 0 < len(run) <= 200


def test_a_wrong_recipe_lists_its_mistakes_with_advice():
    with pytest.raises(corpusmill.CorpusmillError) as caught:
        corpusmill.Recipe(**recipe(steps=["clena", {"minhash": {"treshold": 0.7}}], sed=2))
    message = str(caught.value)
    assert "did you mean `clean`?" in message
    assert "did you mean `threshold`?" in message
    assert "a recipe has no section `sed`" in message
    assert "2 | " in message or "3 | " in message


def test_steps_of_ones_own_are_named_by_their_module(folder):
    (folder / "own_steps.py").write_text(
        "from corpusmill.transforms.base import Map\n"
        "class Upper(Map):\n    name = 'upper'\n    def map(self, batch, rng):\n        return batch\n"
        "def long_enough(text: str) -> bool:\n    return len(text) > 50\n"
    )
    sys.path.append(str(folder))
    try:
        from own_steps import Upper, long_enough

        steps = corpusmill.Recipe(**recipe(steps=[Upper(), long_enough])).steps
        assert [step.name for step in steps] == ["upper", "long-enough"]
    finally:
        sys.path.remove(str(folder))

    class Local(Upper):
        name = "local"

    with pytest.raises(RecipeError, match="cannot be named in a recipe: workers import it"):
        corpusmill.Recipe(**recipe(steps=[Local()]))


def test_a_recipe_has_a_short_repr_and_travels_to_other_processes(folder):
    made = corpusmill.Recipe(**recipe())
    assert repr(made) == "Recipe('docs': raw > clean > length > exact > minhash > out)"
    assert pickle.loads(pickle.dumps(made)) == made


def test_packed_rows_feed_a_torch_loader(folder):
    import torch

    train_tokenizer(pa.Table.from_pylist(rows(200)).select(["id", "text"]).to_batches(), "t.json", vocab_size=300)
    pack = Pack(tokenizer="t.json", length=64)
    packed = corpusmill.run(recipe(steps=[pack], output={"path": "packed", "format": "arrow"})).dataset
    data = packed.torch()
    assert packed.packed
    assert len(data) == len(packed) > 8
    assert pickle.loads(pickle.dumps(data))[3].keys() == data[3].keys() == {"input_ids", "segment_ids", "position_ids"}
    batch = next(iter(torch.utils.data.DataLoader(data, batch_size=4)))
    assert batch["input_ids"].shape == (4, 64)
    assert batch["input_ids"].tolist() == packed.to_arrow(["input_ids"])["input_ids"].to_pylist()[:4]
    assert data[-1]["input_ids"].equal(data[len(data) - 1]["input_ids"])
    with pytest.raises(IndexError, match="row 9999 of"):
        data[9999]
    documents = corpusmill.run(recipe()).dataset
    with pytest.raises(DatasetError, match="holds documents; add the step `pack`"):
        documents.torch()
    with pytest.raises(DatasetError, match=r"has no column `label`; it has: id, text"):
        documents.to_arrow(["label"])


def test_every_step_can_be_imported_by_name_and_is_listed_for_type_checkers():
    from corpusmill import steps

    classes = {name: getattr(steps, name) for name in dir(steps)}
    assert sorted(c.name for c in classes.values()) == sorted(names())
    assert all(issubclass(c, Transform) and c.__name__ == name for name, c in classes.items())
    source = Path(steps.__file__).read_text(encoding="utf-8")
    lines = [f"    from {c.__module__} import {name} as {name}" for name, c in classes.items()]
    missing = [line for line in lines if line not in source.splitlines()]
    assert not missing, "add to corpusmill/steps.py:\n" + "\n".join(missing)
    with pytest.raises(AttributeError, match="no step 'Minhsh'; did you mean `Minhash`"):
        steps.Minhsh  # noqa: B018


def test_importing_steps_imports_only_the_steps_that_are_named():
    code = (
        "import sys; import corpusmill.steps, corpusmill.pipelines.recipe.registry\n"
        "heavy = lambda: [m for m in ('apache_beam', 'torch', 'pyarrow', 'numba') if m in sys.modules]\n"
        "assert heavy() == [], heavy()\n"
        "from corpusmill.steps import Clean\n"
        "assert 'corpusmill.transforms.dedup.minhash' not in sys.modules and 'torch' not in heavy()\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
