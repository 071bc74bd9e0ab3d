"""One document a repository: from checkouts and archives, in order of need, cut between files."""

import subprocess
import zipfile

import pytest

pytest.importorskip("pygments")

from corpusmill.transforms.errors import BadFileError
from tests.transforms.sources.made import read_source

FILES = {
    "README.md": b"# Tool\n",
    "LICENSE": b"Permission to use, copy, modify, and/or distribute this software for any purpose with or without fee is granted.",
    "tool/main.py": b"from tool.util import f\n\nf()\n",
    "tool/util.py": "def f():\n    return '日'\n".encode(),
    "tool/a.py": b"from tool import b\n",
    "tool/b.py": b"from tool import a\n",
    "vendor/x.py": b"x = 1\n",
    "data.bin": b"\0\1",
}
ORDER = ["README.md", "LICENSE", "tool/a.py", "tool/b.py", "tool/util.py", "tool/main.py"]


def tree(folder, files=FILES, git=True):
    for name, data in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)
    if git:
        (folder / ".git").mkdir()
        (folder / ".git" / "config").write_text("[core]")


def read(folder, path, options=None, **fields):
    options = {"by": "repository"} | (options or {})
    out, bad = read_source(folder, path=path, format="code", options=options, max_bad_fraction=1, **fields)
    return sorted(out.to_pylist(), key=lambda r: (r["repository"], r["part"])), bad


def test_checkouts_and_archives_of_them_give_the_same_documents(tmp_path):
    tree(tmp_path / "all" / "deep" / "one")
    tree(tmp_path / "all" / "two", {"x.c": b'#include "y.h"\n', "y.h": b"int y;\n"})
    with zipfile.ZipFile(tmp_path / "all" / "three.zip", "w") as archive:
        for name, data in FILES.items():
            archive.writestr(f"tool-1.0/{name}", data)
    rows, bad = read(tmp_path, "all")
    assert [r["repository"] for r in rows] == ["deep/one", "three.zip", "two"]
    assert [r["files"] for r in rows] == [ORDER, ORDER, ["y.h", "x.c"]]
    assert rows[0]["text"] == rows[1]["text"]
    assert rows[0]["text"].startswith("=== README.md ===\n# Tool\n\n=== LICENSE ===\nPermission")
    assert "=== tool/util.py ===\ndef f():\n    return '日'\n\n=== tool/main.py ===\n" in rows[0]["text"]
    assert [(r["language"], r["licence"]) for r in rows] == [("Python", "ISC"), ("Python", "ISC"), ("C", None)]
    assert {kind: n for kind, (n, _) in bad.left.items()} == {"vendored file": 2, "binary file": 2}


def test_folders_without_git_count_as_the_path_names_them(tmp_path):
    tree(tmp_path / "a" / "x", {"m.py": b"1\n"}, git=False)
    tree(tmp_path / "a" / "y", {"n.py": b"2\n"}, git=False)
    assert [r["files"] for r in read(tmp_path, "a")[0]] == [["x/m.py", "y/n.py"]]
    assert [(r["repository"], r["files"]) for r in read(tmp_path, "a/*")[0]] == [("x", ["m.py"]), ("y", ["n.py"])]


def test_a_long_repository_is_cut_between_files_and_large_files_are_left_out(tmp_path):
    tree(tmp_path / "r", {f"{i}.py": f"x = '{'a' * 400}'\n".encode() for i in range(5)} | {"big.py": b"#" * 3000})
    rows, bad = read(tmp_path, "r", {"max_bytes": 1000, "max_file_bytes": 2000, "header": "<file_sep>{path}\n"})
    assert [(r["part"], r["files"]) for r in rows] == [(1, ["0.py", "1.py"]), (2, ["2.py", "3.py"]), (3, ["4.py"])]
    assert rows[0]["text"].startswith("<file_sep>0.py\nx = ")
    assert bad.left == {"large file": (1, "r/big.py")}


def test_a_single_file_and_a_damaged_archive_are_told(tmp_path):
    (tmp_path / "a.py").write_text("1")
    with pytest.raises(BadFileError, match="is no repository: `by: repository` reads folders and archives"):
        read(tmp_path, "a.py")
    (tmp_path / "a.zip").write_bytes(b"PK\x03\x04 no more")
    with pytest.raises(BadFileError, match="is no readable ZIP archive"):
        read(tmp_path, "a.zip")
    rows, bad = read(tmp_path, "a.zip", on_bad_file="skip")
    assert (rows, bad.by_reason()) == ([], {"bad-file": 1})


def test_a_real_checkout_is_read(tmp_path):
    if subprocess.run(["git", "init", "-q", str(tmp_path / "r")], check=False).returncode:
        pytest.skip("git is not there")
    tree(tmp_path / "r", git=False)
    rows, _ = read(tmp_path, "r")
    assert [(r["repository"], r["files"]) for r in rows] == [("r", ORDER)]
