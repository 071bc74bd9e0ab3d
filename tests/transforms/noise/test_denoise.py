import pyarrow as pa
import pytest

from corpusmill.transforms.errors import RecipeError, SourceError
from corpusmill.transforms.noise.denoise import Denoise
from corpusmill.transforms.noise.objectives import IGNORED
from corpusmill.transforms.random import Keyed

TASKS = [
    Denoise(objective="bert", mask_id=3, vocab_size=1000),
    Denoise(objective="t5", sentinels=(999, 900), eos_id=1),
    Denoise(objective="ul2", sentinels=(900, 999), mode_ids=(5, 6, 7)),
    Denoise(objective="bart", mask_id=3),
    Denoise(objective="prefix"),
]
IDS = [list(range(10, 60)), [], [7], None, [8, 9], list(range(100, 400))]


def batch_of(ids: list, **columns: list) -> pa.RecordBatch:
    return pa.record_batch(
        {"id": [f"d{i}" for i in range(len(ids))], "input_ids": pa.array(ids, pa.list_(pa.int32())), **columns}
    )


@pytest.fixture(params=TASKS, ids=lambda t: t.objective)
def task(request: pytest.FixtureRequest) -> Denoise:
    return request.param


def test_shapes(task: Denoise) -> None:
    batch = batch_of(IDS, label=list(range(6)))
    out = task(batch)
    assert out.num_rows == 6
    assert out.column("label").equals(batch.column("label"))
    targets = "labels" if task.objective in ("bert", "prefix") else "target_ids"
    for row in out.to_pylist():
        assert len(row[targets]) == len(row["loss_mask"])
        if targets == "labels":
            assert len(row["input_ids"]) == len(row["labels"])
            assert [label != IGNORED for label in row["labels"]] == [bool(x) for x in row["loss_mask"]]
    assert out.schema.field("input_ids").type == pa.list_(pa.int32())
    assert task(batch.slice(0, 0)).schema == out.schema


def test_rows_do_not_depend_on_their_batch(task: Denoise) -> None:
    batch = batch_of(IDS)
    rng = Keyed(4, "denoise")
    whole = task.map(batch, rng)
    assert [task.map(batch.slice(i, 1), rng).to_pylist()[0] for i in range(6)] == whole.to_pylist()
    assert not task.map(batch, rng.at(1)).equals(whole)
    large = pa.record_batch(
        {"id": batch.column("id"), "input_ids": batch.column("input_ids").cast(pa.large_list(pa.int64()))}
    )
    assert task.map(large, rng).to_pylist() == whole.to_pylist()


def test_evaluation_split_keeps_its_ids(task: Denoise) -> None:
    ids = list(range(10, 200))
    out = task(batch_of([ids, ids], split=["test", "train"])).to_pylist()
    assert out[0]["input_ids"] == ids
    assert sum(out[0]["loss_mask"]) == 0 < sum(out[1]["loss_mask"])


def test_ids_and_targets() -> None:
    t5, ul2, bart = (t(batch_of(IDS)).to_pylist() for t in TASKS[1:4])
    assert t5[0]["input_ids"][-1] == t5[0]["target_ids"][-1] == 1
    assert t5[0]["target_ids"][0] == 999
    assert ul2[0]["input_ids"][0] in (5, 6, 7)
    assert ul2[0]["target_ids"][0] == 900
    assert [r["target_ids"] for r in bart] == [ids or [] for ids in IDS]


@pytest.mark.parametrize(
    "fields",
    [
        {"objective": "bert"},
        {"objective": "t5"},
        {"objective": "bart"},
        {"objective": "bert", "mask_id": 1, "vocab_size": 9, "whole_words": True},
        {"objective": "bert", "mask_id": 1, "vocab_size": 9, "shares": (0.9, 0.2)},
        {"objective": "gpt"},
    ],
)
def test_what_is_missing_is_told(fields: dict) -> None:
    with pytest.raises(RecipeError):
        Denoise(**fields)


def test_wrong_place_in_the_recipe() -> None:
    with pytest.raises(SourceError, match="input_ids"):
        TASKS[0](pa.record_batch({"id": ["a"], "text": ["b"]}))
    with pytest.raises(RecipeError, match="before `pack`"):
        TASKS[1](batch_of([[1, 2, 3]], segment_ids=[[0, 0, 0]]))


def test_golden() -> None:
    out = [t.map(batch_of([list(range(10, 22))]), Keyed(1, "denoise")).to_pylist()[0]["input_ids"] for t in TASKS]
    assert out == [
        [10, 11, 12, 13, 14, 15, 16, 17, 18, 3, 20, 823],
        [10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 999, 1],
        [7, 10, 11, 900, 15, 16, 17, 18, 901],
        [10, 3, 14, 15, 16, 17, 18, 19, 20, 3],
        [10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21],
    ]
