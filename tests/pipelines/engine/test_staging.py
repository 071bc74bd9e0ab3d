from corpusmill.pipelines.engine import staging


def test_staged_shards_are_packed_where_room_is_short(tmp_path, monkeypatch):
    folder = str(tmp_path / "not" / "there")
    monkeypatch.setattr(staging, "_memory", lambda: 1_000)
    monkeypatch.setattr(staging, "_free", lambda path: 10_000)
    assert staging.form(folder, 62, 1) == "stage"
    assert staging.form(folder, 63, 1) == "stage-lz4"
    assert staging.form(folder, 62, 2) == "stage-lz4"
    monkeypatch.setattr(staging, "_free", lambda path: 900)
    assert staging.form(folder, 62, 1) == "stage-lz4"
    assert staging.form("s3://bucket/corpus", 0, 1) == "stage-lz4"


def test_room_is_looked_for_where_the_dataset_will_be(tmp_path):
    assert staging.form(str(tmp_path / "a" / "b"), 0, 1) == "stage"
    assert staging._free(str(tmp_path / "a" / "b")) > 0
