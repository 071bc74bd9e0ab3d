"""Calibration, selection by rank, the gate, the cap, and the steps made of them."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from corpusmill.transforms.base import Group
from corpusmill.transforms.errors import RecipeError
from corpusmill.transforms.generate.calibrate import calibration_error, fit_temperature, predict, threshold
from corpusmill.transforms.generate.class_balance import ClassBalance
from corpusmill.transforms.generate.pseudo_label import PseudoLabel
from corpusmill.transforms.generate.select import balanced, class_ranks, gate
from corpusmill.transforms.generate.synthetic_cap import SyntheticCap, within
from corpusmill.transforms.random import Keyed
from tests.transforms.generate.test_generate import batch, echo  # noqa: F401


def test_temperature_is_found_and_calibrates() -> None:
    rng = np.random.default_rng(0)
    logits = rng.normal(size=(4000, 5)) * 2
    p = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    labels = (p.cumsum(1) > rng.random((4000, 1))).argmax(1)
    assert fit_temperature(logits * 3, labels) == pytest.approx(3.0, rel=0.05)
    raw_class, raw = predict(logits * 3)
    good_class, good = predict(logits * 3, 3.0)
    assert (raw_class == good_class).all()
    assert calibration_error(good, good_class == labels) < 0.03 < 0.15 < calibration_error(raw, raw_class == labels)


def test_threshold_keeps_its_promise() -> None:
    rng = np.random.default_rng(1)
    confidence = rng.random(2000)
    right = rng.random(2000) < confidence
    limit = threshold(confidence, right, 0.9)
    assert right[confidence >= limit].mean() >= 0.9
    assert (confidence >= limit).sum() > 200
    assert threshold(np.array([0.5, 0.5]), np.array([True, False]), 0.9) == np.inf
    assert threshold(np.zeros(0), np.zeros(0, bool), 0.9) == np.inf


def test_balanced_takes_equally_many_and_does_not_depend_on_order() -> None:
    rng = np.random.default_rng(2)
    classes, confidence = rng.choice(4, 1000, p=[0.7, 0.1, 0.1, 0.1]), rng.random(1000).round(1)
    order = rng.integers(0, 1 << 60, 1000).astype(np.uint64)
    chosen = balanced(classes, confidence, order, 0.2, 4)
    assert np.bincount(classes[chosen]).tolist() == [50] * 4
    mixed = rng.permutation(1000)
    again = balanced(classes[mixed], confidence[mixed], order[mixed], 0.2, 4)
    assert set(mixed[again].tolist()) == set(chosen.tolist())
    assert len(balanced(classes[:0], confidence[:0], order[:0], 0.2, 4)) == 0
    assert class_ranks(np.array([1, 0, 1]), np.array([0.1, 0.2, 0.3]), np.arange(3)).tolist() == [1, 0, 0]


def test_gate_wants_a_gain_that_shows() -> None:
    before = np.array([True] * 50 + [False] * 50)
    assert gate(before, np.array([True] * 70 + [False] * 30)).kept
    assert not gate(before, before).kept
    noisy = before.copy()
    noisy[:11], noisy[50:62] = False, True
    found = gate(before, noisy)
    assert found.difference == pytest.approx(0.01)
    assert not found.kept
    assert "standard errors" in found.because
    assert "-0.5000" in gate(before, np.zeros(100, bool)).because


def grouped(group: Group, rows: pa.RecordBatch, cut: int) -> list[str]:
    """Ids kept when the rows come in two shards."""
    shards = [rows.slice(0, cut), rows.slice(cut)]
    keys = []
    for number, shard in enumerate(shards):
        sent = group.keys(0, shard, np.arange(shard.num_rows, dtype=np.uint32), None)
        keys.append(sent.append_column("shard", pa.array([number] * sent.num_rows, pa.uint32())))
    decisions = group.decide(0, pa.Table.from_batches(keys)).decisions
    out = []
    for number, shard in enumerate(shards):
        mine = decisions.filter(pa.array(decisions["shard"].to_numpy() == number)).sort_by("row")
        applied = group.apply(shard, np.arange(shard.num_rows, dtype=np.uint32), mine)
        assert (
            applied.batch.num_rows + len(applied.dropped)
            == shard.num_rows
            == len(applied.dropped) + applied.batch.num_rows
        )
        out += applied.batch.column("id").to_pylist()
    return out


@pytest.mark.parametrize("cut", [0, 1, 30, 60])
def test_cap_keeps_real_text_and_balances_classes(cut: int) -> None:
    n = 60
    rows = pa.record_batch(
        {
            "id": [str(i) for i in range(n)],
            "text": ["数据" * 5 if i % 2 else "x" * 30 for i in range(n)],
            "source": ["s"] * n,
            "origin": ["synthetic" if i % 3 else "real" for i in range(n)],
            "label": ["a" if i % 4 else "b" for i in range(n)],
        }
    )
    kept = grouped(SyntheticCap(), rows, cut)
    origin = dict(zip(rows["id"].to_pylist(), rows["origin"].to_pylist()))
    made = [i for i in kept if origin[i] == "synthetic"]
    assert len(kept) - len(made) == 20 == len(made)  # as many bytes of each: half
    assert sum(int(i) % 4 == 0 for i in made) == 10  # half of each label
    assert sorted(kept) == sorted(grouped(SyntheticCap(), rows, 7))
    assert len(grouped(SyntheticCap(max_share=0.0), rows, cut)) == 20


def test_cap_without_real_text_keeps_nothing_made() -> None:
    rows = pa.record_batch({"id": ["a"], "text": ["t"], "source": ["s"], "parent": ["p"]})
    assert grouped(SyntheticCap(), rows, 1) == []
    assert grouped(SyntheticCap(), rows.slice(0, 0), 0) == []
    assert within(np.array([5]), np.array([0]), np.array([0]), 4).tolist() == [False]


def test_class_balance_step() -> None:
    n = 40
    label = ["a"] * 30 + ["b"] * 9 + ["a"]
    confidence = [i / n for i in range(39)] + [None]
    rows = pa.record_batch(
        {
            "id": [str(i) for i in range(n)],
            "text": ["t"] * n,
            "source": ["s"] * n,
            "label": label,
            "confidence": confidence,
        }
    )
    kept = grouped(ClassBalance(share=0.2), rows, 11)
    assert kept == ["26", "27", "28", "29", "35", "36", "37", "38", "39"]


def test_a_teacher_or_held_out_labels_that_are_none_are_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "held.jsonl").write_text('{"text": "a", "label": "a"}\n')
    with pytest.raises(RecipeError, match=r"held\.jsonl: held_out cannot be read as Parquet"):
        PseudoLabel(model="echo:one", held_out=str(tmp_path / "held.jsonl")).judge(batch(2), Keyed())
    pq.write_table(pa.table({"text": ["a"], "label": ["a"]}), tmp_path / "held.parquet")
    monkeypatch.setattr("tests.transforms.generate.test_generate.ECHO.classes", [])
    with pytest.raises(RecipeError, match="echo:text: is no classifier"):
        PseudoLabel(model="echo:text", held_out=str(tmp_path / "held.parquet")).judge(batch(2), Keyed())


@pytest.mark.parametrize("column", ["label", "confidence"])
def test_class_balance_needs_its_columns(column: str) -> None:
    rows = pa.record_batch({"id": ["a"], "text": ["t"], "source": ["s"], "label": ["x"], "confidence": [0.5]})
    with pytest.raises(RecipeError, match=f"no column `{column}`"):
        grouped(ClassBalance(), rows.drop_columns(column), 1)


def test_pseudo_label_step(tmp_path: Path) -> None:
    rows = batch(8).set_column(3, "label", pa.array(["own", *[None] * 7], pa.string()))
    out = PseudoLabel(model="echo:one")(rows)
    assert out.num_rows == 8
    assert out["label"][0].as_py() == "own"
    assert out["confidence"][0].as_py() is None
    assert set(out["label"].to_pylist()[1:]) <= {"a", "b"}
    assert json.loads(out["labelled_by"][1].as_py())["model"] == "e" * 32
    texts = [f"text {'x' * i}" for i in range(40)]
    pq.write_table(
        pa.table({"text": texts, "label": ["a" if len(t) % 7 > 3 else "b" for t in texts]}), tmp_path / "held.parquet"
    )
    step = PseudoLabel(model="echo:one", held_out=str(tmp_path / "held.parquet"), min_precision=1.0)
    verdict = step.judge(rows, Keyed())
    assert verdict.kept[0]
    assert 0 <= (~verdict.kept).sum() < 8
    assert PseudoLabel(model="echo:one").judge(rows.slice(0, 0), None).codes.shape == (0,)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="min_precision"):
        PseudoLabel(model="echo:one", min_precision=0.9)
