"""Settings: every mistake named at once; defaults that train; nothing heavy imported."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from corpusmill.training.schedule import rate
from corpusmill.training.settings import ScheduleSettings, from_mapping, from_recipe, load
from corpusmill.transforms.errors import RecipeError

GOOD = "output: run\ndata: {train: shards}\n"


def test_paths_are_relative_to_the_file(tmp_path: Path) -> None:
    (tmp_path / "train.yaml").write_text(GOOD)
    settings = load(tmp_path / "train.yaml", ["optimizer.lr=1e-3", "model.layers=2", "data.weights={a: 1, b: 2.5}"])
    assert settings.output == str(tmp_path / "run")
    assert settings.data.train == str(tmp_path / "shards")
    assert (settings.optimizer.lr, settings.model.layers) == (1e-3, 2)
    assert settings.data.weights == {"a": 1.0, "b": 2.5}


def test_every_mistake_at_once(tmp_path: Path) -> None:
    path = tmp_path / "train.yaml"
    path.write_text("output: run\nmodel: {width: 7, layer: 2}\nsteps: 0\n")
    with pytest.raises(RecipeError) as error:
        load(path)
    text = str(error.value)
    for part in (
        "the training run lacks `data`",
        f"{path}:2:19: `model` of the training run has no field `layer`",
        "`steps` is 0",
    ):
        assert part in text
    assert "^^^^^ did you mean `layers`?" in text
    assert text.endswith("3 mistakes in the training run")
    assert error.value.exit_code == 78


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("", "the file is empty"),
        ("a: [", "not valid YAML"),
        ("output: x\ndata: {train: y}\nmodel: {width: 10, heads: 4}", "multiple of twice heads"),
        ("output: x\ndata: &d {train: y}\nmodel: *d", "alias `.d` is not allowed"),
    ],
)
def test_bad_files(tmp_path: Path, text: str, part: str) -> None:
    (tmp_path / "train.yaml").write_text(text)
    with pytest.raises(RecipeError, match=part):
        load(tmp_path / "train.yaml")


def test_the_train_section_of_a_recipe(tmp_path: Path) -> None:
    made = from_recipe(
        {"steps": 5, "data": {"validation": "held"}}, tmp_path, str(tmp_path / "out"), str(tmp_path / "t.json")
    )
    assert (made.output, made.data.train) == (str(tmp_path / "out-model"), str(tmp_path / "out"))
    assert (made.data.validation, made.data.tokenizer) == (str(tmp_path / "held"), str(tmp_path / "t.json"))
    with pytest.raises(RecipeError, match="train: model"):
        from_recipe({"model": {"layers": 0}}, tmp_path, "out")


def test_bad_overrides(tmp_path: Path) -> None:
    path = tmp_path / "train.yaml"
    path.write_text(GOOD)
    for override, part in [
        ("steps", "`steps` sets nothing"),
        ("output.x=1", "`output` is a text and has no field `x`"),
        ("steps=[", "not valid YAML"),
        ("optimizer.lr=.inf", "finite number"),
        ("data.weights={a: .nan}", "finite number"),
    ]:
        with pytest.raises(RecipeError, match=part):
            load(path, [override])
    with pytest.raises(RecipeError, match="there is no such file; `corpusmill init --train"):
        load(tmp_path / "none.yaml")


def test_digest_is_of_what_shapes_the_result() -> None:
    def digest(**values: object) -> str:
        return from_mapping({"output": "a", "data": {"train": "x"}} | values).digest()

    assert digest() == digest(output="b", data={"train": "y"}, runtime={"log_every": 3}, checkpoint={"keep": 9})
    assert digest() != digest(seed=2)
    assert digest() != digest(batch={"rows": 3})


def test_no_torch_at_start() -> None:
    code = (
        "import sys, corpusmill.training.settings, corpusmill.training.commands, corpusmill.training.schedule; "
        "sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], cwd=Path(__file__).parents[2], check=False).returncode == 0


def test_schedules() -> None:
    cosine = ScheduleSettings(name="cosine", warmup=10, min_ratio=0.1)
    values = [rate(cosine, s, 110) for s in range(110)]
    assert values[0] == pytest.approx(0.1)
    assert max(values) == values[9] == 1.0
    assert values[59] == pytest.approx(0.55)
    assert values[-1] == pytest.approx(0.1)
    wsd = ScheduleSettings(name="wsd", warmup=0, min_ratio=0.0)
    values = [rate(wsd, s, 100) for s in range(100)]
    assert values[:80] == [1.0] * 80
    assert values[89] == pytest.approx(0.5)
    assert values[-1] == 0.0
    assert rate(ScheduleSettings(name="constant", warmup=0), 10**9, 5) == 1.0
    for name in ("cosine", "wsd", "constant"):  # warm-up as long as the run, or longer
        assert rate(ScheduleSettings(name=name, warmup=10), 4, 5) == 0.5
