"""Expectations block a commit and say why; what was published stays as it was."""

import pytest

from corpusmill.pipelines.dataset.snapshot import Dataset
from corpusmill.pipelines.recipe.model import load
from corpusmill.pipelines.run import run
from corpusmill.transforms.errors import ExpectationError, RecipeError
from tests.corpora import rows, write_recipe, write_shards


def texts(language, n, first=0):
    return [{"id": f"{language}{i}", "text": f"document {i}", "lang": language} for i in range(first, first + n)]


@pytest.fixture
def made(tmp_path):
    """A dataset of 20 documents; (folder, function that runs it with expectations)."""
    write_shards(tmp_path / "raw", rows(20), 2)
    run(load(write_recipe(tmp_path, [])), workers=1)

    def again(steps=(), **expect):
        return run(load(write_recipe(tmp_path, list(steps), expect=expect)), workers=1)

    return tmp_path, again


@pytest.mark.parametrize(
    ("expect", "said"),
    [
        ({"min_documents": 31}, "30 documents, at least 31"),
        ({"max_documents": 29}, "30 documents, at most 29"),
        ({"min_new_documents": 11}, "10 new documents, at least 11"),
        ({"max_growth": 0.4}, "20 documents would become 30"),
        ({"max_dropped": 0.2}, "a share of 0.3333 of the documents is dropped, most of them by length"),
        ({"max_shrink": 0.1, "min_documents": 1}, None),
        ({"min_new_documents": 10, "max_growth": 0.5, "max_documents": 30, "max_dropped": 0.5}, None),
    ],
)
def test_each_bound(made, expect, said):
    folder, again = made
    write_shards(folder / "raw", rows(10, seed=5), 1, first=7)
    drops = "max_dropped" in expect and said
    if drops:
        docs = [{"id": f"s{i}", "text": "x" * (5 if i < 10 else 50)} for i in range(30)]
        for file in (folder / "raw").iterdir():
            file.unlink()
        write_shards(folder / "raw", docs, 1)
    steps = [{"length": {"min_chars": 20}}] if drops else []
    before = sorted(p.name for p in (folder / "out" / "data").iterdir())
    if said is None:
        assert again(steps, **expect).snapshot == 2
        return
    with pytest.raises(ExpectationError, match=said) as error:
        again(steps, **expect)
    assert f"--set expect.{next(iter(expect))}=" in str(error.value)
    assert Dataset(folder / "out").numbers == [1]
    assert sorted(p.name for p in (folder / "out" / "data").iterdir()) == before
    # the work is kept, and an override commits it
    assert again(steps).snapshot == 2


def test_a_lost_source_is_caught(made):
    folder, again = made
    (folder / "raw" / "part-000.parquet").unlink()
    with pytest.raises(ExpectationError, match="20 documents would become 10"):
        again(max_shrink=0.4)


def test_the_figures_of_private_text_are_marked(tmp_path):
    write_shards(tmp_path / "raw", rows(20), 2)
    source = {"name": "calls", "path": "raw/*.parquet", "columns": {"id": "id"}, "private": True}
    with pytest.raises(ExpectationError, match=r"of private text \(calls\): not for publication"):
        run(load(write_recipe(tmp_path, [], sources=[source], expect={"min_documents": 50})), workers=1)


def test_language_shares(tmp_path):
    import pyarrow as pa
    import pyarrow.parquet as pq

    (tmp_path / "raw").mkdir()
    pq.write_table(pa.Table.from_pylist(texts("en", 6) + texts("zh", 4)), tmp_path / "raw" / "a.parquet")
    sources = [{"name": "raw", "path": "raw/*.parquet", "columns": {"id": "id", "lang": "lang"}}]

    def again(share):
        return run(load(write_recipe(tmp_path, [], sources=sources, expect={"language_share": share})), workers=1)

    with pytest.raises(ExpectationError, match=r"en is 0\.6 of the documents, 0\.7 to 0\.9"):
        again({"en": [0.7, 0.9], "zh": [0.1, 0.4]})
    with pytest.raises(ExpectationError, match="fr is 0 of"):
        again({"fr": [0.1, 1.0]})
    assert again({"en": [0.5, 0.7], "zh": [0.4, 0.4]}).committed
    sources[0]["columns"] = {"id": "id"}
    sources[0]["keep"] = []
    with pytest.raises(ExpectationError, match="no column `lang`"):
        again({"en": [0, 1]})


def test_the_content_does_not_depend_on_what_is_expected(tmp_path):
    write_shards(tmp_path / "raw", rows(10), 1)
    plain = load(write_recipe(tmp_path, []))
    expects = load(write_recipe(tmp_path, [], expect={"min_documents": 1}, schedule={"cron": "@daily"}))
    assert plain.digest() == expects.digest()
    run(plain, workers=1)
    assert not run(expects, workers=1).committed


@pytest.mark.parametrize(
    ("expect", "said"),
    [
        ({"min_document": 1}, "did you mean `min_documents`"),
        ({"max_dropped": 2}, "at most 1"),
        ({"language_share": {"en": [0.9, 0.1]}}, "write \\[least, most\\]"),
        ({"min_documents": 2, "max_documents": 1}, "more than `max_documents`"),
    ],
)
def test_mistakes(tmp_path, expect, said):
    with pytest.raises(RecipeError, match=said):
        load(write_recipe(tmp_path, [], expect=expect), check_paths=False)


def test_overrides(tmp_path):
    found = load(write_recipe(tmp_path, []), ["expect.min_documents=7"], check_paths=False)
    assert found.expect.min_documents == 7
