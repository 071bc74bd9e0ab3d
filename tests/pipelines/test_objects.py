"""Sources and datasets in object stores: the same snapshots as on a disk, by the same commands."""

import itertools
import json
import os
import re
import signal
import subprocess
import sys
import threading

import pytest
from click.testing import CliRunner

from corpusmill.pipelines.cli import cli
from corpusmill.pipelines.dataset import lock
from corpusmill.pipelines.dataset.results import Store
from corpusmill.pipelines.dataset.snapshot import Dataset
from corpusmill.pipelines.engine import commit
from corpusmill.pipelines.recipe.model import load
from corpusmill.pipelines.run import run
from corpusmill.transforms import storage
from corpusmill.transforms.errors import LockedError, RecipeError, StoreError, UnfitStoreError
from corpusmill.transforms.sources.listing import list_files
from tests import google_storage, objects
from tests.corpora import rows, write_recipe, write_shards, write_tokenizer

pytest.importorskip("moto", reason="moto is not installed")
pytest.importorskip("tokenizers", reason="tokenizers is not installed (extra `tokens`)")

STEPS = [
    {"clean": {}},
    {"gopher-quality": {"min_words": 5}},
    {"exact": {}},
    {"minhash": {}},
    {"noise": {"delete": 0.05, "copies": 1}},
    {"mix": {"temperature": 2.0}},
    {"pack": {"tokenizer": "tokenizer.json", "length": 64}},
]
FEW = [{"exact": {}}]
COMMAND = [
    sys.executable,
    "-c",
    "import sys; from corpusmill.pipelines.recipe.model import load; "
    "from corpusmill.pipelines.run import run; run(load(sys.argv[1]), workers=1)",
]


@pytest.fixture(scope="module")
def server():
    with objects.serving() as made:
        yield made


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    folder = tmp_path_factory.mktemp("corpus")
    docs = rows(300)
    write_shards(folder / "raw", docs, 5)
    write_tokenizer(folder, docs)
    return folder


def copied(corpus, base, names=None):
    """The files of the corpus below a URI."""
    for path in sorted((corpus / "raw").iterdir()):
        if names is None or path.name in names:
            storage.write_atomic(f"{base}/raw/{path.name}", path.read_bytes())
    return base


def recipe(folder, base, steps, **output):
    """A recipe of sources and output below a URI, in a folder of its own."""
    folder.mkdir(exist_ok=True)
    source = {"name": "raw", "path": f"{base}/raw/*.parquet", "columns": {"id": "id"}}
    return write_recipe(
        folder, steps, sources=[source], output={"path": f"{base}/out", "shard_bytes": 1 << 18, **output}
    )


def near(corpus, folder, base, steps, **output):
    """The same, beside the tokenizer."""
    path = recipe(folder, base, steps, **output)
    if not (folder / "tokenizer.json").exists():
        os.link(corpus / "tokenizer.json", folder / "tokenizer.json")
    return load(path)


@pytest.fixture(scope="module")
def expected(corpus):
    """The snapshot on a disk."""
    made = run(load(write_recipe(corpus, STEPS)), workers=1)
    return made.manifest, of_files((corpus / "out" / "SHA256SUMS").read_bytes())


def of_files(sums):
    """Digests of shards and tables, without that of the card, which names the recipe."""
    return [line for line in sums.splitlines() if not line.endswith(b"  README.md")]


@pytest.fixture(scope="module")
def made(server, corpus, expected, tmp_path_factory):
    """(URI, recipe, result) of the same recipe in S3, and the requests that it took."""
    base = copied(corpus, "s3://corpora/whole")
    loaded = near(corpus, tmp_path_factory.mktemp("whole"), base, STEPS)
    before = len(server.requests)
    result = run(loaded, workers=2)
    return base, loaded, result, server.requests[before:]


def test_the_snapshot_is_that_of_a_disk(made, expected):
    base, _, result, _ = made
    assert result.manifest["content"] == expected[0]["content"]
    assert result.manifest["funnel"] == expected[0]["funnel"]
    assert of_files(storage.read_bytes(f"{base}/out/SHA256SUMS")) == expected[1]
    assert Dataset(f"{base}/out").verify() == []


