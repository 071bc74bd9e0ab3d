"""A manifest is data from somewhere: whatever it says is checked before anything follows it."""

import json

import pytest

from corpusmill.transforms.errors import DatasetError
from corpusmill.transforms.manifest import (
    body_of,
    checked_path,
    checksum,
    files_of,
    manifest_bytes,
    manifest_name,
    parse_manifest,
    read_manifest,
    snapshot_numbers,
)
from tests.manifests import BODY, FILE, STEP, manifest_of


def forged(**changes):
    """The bytes of a manifest whose checksum fits what somebody wrote into it."""
    body = manifest_of(**changes)
    return json.dumps({**body, "checksum": checksum(body)}).encode()


def test_what_is_written_is_read_again_and_checked(tmp_path):
    (tmp_path / "snapshots").mkdir()
    (tmp_path / manifest_name(2)).write_bytes(manifest_bytes(BODY))
    (tmp_path / "snapshots" / ".tmp-1").touch()
    manifest = read_manifest(str(tmp_path), 2)
    assert snapshot_numbers(str(tmp_path)) == [2]
    assert (manifest["number"], manifest["created"], len(manifest["digest"])) == (2, None, 64)
    assert body_of(manifest) == BODY
    assert manifest_bytes(manifest) == manifest_bytes(BODY)
    assert [f["path"].split("/")[0] for f in files_of(manifest)] == ["data", "dropped"]


@pytest.mark.parametrize(
    "path",
    [
        "../victim/x.parquet",
        "data/../../x.parquet",
        "/etc/x.parquet",
        "data//x.parquet",
        "data/./x.parquet",
        "data\\..\\x.parquet",
        "data/.hidden.parquet",
        ".corpusmill/work/x.parquet",
        "snapshots/000001.parquet",
        "suppressed/x.parquet",
        "s3://bucket/x.parquet",
        "data/x.py",
        "data/a\n.parquet",
        "a/b/c/d.parquet",
        "",
        None,
        3,
    ],
)
def test_a_path_that_no_commit_writes_is_refused(path):
    with pytest.raises(ValueError, match="none of a published file"):
        checked_path(path, "here")
    with pytest.raises(DatasetError, match=r"m\.json is damaged: files\[0\]: the path .* Restore it from a copy"):
        parse_manifest(forged(files=[{**FILE, "path": path}]), "m.json")
    with pytest.raises(DatasetError, match=r"tables\.pairs\[0\]"):
        parse_manifest(forged(tables={"pairs": [{**FILE, "path": path}]}), "m.json")


@pytest.mark.parametrize("path", ["data/a-0.parquet", "scores/gopher#2/1-0.parquet", "data/a.arrow"])
def test_a_path_that_a_commit_writes_is_taken(path):
    assert checked_path(path, "here") == path


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"format": 3}, "format is 3"),
        ({"work": "../x"}, "work is no digest"),
        ({"documents": -1}, "documents is missing or no count"),
        ({"documents": True}, "documents is missing or no count"),
        ({"name": None}, "name is missing or no text"),
        ({"files": {}}, "files is missing or no list"),
        ({"files": ["x"]}, r"files\[0\] is missing or no mapping"),
        ({"files": [{**FILE, "sha256": "zz"}]}, r"files\[0\]\.sha256 is no digest"),
        ({"files": [{**FILE, "rows": "2"}]}, r"files\[0\]\.rows is missing or no count"),
        ({"tables": {"dropped": {}}}, r"tables\.dropped is missing or no list"),
        ({"funnel": {**BODY["funnel"], "steps": [{**STEP, "dropped": {"short": -1}}]}}, "dropped.short is missing"),
        ({"funnel": {**BODY["funnel"], "rows_in": None}}, "funnel.rows_in is missing"),
        ({"schema": [{"name": "id"}]}, r"schema\[0\]\.type is missing"),
        ({"recipe": {"sources": [], "steps": []}}, "recipe.output is missing"),
        ({"recipe": {"output": {}, "sources": [{}], "steps": []}}, r"recipe\.sources\[0\]\.name is missing"),
        (
            {"recipe": {"output": {}, "sources": [], "steps": [{"name": "a", "transform": "a"}]}},
            r"steps\[0\]\.fields is missing",
        ),
        (
            {"recipe": {"output": {}, "sources": [], "steps": [{"name": "a", "fields": {}}]}},
            r"steps\[0\]\.transform is missing",
        ),
        ({"inputs": [{"source": "s", "path": "p", "size": 1, "digest": 3}]}, r"inputs\[0\]\.digest is missing"),
        ({"parent": {"number": 1, "digest": "x"}}, "parent.digest is no digest"),
        ({"suppressed": {"lists": 1}}, "suppressed.digest is no digest"),
        ({"purged": {"was": ["x"], "lists": 1}}, "purged.was is no digest"),
        ({"rollback": []}, "rollback is missing or no mapping"),
        ({"privacy": []}, "privacy is missing or no mapping"),
        ({"mixture": [{"domain": 1}]}, r"mixture\[0\]\.domain is missing"),
    ],
)
def test_a_field_of_another_form_is_named(changes, said):
    with pytest.raises(DatasetError, match=said):
        parse_manifest(forged(**changes), "m.json")


@pytest.mark.parametrize("data", [b"", b"[]", b"null", b"\xff", b'{"format": 2}', b"[" * 100_000])
def test_what_is_no_manifest_is_damaged(data):
    with pytest.raises(DatasetError, match=r"m\.json is damaged"):
        parse_manifest(data, "m.json")


def test_a_link_that_leads_out_of_a_dataset_is_not_followed(tmp_path):
    body = {**BODY, "parent": None, "tables": {}}
    out = tmp_path / "out"
    for name in ("snapshots", "data"):
        (out / name).mkdir(parents=True)
    (out / "snapshots" / "000001.json").write_bytes(forged(**body))
    shard = out / FILE["path"]
    shard.write_bytes(b"x")
    assert read_manifest(str(out), 1)["number"] == 1
    (tmp_path / "linked").symlink_to(out)  # a link to the dataset itself is no way out
    assert read_manifest(str(tmp_path / "linked"), 1)["number"] == 1
    (tmp_path / "secret").write_bytes(b"y")
    shard.unlink()
    shard.symlink_to(tmp_path / "secret")
    with pytest.raises(DatasetError, match=r"is a symbolic link to .*secret, out of the dataset"):
        read_manifest(str(out), 1)
    shard.unlink()
    (out / "data").rmdir()
    (tmp_path / "elsewhere").mkdir()
    (out / "data").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(DatasetError, match=r"data is a symbolic link to .*elsewhere"):
        read_manifest(str(out), 1)
