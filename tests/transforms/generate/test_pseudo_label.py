"""Labels from a teacher."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from corpusmill.transforms.errors import RecipeError
from corpusmill.transforms.generate.pseudo_label import PseudoLabel
from corpusmill.transforms.random import Keyed
from tests.transforms.generate.test_generate import batch, echo  # noqa: F401


def test_a_teacher_or_held_out_labels_that_are_none_are_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "held.jsonl").write_text('{"text": "a", "label": "a"}\n')
    with pytest.raises(RecipeError, match=r"held\.jsonl: held_out cannot be read as Parquet"):
        PseudoLabel(model="echo:one", held_out=str(tmp_path / "held.jsonl")).judge(batch(2), Keyed())
    pq.write_table(pa.table({"text": ["a"], "label": ["a"]}), tmp_path / "held.parquet")
    monkeypatch.setattr("tests.transforms.generate.test_generate.ECHO.classes", [])
    with pytest.raises(RecipeError, match="echo:text: is no classifier"):
        PseudoLabel(model="echo:text", held_out=str(tmp_path / "held.parquet")).judge(batch(2), Keyed())


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
    with pytest.raises(RecipeError, match="min_precision"):
        PseudoLabel(model="echo:one", min_precision=0.9)