def test_nothing_is_written_under_another_name_or_left_over(made):
    base, _, _, requests = made
    written = {path for method, path in requests if method in ("PUT", "POST")}
    assert not any(storage.TEMPORARY in path for path in written)
    left = [e.uri for e in storage.below(f"{base}/out/.corpusmill")]
    assert not any(re.search(r"probe|marks/|running|failed", uri) for uri in left)
    assert json.loads(storage.read_bytes(f"{base}/out/.corpusmill/lock")) == {"holder": ""}
    assert (
        storage.known_sha256(Dataset(f"{base}/out").files()[0])
        == Dataset(f"{base}/out").manifest()["files"][0]["sha256"]
    )


def test_a_second_run_finds_nothing_new_by_few_requests(made, server):
    _, loaded, result, _ = made
    before = len(server.requests)
    again = run(loaded)
    assert (again.committed, again.snapshot) == (False, result.snapshot)
    assert len(server.requests) - before < 60


def test_a_source_in_a_store_feeds_a_dataset_on_a_disk_without_being_read_for_its_digest(server, corpus, tmp_path):
    base = copied(corpus, "s3://corpora/source")
    run(load(recipe(tmp_path / "first", base, FEW)), workers=1)
    for path in Dataset(f"{base}/out").files():
        (tmp_path / "data").mkdir(exist_ok=True)
        (tmp_path / "data" / path.rpartition("/")[2]).write_bytes(storage.read_bytes(path))
    results = []
    for name, path in (("disk", str(tmp_path / "data")), ("store", f"{base}/out/data")):
        (tmp_path / name).mkdir()
        source = {"name": "s", "path": path, "columns": {"id": "id"}}
        loaded = load(write_recipe(tmp_path / name, [{"length": {"min_words": 3}}], sources=[source]))
        before = len(server.requests)
        digests = {f.path.rpartition("/")[2]: f.digest for f in list_files(loaded.sources[0], str(tmp_path), {})}
        gets = [p for m, p in server.requests[before:] if m == "GET" and p.endswith(".parquet")]
        results.append((digests, run(loaded, workers=1).manifest["content"], gets))
    assert results[0][:2] == results[1][:2]
    assert results[1][2] == []
    with pytest.raises(RecipeError, match="would read the output"):
        load(write_recipe(tmp_path, [], sources=[source], output={"path": f"{base}/out/data/x"}))


def invoke(*args):
    return CliRunner().invoke(cli, [str(a) for a in args])


def test_every_verb(server, corpus, tmp_path):
    base = copied(corpus, "s3://corpora/verbs", {"part-000.parquet", "part-001.parquet"})
    out, path = f"{base}/out", recipe(tmp_path, base, FEW)
    assert invoke("check", path).exit_code == 0
    assert invoke("plan", path).exit_code == 0
    assert invoke("run", path, "--workers", 1, "--metrics", tmp_path / "m.prom").exit_code == 0
    copied(corpus, base)
    assert invoke("run", path, "--workers", 1).exit_code == 0
    assert invoke("run", path).exit_code == 3
    assert [s["number"] for s in json.loads(invoke("log", out, "--json").stdout)] == [1, 2]
    assert "snapshot" in invoke("show", out, "--html", tmp_path / "show.html").output.lower() + "snapshot"
    assert (tmp_path / "show.html").stat().st_size > 1000
    assert json.loads(invoke("diff", out, 1, 2, "--json").stdout)["added"]["raw"] > 0
    assert "kept" in json.loads(invoke("why", out, "0-00001", "--json").stdout)["outcome"]
    assert [r["outcome"] for r in json.loads(invoke("history", out, "--json").stdout)][:2] == ["committed", "committed"]
    assert invoke("verify", out, "--all").exit_code == 0
    assert "Snapshot 3" in invoke("rollback", out, 1).stdout
    (tmp_path / "ids").write_text("0-00001\n")
    done = invoke("forget", out, "--ids", tmp_path / "ids", "--purge", "--workers", 1, "--json")
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout)["purged_snapshots"] == [1, 2, 3]
    assert "taken out" in invoke("why", out, "0-00001").stdout
    text = next(d["text"] for d in rows(300) if d["id"] == "0-00001")
    assert not any(text.encode() in storage.read_bytes(e.uri) for e in storage.below(out))
    freed = json.loads(invoke("gc", out, "--keep", 1, "--dry-run", "--json").stdout)
    assert freed["snapshots"] == [1, 2, 3]
    assert freed["bytes"] > 0
    before = sum(e.size for e in storage.below(out))
    assert json.loads(invoke("gc", out, "--keep", 1, "--json").stdout)["bytes"] == freed["bytes"]
    # the lock's record comes and goes, and the lineage of gone snapshots is noted
    assert sum(e.size for e in storage.below(out)) <= before - freed["bytes"] + 1000
    assert invoke("verify", out, "--all").exit_code == 0
    assert invoke("run", path).exit_code == 3
    assert invoke("export", out, tmp_path / "c.json", "--to", "croissant", "--license", "CC0-1.0").exit_code == 0
    assert invoke("tokenizer", out, "--vocab-size", 300, "--out", tmp_path / "t.json").exit_code == 0
    assert "no derived document" in invoke("look", out).output


