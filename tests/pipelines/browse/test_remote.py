"""Datasets in object stores are browsed as those on a disk: S3 and Google Cloud Storage, by servers in this process."""

import pytest

import corpusmill
from corpusmill.pipelines.browse.remote import StoreFiles, address, name
from corpusmill.transforms import storage
from tests import google_storage, objects
from tests.corpora import rows, write_recipe, write_shards
from tests.pipelines.browse.serving import serving

STORES = {
    "s3": ("moto", objects.serving, "s3://corpora/browsed"),
    "gs": ("google.cloud.storage", google_storage.serving, "gs://corpora/browsed"),
}


@pytest.fixture(scope="module")
def out(tmp_path_factory):
    folder = tmp_path_factory.mktemp("remote")
    write_shards(folder / "raw", [d for d in rows(80) if d["text"].strip()], 2)
    steps = ["clean", {"gopher-quality": {"min_words": 40, "keep_scores": True}}, "exact", "minhash"]
    corpusmill.run(write_recipe(folder, steps), workers=1)
    return folder / "out"


@pytest.mark.parametrize("scheme", STORES)
def test_a_store_gives_what_the_disk_gives(out, scheme):
    module, store, uri = STORES[scheme]
    pytest.importorskip(module, reason=f"{module} is not installed")
    asked = [
        ("count", {}),
        ("rows", {"search": "river", "mode": "any case", "sort": "id"}),
        ("rows", {"table": "dropped", "filters": [["step", "=", "exact"]]}),
        ("stays", {"step": "gopher-quality", "rule": "min_words", "limit": 60}),
        ("histogram", {"step": "gopher-quality", "rule": "min_words"}),
    ]
    with store():
        for file in (f for f in out.rglob("*") if f.is_file()):
            storage.write_atomic(f"{uri}/{file.relative_to(out)}", file.read_bytes())
        with serving(out, uri) as client:
            for question, details in asked:
                here, there = (client.ask(question, d=d, **details) for d in (0, 1))
                assert here == there, question
            kept = client.ask("rows", sort="id")[0]["id"]
            assert client.ask("document", d=1, id=kept)["text"] == client.ask("document", d=0, id=kept)["text"] != ""
            assert client.ask("progress", d=1) == {"running": False, "newest": 1}


def test_names_go_there_and_back():
    assert name("s3://bucket/a b/c.parquet") == "corpusmill://s3/bucket/a b/c.parquet"
    assert address(name("gs://bucket/a.parquet")) == "gs://bucket/a.parquet"
    assert StoreFiles().glob("corpusmill://s3/bucket/*.parquet") == ["s3/bucket/*.parquet"]  # no pattern is followed
