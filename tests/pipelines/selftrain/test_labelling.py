"""A teacher's labels: one file a shard, made once, in the order of the documents."""

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from corpusmill.pipelines.selftrain import labelling
from corpusmill.pipelines.selftrain.labelling import ShardLabeller, label


class Teacher:
    """Logits are the length of the text, and its negative. Counts the texts it was asked for."""

    digest = "d" * 64
    classes = ("short", "long")

    def __init__(self):
        self.asked = []

    def classify(self, texts):
        self.asked += texts
        return np.array([[-len(t), len(t)] for t in texts], np.float64).reshape(len(texts), 2)


@pytest.fixture
def teacher(monkeypatch):
    made = Teacher()
    monkeypatch.setattr(labelling, "open_model", lambda spec: made)
    monkeypatch.setattr(labelling, "digest_of", lambda spec: made.digest)
    return made


def shards(folder, *texts):
    paths = []
    for i, of_shard in enumerate(texts):
        path = folder / f"part-{i}.parquet"
        pq.write_table(
            pa.table({"text": pa.array(of_shard, pa.string()), "label": pa.array(["x"] * len(of_shard))}), path
        )
        paths.append(str(path))
    return paths


def test_labels_stand_in_the_order_of_documents_and_are_asked_for_once(tmp_path, teacher):
    paths = shards(tmp_path, ["a", "bbb"], ["数据"], ["", "dddd"])
    found = label(paths, "linear:x", str(tmp_path / "labels"), workers=2)
    assert found.tolist() == [[-1, 1], [-3, 3], [-2, 2], [0, 0], [-4, 4]]
    assert found.dtype == np.float64
    assert sorted(teacher.asked) == sorted(["a", "bbb", "数据", "", "dddd"])
    names = sorted(p.name for p in (tmp_path / "labels").iterdir())
    assert names == [f"{'d' * 16}-part-{i}.parquet" for i in range(3)]
    # nothing is asked again; of a lost file, its texts alone; another teacher is asked for all
    teacher.asked.clear()
    assert (label(paths, "linear:x", str(tmp_path / "labels")) == found).all()
    assert teacher.asked == []
    (tmp_path / "labels" / names[0]).unlink()
    assert (label(paths, "linear:x", str(tmp_path / "labels")) == found).all()
    assert teacher.asked == ["a", "bbb"]
    teacher.digest = "e" * 64
    label(paths, "linear:y", str(tmp_path / "labels"))
    assert len(teacher.asked) == 2 + 5


def test_no_shards_have_no_labels_of_the_teachers_classes(tmp_path, teacher):
    assert label([], "linear:x", str(tmp_path / "labels")).shape == (0, 2)
    assert teacher.asked == []


def test_a_shard_is_labelled_whole_or_not_at_all(tmp_path, teacher):
    (path,) = shards(tmp_path, ["a"])
    shard = {"texts": path, "labels": str(tmp_path / "labels.parquet")}

    class Dying(Teacher):
        def classify(self, texts):
            raise MemoryError

    handler = ShardLabeller("linear:x")
    with pytest.raises(MemoryError):
        list(handler.run_inference([shard], Dying()))
    assert [p.name for p in tmp_path.iterdir()] == ["part-0.parquet"]
    (found,) = handler.run_inference([shard], teacher)
    assert (found.example, found.inference, found.model_id) == (shard["labels"], True, teacher.digest)
    assert handler.batch_elements_kwargs() == {"min_batch_size": 1, "max_batch_size": 1}