def test_a_damaged_object_is_found(server, corpus, tmp_path):
    base = copied(corpus, "s3://corpora/damaged", {"part-000.parquet"})
    run(load(recipe(tmp_path, base, [])), workers=1)
    name = Dataset(f"{base}/out").files()[0]
    data = bytearray(storage.read_bytes(name))
    data[len(data) // 2] ^= 1
    storage.write_atomic(name, bytes(data))
    assert "its SHA-256 is" in Dataset(f"{base}/out").verify()[0]
    storage.remove(name)
    assert "no such object" in Dataset(f"{base}/out").verify()[0]


def test_while_one_writes_another_is_told_by_whom(server, corpus, tmp_path):
    base = copied(corpus, "s3://corpora/locked", {"part-000.parquet"})
    loaded = load(recipe(tmp_path, base, []))
    with Store(loaded.dataset).lock(), pytest.raises(LockedError, match=f"process {os.getpid()}"):
        run(loaded)
    assert run(loaded, workers=1).committed


def test_a_writer_whose_lock_was_taken_commits_nothing(server, corpus, tmp_path, monkeypatch):
    base = copied(corpus, "s3://corpora/taken", {"part-000.parquet"})
    loaded = load(recipe(tmp_path, base, []))
    monkeypatch.setattr(lock, "BEAT", 0.0)
    monkeypatch.setattr(lock._Lease, "_renew", lambda self: None)
    with monkeypatch.context() as cut_off:

        def meanwhile(*_):
            storage.write_atomic(f"{base}/out/.corpusmill/lock", b'{"holder": "process 1 on another machine"}')

        cut_off.setattr(commit, "check", meanwhile)
        with pytest.raises(LockedError, match="another process took the lock"):
            run(loaded, workers=1)
    assert storage.names_in(f"{base}/out/snapshots") == []
    with pytest.raises(LockedError, match="process 1 on another machine"):
        run(loaded, workers=1)
    storage.remove(f"{base}/out/.corpusmill/lock")
    assert run(loaded, workers=1).committed


def test_two_writers_without_the_lock_lose_no_commit(server, corpus, tmp_path, monkeypatch):
    """Compare-and-set alone: both lock holders believe to be the only one, as when one was cut off."""
    base = copied(corpus, "s3://corpora/both", {"part-000.parquet"})
    first = load(recipe(tmp_path / "a", base, []))
    monkeypatch.setattr(lock._Lease, "_take", lambda self: True)
    monkeypatch.setattr(lock._Lease, "confirm", lambda self: None)
    meet = threading.Barrier(2, timeout=60)
    publish = commit.publish_manifest

    def at_once(dataset, number, manifest):
        if number == 1:
            meet.wait()
        return publish(dataset, number, manifest)

    monkeypatch.setattr(commit, "publish_manifest", at_once)
    results = []

    def write(loaded):
        for _ in range(3):
            try:
                results.append(run(loaded, workers=1))
                return
            except LockedError as error:
                results.append(error)

    second = load(recipe(tmp_path / "b", base, [{"length": {"min_words": 3}}]))
    threads = [threading.Thread(target=write, args=(r,)) for r in (first, second)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert sorted(r.snapshot for r in results if not isinstance(r, LockedError)) == [1, 2]
    (lost,) = [r for r in results if isinstance(r, LockedError)]
    assert "another process committed snapshot 1 meanwhile" in str(lost)
    dataset = Dataset(f"{base}/out")
    assert dataset.manifest(2)["parent"] == {"number": 1, "digest": dataset.manifest(1)["digest"]}
    assert {dataset.manifest(n)["recipe_digest"] for n in (1, 2)} == {first.digest(), second.digest()}
    assert dataset.verify(1) == dataset.verify(2) == []
    assert len({e["run"]["runId"] for e in dataset.events()}) == 2


@pytest.mark.slow
def test_a_killed_writer_and_the_same_command(server, corpus, expected, tmp_path):
    base = copied(corpus, "s3://corpora/killed")
    path = tmp_path / "recipe.yaml"
    near(corpus, tmp_path, base, STEPS)
    for units in (3, 14):
        numbers, reached, dead = itertools.count(1), threading.Event(), threading.Event()

        def hold(method, path, units=units, numbers=numbers, reached=reached, dead=dead):
            """The writer waits for the answer to an outcome until it is dead."""
            if method == "PUT" and "/done/" in path and next(numbers) == units:
                reached.set()
                dead.wait(200)
                return "busy"
            return ""

        server.trouble = hold
        try:
            with subprocess.Popen([*COMMAND, str(path)], stderr=subprocess.DEVNULL, start_new_session=True) as process:
                came = reached.wait(200)
                os.killpg(process.pid, signal.SIGKILL)
        finally:
            dead.set()
            server.trouble = lambda *_: ""
        assert came
        assert not storage.names_in(f"{base}/out/snapshots")
    result = run(load(path), workers=2)  # the lock of the dead frees itself
    assert result.manifest["content"] == expected[0]["content"]
    assert of_files(storage.read_bytes(f"{base}/out/SHA256SUMS")) == expected[1]
    assert Dataset(f"{base}/out").verify() == []


def test_a_busy_store_and_lost_answers_change_nothing(server, corpus, expected, tmp_path, monkeypatch):
    """Every ninth request is refused for now; of every name that is written under a condition, the first answer is lost."""
    from botocore.retries import standard

    monkeypatch.setattr(standard.ExponentialBackoff, "delay_amount", lambda *_: 0.01)
    base = copied(corpus, "s3://corpora/busy")
    loaded, lost, refused = near(corpus, tmp_path, base, STEPS), set(), set()

    def trouble(method, path):
        name = path.rpartition("/out/")[2]
        if method == "PUT" and re.match(r"snapshots/|events|history|\.corpusmill/lock", name) and name not in lost:
            lost.add(name)
            return "lost"
        if (
            len(server.requests) % 9 or (method, path) in refused
        ):  # others come in between: never the same again and again
            refused.discard((method, path))
            return ""
        refused.add((method, path))
        return "busy"

    server.trouble = trouble
    try:
        result = run(loaded, workers=1)
        assert (result.committed, result.snapshot) == (True, 1)
        assert not run(loaded).committed
    finally:
        server.trouble = lambda *_: ""
    assert {"snapshots/000001.json", "events.jsonl", "history.jsonl", ".corpusmill/lock"} <= lost
    assert result.manifest["content"] == expected[0]["content"]
    dataset = Dataset(f"{base}/out")
    assert (dataset.numbers, dataset.verify(), len(dataset.events())) == ([1], [], 1)
    assert len(storage.read_bytes(f"{base}/out/history.jsonl").splitlines()) == 2


def test_an_answer_that_breaks_off_is_asked_for_again(server):
    uri, data, left = "s3://corpora/torn/object", bytes(range(256)) * 8, []
    storage.write_atomic(uri, data)
    server.trouble = lambda method, _: left.pop() if method == "GET" and left else ""
    try:
        for times in (1, 3):
            left += ["torn"] * times
            assert storage.read_bytes(uri) == data
            left += ["torn"] * times
            with storage.open_input(uri) as file:
                assert file.read() == data
        left += ["torn"] * 9
        with pytest.raises(StoreError, match=r"torn/object: the store failed \(ResponseStreamingError.*try again"):
            storage.read_bytes(uri)
        assert len(left) == 5
    finally:
        server.trouble = lambda *_: ""


def test_what_is_no_store_is_told_without_its_password(server, monkeypatch):
    from corpusmill.transforms.storage.objects import forget_clients

    def page(_, start):
        start("200 OK", [("Content-Type", "text/html")])
        return [b"<html>"]

    endpoints = {
        "http://me:word@127.0.0.1:1": "the store failed",
        "nonsense": "no store to ask: Invalid endpoint: nonsense",
        server.url: "what answers is no S3",
    }
    try:
        with monkeypatch.context() as patched:
            patched.setenv("AWS_MAX_ATTEMPTS", "1")
            patched.setattr(server, "_app", page)
            for endpoint, said in endpoints.items():
                patched.setenv("AWS_ENDPOINT_URL_S3", endpoint)
                forget_clients()
                for ask in (storage.stat, storage.read_bytes):
                    with pytest.raises(StoreError, match=said) as error:
                        ask("s3://corpora/a")
                    assert "word" not in str(error.value)
    finally:
        forget_clients()


def test_a_store_that_drops_conditions_is_refused_before_anything_is_written(server, corpus, tmp_path):
    base = copied(corpus, "s3://corpora/refused", {"part-000.parquet"})
    server.blind = True
    try:
        with pytest.raises(UnfitStoreError, match=r"cannot hold a dataset: .*creates an object that exists already"):
            run(load(recipe(tmp_path, base, [])))
    finally:
        server.blind = False
    assert not list(storage.below(f"{base}/out"))


def test_faults_of_a_store_are_one_sentence(server, corpus, tmp_path, monkeypatch):
    path = recipe(tmp_path, "s3://corpora/absent", [])
    assert "matches no file" in invoke("run", path).output
    path = recipe(tmp_path, "s3://no-such-bucket/a", [])
    said = invoke("run", path)
    assert (said.exit_code, said.output.count("\n")) == (1, 1)
    assert "there is no bucket no-such-bucket" in said.output
    for secret in ("s3://me:word@corpora/a", "https://h/a?X-Amz-Signature=word"):
        said = invoke("check", recipe(tmp_path, secret, []))
        assert said.exit_code == 78
        assert "credentials in it is not used" in said.output
        assert "word" not in said.output
    for key in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(key)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    from corpusmill.transforms.storage.objects import forget_clients

    forget_clients()
    try:
        with pytest.raises(StoreError, match="no credentials"):
            Dataset("s3://corpora/whole/out")
    finally:
        forget_clients()


def test_the_same_snapshot_in_google_storage(corpus, expected, tmp_path):
    pytest.importorskip("google.cloud.storage", reason="google-cloud-storage is not installed (extra `gcp`)")
    with google_storage.serving():
        base = copied(corpus, "gs://corpora/whole")
        loaded = near(corpus, tmp_path, base, STEPS)
        result = run(loaded, workers=2)
        assert result.manifest["content"] == expected[0]["content"]
        assert of_files(storage.read_bytes(f"{base}/out/SHA256SUMS")) == expected[1]
        assert not run(loaded).committed
        assert Dataset(f"{base}/out").verify() == []


@pytest.mark.slow
def test_the_same_snapshot_by_dask_processes(server, corpus, expected, tmp_path):
    pytest.importorskip("distributed", reason="dask is not installed")
    base = copied(corpus, "s3://corpora/dask")
    result = run(near(corpus, tmp_path, base, STEPS), runner="dask", workers=2)
    assert result.manifest["content"] == expected[0]["content"]
    assert not storage.names_in(f"{base}/out/.corpusmill/marks")
