import hashlib
import os
import random
import subprocess
import sys
import threading

import pytest

from corpusmill.transforms import storage
from corpusmill.transforms.errors import MissingDependencyError, RecipeError, StoreError, UnfitStoreError
from corpusmill.transforms.storage.objects import forget_clients
from corpusmill.transforms.storage.objects import objects as store_of
from corpusmill.transforms.storage.probe import probe
from corpusmill.transforms.storage.ranged import FIRST, MOST, Ranged


@pytest.fixture(params=["local", "memory", "s3", "gs"])
def root(request, tmp_path):
    if request.param in ("s3", "gs"):
        request.getfixturevalue(request.param)
        return f"{request.param}://corpora/{tmp_path.name}"
    return str(tmp_path) if request.param == "local" else f"memory://store-{tmp_path.name}"


def test_write_read_list_remove(root):
    storage.makedirs(storage.join(root, "a/b"))
    for name in ("a/x.txt", "a/b/y.txt", "a/b/.hidden.txt"):
        storage.write_atomic(storage.join(root, name), name.encode())
    assert storage.read_bytes(storage.join(root, "a/x.txt")) == b"a/x.txt"
    with storage.open_input(storage.join(root, "a/b/y.txt")) as f:
        assert f.read() == b"a/b/y.txt"
    listed = storage.list_glob(storage.join(root, "a"))
    assert [(e.uri.rsplit("/", 1)[1], e.size) for e in listed] == [("y.txt", 9), ("x.txt", 7)]
    assert all(e.stamp for e in listed)
    assert [e.uri for e in storage.list_glob(storage.join(root, "**/*.txt"))] == [e.uri for e in listed]
    assert [e.uri for e in storage.list_glob(storage.join(root, "a/*.txt"))] == [listed[1].uri]
    storage.remove(storage.join(root, "a/x.txt"))
    storage.remove(storage.join(root, "a/x.txt"))
    assert not storage.exists(storage.join(root, "a/x.txt"))
    assert storage.list_glob(storage.join(root, "nothing*")) == []


def test_create_exclusive_creates_once(root):
    name = storage.join(root, "00001.json")
    assert storage.create_exclusive(name, b"first")
    assert not storage.create_exclusive(name, b"second")
    assert storage.read_bytes(name) == b"first"


def test_create_exclusive_has_one_winner_and_leaves_nothing(tmp_path):
    won = []
    threads = [
        threading.Thread(target=lambda i=i: won.append(storage.create_exclusive(str(tmp_path / "n"), b"%d" % i)))
        for i in range(16)
    ]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert sum(won) == 1
    assert os.listdir(tmp_path) == ["n"]


def test_write_atomic_replaces_and_leaves_no_temporary_file(tmp_path):
    for data in (b"old", b"new"):
        storage.write_atomic(str(tmp_path / "f"), data, fsync=False)
    assert (tmp_path / "f").read_bytes() == b"new"
    assert os.listdir(tmp_path) == ["f"]
    assert os.path.basename(storage.temporary_name("/x/f")).startswith(storage.TEMPORARY)


def test_link_or_copy(root):
    a, b = storage.join(root, "a"), storage.join(root, "b")
    storage.write_atomic(a, b"1")
    storage.link_or_copy(a, b)
    storage.link_or_copy(a, b)
    assert storage.read_bytes(b) == b"1"


