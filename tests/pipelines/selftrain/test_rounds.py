"""Self-training end to end: gains where it can, is refused where it cannot, goes on after a kill and asks no model again."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from corpusmill.pipelines.selftrain.rounds import SelfTrain, load, selftrain
from corpusmill.pipelines.selftrain.settings import Select
from corpusmill.transforms.errors import DatasetError, RecipeError

ROOT = Path(__file__).parents[3]
DATA = ROOT / "../shared/data/labelled"
TOPICS = {"pay": "card money bank fee transfer", "sky": "sun rain cloud wind storm", "菜": "米 饭 汤 鱼 茶"}


def documents(count: int, seed: int, per_class: int = 0) -> pa.Table:
    """Texts of three topics, each drawn from five words of its own and five shared ones."""
    rng = np.random.default_rng(seed)
    rows = []
    for i in range(count):
        label = list(TOPICS)[i % 3]
        words = [*rng.choice(TOPICS[label].split(), 2), *rng.choice(["a", "the", "of", "to", "in", "on", "it"], 4)]
        rows.append({"id": f"{seed}-{i}", "text": " ".join(rng.permutation(words)), "label": label})
    return pa.Table.from_pylist(rows)


@pytest.fixture
def files(tmp_path: Path) -> Path:
    for name, count, seed in (("labelled", 6, 1), ("held", 90, 2), ("rest", 300, 3), ("test", 90, 4)):
        pq.write_table(documents(count, seed), tmp_path / f"{name}.parquet")
    (tmp_path / "selftrain.yaml").write_text(
        "output: out\nlabelled: labelled.parquet\nheld_out: held.parquet\nunlabelled: rest.parquet\ntest: test.parquet\n"
        "rounds: 3\nshard_rows: 64\nnoise: {delete: 0.1}\n"
    )
    return tmp_path


def settings(files: Path, **changes: object) -> SelfTrain:
    return load(files / "selftrain.yaml").model_copy(update=changes)


def everything(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def test_what_judges_is_never_what_was_learnt(files: Path) -> None:
    for judge, learnt in (("held_out", "labelled"), ("test", "unlabelled")):
        path = Path(getattr(settings(files), learnt)).name
        with pytest.raises(RecipeError, match=f"`{judge}` is the file of `{learnt}`"):
            load(files / "selftrain.yaml", (f"{judge}={path}",))
    with pytest.raises(DatasetError, match="there is no such file of documents"):
        selftrain(settings(files, labelled=str(files / "none.parquet")))


def test_gains_and_says_why_it_stopped(files: Path) -> None:
    lines: list[str] = []
    report = selftrain(settings(files), report_line=lines.append)
    assert report["best_round"] >= 1
    assert report["test"]["after"] > report["test"]["before"] + 0.05
    assert report["stopped"]
    assert report["stopped"] in lines[-1]
    pseudo = pq.read_table(files / "out/rounds/01/pseudo.parquet")
    assert 0.7 * 300 <= len(pseudo) <= 0.9 * 300
    assert set(pseudo["label"].to_pylist()) == set(TOPICS)
    shares = np.array(pseudo["probabilities"].to_pylist())
    assert np.allclose(shares.sum(axis=1), 1, atol=1e-5)
    assert (np.array(sorted(TOPICS))[shares.argmax(axis=1)] == pseudo["label"].to_pylist()).all()
    made_by = json.loads(pseudo["labelled_by"][0].as_py())
    assert made_by["teacher"] == report["rounds"][0]["digest"]
    assert made_by["round"] == 1
    assert made_by["seed"] == 1
    trained = pq.read_table(files / "out/rounds/01/train.parquet")
    assert len(trained) > len(pseudo) + 6  # with noisy copies


def test_same_bytes_for_one_and_two_workers_and_asks_nothing_again(
    files: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = settings(files, output=str(files / "one"))
    report = selftrain(one)
    selftrain(settings(files, output=str(files / "two")), workers=2)
    first, second = everything(files / "one"), everything(files / "two")
    assert first.keys() == second.keys()
    assert all(first[n] == second[n] for n in first if n != "report.json")  # which names the models' folder
    from corpusmill.pipelines.selftrain import labelling

    monkeypatch.setattr(labelling.ShardLabeller, "load_model", lambda self: pytest.fail("a model was asked"))
    assert selftrain(one) == report


def test_killed_goes_on_and_ends_alike(files: Path) -> None:
    selftrain(settings(files, output=str(files / "whole")))
    code = "from corpusmill.pipelines.cli import main; main()"
    command = [sys.executable, "-c", code, "selftrain", str(files / "selftrain.yaml"), "--set", "shard_rows=64"]
    running = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline and running.poll() is None:
        if list((files / "out").glob("rounds/01/labels/*.parquet")):
            os.kill(running.pid, signal.SIGKILL)
            break
        time.sleep(0.005)
    running.wait()
    stamps = {p: p.stat().st_mtime_ns for p in (files / "out").glob("rounds/*/labels/*.parquet")}
    assert stamps
    selftrain(settings(files))
    assert all(p.stat().st_mtime_ns == stamp for p, stamp in stamps.items())
    whole, again = everything(files / "whole"), everything(files / "out")
    assert all(whole[n] == again[n] for n in whole if n != "report.json")


def test_gate_refuses_a_student_that_is_no_better(files: Path) -> None:
    shuffled = documents(90, 2)
    labels = np.random.default_rng(0).permutation(shuffled["label"].to_pylist())
    pq.write_table(shuffled.set_column(2, "label", pa.array(labels)), files / "held.parquet")
    report = selftrain(load(files / "selftrain.yaml"))
    assert report["best_round"] == 0
    assert "refused" in report["stopped"]
    assert report["test"]["difference"] == 0


def test_threshold_that_promises_nothing_selects_nothing(files: Path) -> None:
    pq.write_table(
        documents(90, 2).set_column(2, "label", pa.array(["pay", "sky", "菜"][::-1] * 30)), files / "held.parquet"
    )
    report = selftrain(load(files / "selftrain.yaml", ("select.by=threshold", "select.min_precision=1.0")))
    assert "no document was selected" in report["stopped"]
    assert [line["selected"] for line in report["rounds"] if line.get("line") == "rounds"][-1] == 0


def test_calibrated_threshold_selects(files: Path) -> None:
    report = selftrain(load(files / "selftrain.yaml", ("select.by=threshold", "select.min_precision=0.8")))
    assert report["rounds"][1]["selected"] > 30
    assert report["rounds"][1]["threshold"] > 0


def test_classes_that_are_rare_stay_rare(files: Path) -> None:
    rest = documents(300, 3)
    kept = [i for i, label in enumerate(rest["label"].to_pylist()) if label != "sky" or i % 5 == 0]
    pq.write_table(rest.take(pa.array(kept)), files / "rest.parquet")
    found = {}
    for evenness in (0.3, 1000.0):
        report = selftrain(
            settings(files, output=str(files / str(evenness)), rounds=1, select=Select(evenness=evenness))
        )
        found[evenness] = report["rounds"][1]["class_shares"][sorted(TOPICS).index("sky")]
    assert found[1000.0] == pytest.approx(1 / 3, abs=0.01)
    assert found[0.3] < 0.28


def test_hard_labels_without_neighbours(files: Path) -> None:
    select = Select(labels="hard", spread=0.0, share=0.2)
    report = selftrain(settings(files, rounds=2, select=select))
    assert report["best_round"] >= 1
    pseudo = pq.read_table(files / "out/rounds/01/pseudo.parquet")
    assert "probabilities" not in pseudo.column_names
    assert max(np.bincount([sorted(TOPICS).index(x) for x in pseudo["label"].to_pylist()])) <= 25


def test_mistakes(files: Path) -> None:
    with pytest.raises(RecipeError, match="needs the linear model"):
        load(files / "selftrain.yaml", ("select.labels=soft", "train.steps=5"))
    with pytest.raises(RecipeError, match="has no field `round`"):
        load(files / "selftrain.yaml", ("round=3",))
    with pytest.raises(DatasetError, match="no column label"):
        pq.write_table(documents(6, 1).drop_columns("label"), files / "labelled.parquet")
        selftrain(settings(files))


def test_other_settings_are_not_mixed_in(files: Path) -> None:
    selftrain(settings(files, rounds=1))
    with pytest.raises(DatasetError, match="other settings"):
        selftrain(settings(files, seed=2))
    assert selftrain(settings(files, rounds=2))["rounds"]  # more rounds of the same


def test_transformer_as_teacher_and_student(files: Path) -> None:
    pytest.importorskip("torch")
    from corpusmill.transforms.tokens.train_tokenizer import train_tokenizer

    batch = documents(100, 5).combine_chunks().to_batches()[0]
    train_tokenizer([batch], str(files / "tokenizer.json"), vocab_size=300)
    train = {
        "steps": 15,
        "data": {"tokenizer": str(files / "tokenizer.json"), "length": 32},
        "model": {"kind": "encoder", "layers": 1, "width": 16, "heads": 2},
        "optimizer": {"lr": 0.01},
        "batch": {"rows": 16},
        "runtime": {"device": "cpu", "tensorboard": False},
    }
    report = selftrain(settings(files, train=train, rounds=1, noise=None))
    assert [line["round"] for line in report["rounds"]] == [0, 1, 1]
    assert 200 <= report["rounds"][1]["selected"] <= 270
    assert (
        "probabilities" not in pq.read_table(files / "out/rounds/01/train.parquet").column_names
    )  # it learns hard labels


@pytest.mark.skipif(not DATA.is_dir(), reason=f"{DATA} holds no labelled sets")
def test_banking77_gains(tmp_path: Path) -> None:
    """20 intents, 10 labels each: as tests/benchmarks/loop.py does, second seed. On the first, the gain of two rounds is too small
    to be sure of."""
    from tests.benchmarks.loop_selftrain import write_set

    write_set(DATA, "banking77", 20, 1, tmp_path)
    report = selftrain(
        SelfTrain(
            output=str(tmp_path / "out"),
            **{n: str(tmp_path / f"{n}.parquet") for n in ("labelled", "held_out", "unlabelled", "test")},
            rounds=2,
        )
    )
    assert report["best_round"] >= 1
    assert report["test"]["difference"] > 0
