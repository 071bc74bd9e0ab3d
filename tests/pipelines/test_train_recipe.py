"""The verbs around a model, and a recipe's section `train`: from raw text to a checkpoint by one command."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pyarrow as pa
import pytest
import yaml

from corpusmill.pipelines.recipe.model import load
from corpusmill.pipelines.recipe.train_section import is_trained, settings_of
from corpusmill.transforms.errors import RecipeError
from tests.corpora import rows, write_recipe, write_shards

pytest.importorskip("torch", reason="torch is not installed (extra `train`)")

LENGTH = 32
TRAIN = {
    "steps": 6,
    "model": {"layers": 1, "width": 16, "heads": 2},
    "batch": {"rows": 4},
    "schedule": {"warmup": 2},
    "runtime": {"tensorboard": False},
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    from corpusmill.transforms.tokens.train_tokenizer import train_tokenizer

    folder = tmp_path_factory.mktemp("train")
    docs = rows(60)
    write_shards(folder / "raw", docs, 2)
    batch = pa.record_batch({"id": [d["id"] for d in docs], "text": [d["text"] for d in docs]})
    train_tokenizer([batch], str(folder / "tokenizer.json"), vocab_size=300)
    write(folder)
    return folder


def write(folder: Path, train: dict | list | None = None, form: str = "arrow", steps=()) -> Path:
    pack = {"pack": {"tokenizer": "tokenizer.json", "length": LENGTH}}
    output = {"path": "out", "format": form, "shard_bytes": 1 << 18}
    return write_recipe(folder, [*steps, pack], output=output, train=TRAIN if train is None else train)


def corpusmill(*args: str, **options) -> subprocess.CompletedProcess:
    """The command in a process of its own."""
    command = [sys.executable, "-m", "corpusmill.pipelines.cli", *map(str, args)]
    env = os.environ | {"OMP_NUM_THREADS": "1"}
    return subprocess.run(command, capture_output=True, text=True, env=env, timeout=240, **options)


def settings_file(folder: Path, **changes) -> Path:
    path = folder / "train.yaml"
    data = {"train": str(folder / "out"), "tokenizer": str(folder / "tokenizer.json")}
    path.write_text(yaml.safe_dump({**TRAIN, "output": "run", "data": data, **changes}))
    return path


@pytest.fixture(scope="module")
def trained(folder):
    """What `corpusmill run` says of a recipe with a section `train`."""
    done = corpusmill("run", folder / "recipe.yaml", "--workers", "1", "--json")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_run_goes_from_raw_text_to_a_checkpoint(folder, trained):
    assert trained["committed"]
    assert trained["train"]["step"] == 6
    checkpoint = Path(trained["train"]["checkpoint"])
    assert checkpoint.parents[2] == folder / "out-model"
    assert checkpoint.parents[1].name == "000001"
    assert (checkpoint / "model.safetensors").is_file()


def test_a_trained_snapshot_is_nothing_new_and_another_run_is(folder, trained, monkeypatch):
    from click.testing import CliRunner

    from corpusmill.pipelines.cli import cli

    assert is_trained(settings_of(load(folder / "recipe.yaml"), 1))
    call = CliRunner().invoke
    again = call(cli, ["run", str(folder / "recipe.yaml"), "--workers", "1"])
    assert again.exit_code == 3
    assert "Nothing new" in again.output
    more = call(cli, ["run", str(folder / "recipe.yaml"), "--workers", "1", "--set", "train.output=other"])
    assert more.exit_code == 0, more.output
    assert "step 6" in more.output
    assert (folder / "other" / "000001").is_dir()

    measured = call(cli, ["eval", str(folder / "other" / "000001"), "--json"])
    assert measured.exit_code == 0
    assert json.loads(measured.output)["bits_per_byte"] > 0
    assert "bits per byte" in call(cli, ["eval", str(folder / "other" / "000001"), "--rows", "2"]).output
    asked = ["generate", str(folder / "other" / "000001"), "the corpus", "--max-tokens", "5"]
    said = call(cli, asked).output
    assert said.startswith("the corpus")
    assert said == call(cli, asked).output
    assert call(cli, ["chat", str(folder / "other" / "000001"), "--max-tokens", "3"], input="a\nb\n").exit_code == 0
    assert call(cli, ["export-model", str(folder / "other" / "000001"), str(folder / "llama")]).exit_code == 0
    assert (folder / "llama" / "config.json").is_file()


def test_the_section_does_not_change_what_the_dataset_is(folder):
    recipe = load(folder / "recipe.yaml")
    assert recipe.digest() == recipe.model_copy(update={"train": None}).digest()
    assert recipe.canonical()["train"]["steps"] == 6
    assert settings_of(recipe, 3).data.snapshot == 3


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"train": {"stpes": 3}}, "did you mean `steps`"),
        ({"train": {"steps": 0}}, "`steps` is 0: must be at least 1"),
        ({"train": {"model": {"width": "wide"}}}, "must be a whole number"),
        ({"form": "parquet"}, "the output is Parquet"),
        ({"train": {"data": {"snapshot": 2}}}, "the snapshot that was just committed"),
    ],
)
def test_a_wrong_section_is_told_with_its_line(folder, tmp_path, changes, said):
    for name in ("raw", "tokenizer.json"):
        (tmp_path / name).symlink_to(folder / name)
    with pytest.raises(RecipeError, match=r"recipe\.yaml:") as caught:
        load(write(tmp_path, **changes))
    assert said in str(caught.value)


def test_wrong_settings_exit_78(folder, trained):
    from click.testing import CliRunner

    from corpusmill.pipelines.cli import cli

    missing = CliRunner().invoke(cli, ["train", str(folder / "none.yaml")])
    assert missing.exit_code == 78
    assert "there is no such file" in missing.output
    wrong = CliRunner().invoke(cli, ["train", str(settings_file(folder)), "--set", "optimizer.lrr=1"])
    assert wrong.exit_code == 78
    assert "did you mean `lr`?" in wrong.output


def test_sigterm_writes_a_checkpoint_and_exits_143(folder, trained):
    path = settings_file(folder, steps=100_000, output="stopped")
    command = [sys.executable, "-m", "corpusmill.pipelines.cli", "train", str(path)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=os.environ | {"OMP_NUM_THREADS": "1"})
    metrics = folder / "stopped" / "metrics.jsonl"
    while process.poll() is None and not (metrics.exists() and metrics.stat().st_size):
        time.sleep(0.1)
    process.send_signal(signal.SIGTERM)
    out, _ = process.communicate(timeout=280)
    assert process.returncode == 143
    assert "Stopped by SIGTERM" in out
    assert list((folder / "stopped" / "checkpoints").glob("step-*"))


def test_one_recipe_goes_from_raw_text_to_a_tuned_student_of_an_ensemble(folder, tmp_path):
    from click.testing import CliRunner

    from corpusmill.pipelines.cli import cli

    for name in ("raw", "tokenizer.json"):
        (tmp_path / name).symlink_to(folder / name)
    labelled = [{"text": f"the corpus {i}", "label": "ab"[i % 2]} for i in range(8)]
    (tmp_path / "labelled.jsonl").write_text("".join(json.dumps(row) + "\n" for row in labelled))
    stages = [
        {**TRAIN, "name": "teachers", "members": 2},
        {**TRAIN, "name": "student", "objective": {"name": "distillation", "noise": 0.1}, "teach": {"by": "teachers"}},
        {
            "name": "labels", "steps": 3, "data": {"train": "labelled.jsonl", "length": 16}, "tune": {"base": "student"},
            "objective": {"name": "classification"}, "batch": {"rows": 4}, "runtime": {"tensorboard": False},
        },
    ]  # fmt: skip
    recipe = str(write(tmp_path, json.loads(json.dumps(stages))))  # no part twice: the recipe would hold aliases
    call = CliRunner().invoke
    first = call(cli, ["run", recipe, "--workers", "1"])
    assert first.exit_code == 0, first.output
    for line in ("Stage teachers 1 of 2:", "Stage teachers 2 of 2:", "Stage student:", "Stage labels:"):
        assert line in first.output
    home = tmp_path / "out-model" / "000001"
    assert {p.name for p in home.iterdir()} == {"teachers", "student", "labels"}
    assert json.loads((home / "student" / "teacher" / "teacher.json").read_text())["kind"] == "sampled"
    weights = [next((home / "teachers" / k).glob("checkpoints/*/model.safetensors")).read_bytes() for k in "12"]
    assert weights[0] != weights[1]  # another seed
    assert call(cli, ["run", recipe, "--workers", "1"]).exit_code == 3
    longer = call(cli, ["run", recipe, "--workers", "1", "--json", "--set", "train.labels.output=other"])
    assert longer.exit_code == 0, longer.output
    assert [stage["stage"] for stage in json.loads(longer.stdout)["train"]] == ["labels"]


@pytest.mark.parametrize(
    ("stages", "said"),
    [
        ([], "`train` is an empty list"),
        ([{"steps": 1}], "a stage of `train` has no name"),
        ([{"name": "a", "steps": 1}, {"name": "a", "steps": 1}], "two stages are called `a`"),
        ([{"name": "a", "tune": {"base": "b"}}, {"name": "b"}], "`tune.base`: b is trained later"),
        ([{"name": "a", "members": 2}, {"name": "b", "tune": {"base": "a"}}], "`tune.base`: a has 2 members"),
        ([{"name": "a", "teach": {"by": "runs/x"}}], "`teach` is for the objective `distillation`"),
        ([{"name": "a", "stpes": 1}], "did you mean `steps`"),
    ],
)
def test_wrong_stages_are_told_with_their_lines(folder, tmp_path, stages, said):
    for name in ("raw", "tokenizer.json"):
        (tmp_path / name).symlink_to(folder / name)
    with pytest.raises(RecipeError, match=r"recipe\.yaml:\d+") as caught:
        load(write(tmp_path, stages))
    assert said in str(caught.value)