def test_glob_patterns(tmp_path):
    for name in ("a1.txt", "a2.md", "b1.txt", "d/a3.txt", "d/e/a4.txt", ".h/a5.txt", "x[1].txt"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(name)

    def names(pattern):
        return [os.path.relpath(e.uri, tmp_path) for e in storage.list_glob(str(tmp_path / pattern))]

    assert names("a*") == ["a1.txt", "a2.md"]
    assert names("a?.{txt,md}") == ["a1.txt", "a2.md"]
    assert names("[ab]1.txt") == ["a1.txt", "b1.txt"]
    assert names("[!a]1.txt") == ["b1.txt"]
    assert names("**/a*.txt") == ["a1.txt", "d/a3.txt", "d/e/a4.txt"]
    assert names("d/**") == ["d/a3.txt", "d/e/a4.txt"]
    assert names("*/e") == ["d/e/a4.txt"]
    assert names("x[[]1].txt") == ["x[1].txt"]
    assert names("zzz.txt") == []


def test_links_loops_and_special_files_are_safe(tmp_path):
    (tmp_path / "real").mkdir()
    (tmp_path / "real/a.txt").write_text("a")
    (tmp_path / "real/loop").symlink_to(tmp_path)
    (tmp_path / "self").symlink_to("self")
    (tmp_path / "gone.txt").symlink_to("nowhere")
    os.mkfifo(tmp_path / "pipe.txt")
    found = storage.list_glob(str(tmp_path))
    assert [os.path.basename(e.uri) for e in found] == ["a.txt"]


def test_join_keeps_what_is_absolute():
    assert storage.join("/base", "x/*.txt") == "/base/x/*.txt"
    assert storage.join("/base", "/abs") == "/abs"
    assert storage.join("/base", "gs://b/k") == "gs://b/k"
    assert storage.join("gs://b/k/", "x") == "gs://b/k/x"
    assert storage.is_local("file:///a")
    assert not storage.is_local("s3://a")


@pytest.fixture(params=["s3", "gs"])
def bucket(request, tmp_path):
    request.getfixturevalue(request.param)
    return f"{request.param}://corpora/{tmp_path.name}"


def test_only_what_is_unchanged_is_replaced(bucket):
    name, store = f"{bucket}/lock", store_of(bucket)
    assert storage.create_exclusive(name, b"1")
    data, version = store.get_versioned(name)
    new = storage.replace_if(name, b"2", version)
    assert (data, storage.read_bytes(name)) == (b"1", b"2")
    assert storage.replace_if(name, b"3", version) is None
    assert storage.replace_if(name, b"4", new) is not None
    storage.remove(name)
    assert storage.replace_if(name, b"5", new) is None
    assert not storage.exists(name)
    assert 0 <= store.age(store_name(bucket)) < 60


def store_name(bucket):
    storage.write_atomic(f"{bucket}/clock", b"")
    return f"{bucket}/clock"


def test_of_sixteen_writers_of_a_name_one_wins_and_the_lines_of_all_are_kept(bucket):
    won = []

    def write(i):
        won.append(storage.create_exclusive(f"{bucket}/n", b"%d" % i))
        storage.append_line(f"{bucket}/lines", b"%d" % i)

    threads = [threading.Thread(target=write, args=(i,)) for i in range(16)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert sum(won) == 1
    assert sorted(map(int, storage.read_bytes(f"{bucket}/lines").split())) == list(range(16))


def test_append_line_removes_what_is_left_of_a_torn_line(root):
    name = storage.join(root, "lines")
    storage.write_atomic(name, b"a\nto")
    if root.startswith("memory:"):
        with pytest.raises(StoreError, match="under a condition"):
            storage.append_line(name, b"b")
        return
    storage.append_line(name, b"b")
    assert storage.read_bytes(name) == b"a\nb\n"


def test_a_new_file_appears_whole_under_a_name_or_not_at_all(root):
    content = os.urandom(1 << 20)
    made = storage.NewFile(storage.join(root, "d/a"))
    with open(made.path, "wb") as f:
        f.write(content)
    assert not storage.exists(storage.join(root, "d/a"))
    made.publish(sha256=hashlib.sha256(content).hexdigest())
    made.discard()
    assert storage.sha256_of(storage.join(root, "d/a")) == hashlib.sha256(content).hexdigest()
    assert storage.known_sha256(storage.join(root, "d/a")) in (None, hashlib.sha256(content).hexdigest())
    storage.write_atomic(storage.join(root, "d/empty"), b"")
    with storage.open_input(storage.join(root, "d/empty")) as f:
        assert f.read() == b""
    storage.remove(storage.join(root, "d/empty"))
    dropped = storage.NewFile(storage.join(root, "d/b"))
    dropped.discard()
    assert storage.names_in(storage.join(root, "d")) == ["a"]


def test_ranged_reads_give_the_bytes_and_few_requests(s3, tmp_path):
    content = os.urandom(20_000_000)
    name = f"s3://corpora/{tmp_path.name}/big"
    storage.write_atomic(name, content)
    before = len(s3.requests)
    with storage.open_input(name) as f:
        assert b"".join(iter(lambda: f.read(100_000), b"")) == content
    assert len(s3.requests) - before < 3 + 8 + len(content) // MOST
    rng = random.Random(0)
    f = Ranged(store_of(name), name)
    for _ in range(100):
        at, n = rng.randrange(len(content)), rng.choice([1, 100, FIRST, 3 * FIRST])
        f.seek(at)
        assert f.read(n) == content[at : at + n]
        assert f.tell() == min(at + n, len(content))
    before = len(s3.requests)
    f.hold(1000, 900_000)
    for at in range(1000, 800_000, 90_000):
        f.seek(at)
        assert f.read(50_000) == content[at : at + 50_000]
    assert len(s3.requests) == before + 1


def test_a_store_is_probed_and_one_without_conditions_refused(s3, bucket, tmp_path):
    probe(bucket)
    assert storage.names_in(bucket) == []
    s3.blind = True
    try:
        with pytest.raises(UnfitStoreError, match="cannot hold a dataset: it creates an object that exists already"):
            probe(f"s3://corpora/{tmp_path.name}-blind")
    finally:
        s3.blind = False
    with pytest.raises(UnfitStoreError, match="cannot replace an object under a condition"):
        probe(f"memory://{tmp_path.name}")


def test_a_disk_without_links_is_refused(tmp_path, monkeypatch):
    from corpusmill.transforms.storage import probe as module

    def no_links(*_):
        raise OSError(95, "Operation not supported")

    monkeypatch.setattr(module, "_good_devices", set())
    monkeypatch.setattr(os, "link", no_links)
    with pytest.raises(UnfitStoreError, match="has no hard links"):
        probe(str(tmp_path))
    assert os.listdir(tmp_path) == []


def test_faults_of_a_store_are_told_without_credentials(s3, tmp_path):
    with pytest.raises(StoreError, match="there is no bucket nowhere"):
        storage.read_bytes("s3://nowhere/a")
    with pytest.raises(FileNotFoundError):
        storage.read_bytes("s3://corpora/absent")
    for uri in (
        "s3://me:secret@bucket/a",
        "s3://me@bucket/a",
        "gs://b/a?token=secret",
        "https://h/a?X-Amz-Signature=secret",
    ):
        with pytest.raises(RecipeError, match="credentials in it is not used") as told:
            storage.read_bytes(uri)
        assert "secret" not in str(told.value)


def test_remote_clients_are_imported_only_for_their_uris():
    code = (
        "import sys, corpusmill.transforms.storage; "
        "sys.exit(any(m in sys.modules for m in ('boto3', 'google.cloud.storage', 'fsspec')))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_a_store_that_a_uri_does_not_lead_to():
    for uri in ("ftp://host/x", "nowhere://host/x"):
        with pytest.raises(MissingDependencyError, match=f"no client for '{uri[:3]}.*To go on"):
            storage.has_file(uri)
    with pytest.raises(StoreError, match="only read from"):
        storage.remove("http://localhost:9/x")


def test_a_client_that_is_not_installed_is_named_with_the_extra_that_has_it(monkeypatch):
    for uri, client, extra in (("s3://b/a", "boto3", "s3"), ("gs://b/a", "google.cloud.storage", "gcs")):
        monkeypatch.setitem(sys.modules, client, None)
        forget_clients()
        with pytest.raises(MissingDependencyError, match=rf"pip install 'corpusmill\[{extra}\]'"):
            storage.read_bytes(uri)
    forget_clients()
