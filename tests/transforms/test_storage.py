import os
import threading

import pytest

from transforms import storage


@pytest.fixture(params=["local", "memory"])
def root(request, tmp_path):
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
