"""The settings of `corpusmill selftrain`: every mistake with its line, and paths from their file."""

import pytest

from corpusmill.pipelines.selftrain.settings import SelfTrain, load
from corpusmill.transforms.errors import RecipeError

RIGHT = "output: out\nlabelled: a.parquet\nheld_out: /abs/b.parquet\nunlabelled: ../c.parquet\n"


@pytest.fixture
def write(tmp_path):
    def written(text):
        (tmp_path / "st.yaml").write_text(text)
        return tmp_path / "st.yaml"

    return written


def test_paths_are_relative_to_the_file_and_the_rest_has_defaults(write, tmp_path):
    made = load(write(RIGHT))
    assert (made.output, made.labelled, made.held_out) == (f"{tmp_path}/out", f"{tmp_path}/a.parquet", "/abs/b.parquet")
    assert (made.unlabelled, made.test) == (f"{tmp_path}/../c.parquet", None)
    assert (made.rounds, made.seed, made.select.share, made.gate.level) == (6, 1, 0.8, 0.2)


def test_overrides_come_last(write):
    made = load(
        write(RIGHT + "rounds: 2\nselect: {by: rank}\n"), ("rounds=4", "select.by=threshold", "noise={delete: 0.1}")
    )
    assert (made.rounds, made.select.by, made.noise.delete) == (4, "threshold", 0.1)


def test_soft_labels_are_for_the_linear_model(write):
    made = load(write(RIGHT))
    assert [made.soft(line) for line in made.lines.values()] == [True, False]
    made = load(write(RIGHT + "select: {labels: hard}\nbeside: null\n"))
    assert [made.soft(line) for line in made.lines.values()] == [False]
    made = load(write(RIGHT + "train: {steps: 3}\n"))
    assert not any(made.soft(line) for line in made.lines.values())
    with pytest.raises(RecipeError, match=r"needs the linear model"):
        load(write(RIGHT + "train: {steps: 3}\nselect: {labels: soft}\n"))


@pytest.mark.parametrize(
    ("more", "line", "said"),
    [
        ("roundz: 3\n", 5, "has no field `roundz`"),
        ("rounds: 0\n", 5, "`rounds` is 0: must be at least 1"),
        ("rounds: many\n", 5, "`rounds`: must be a whole number, not a text"),
        ("select: {by: rnak}\n", 5, "`by`: must be rank or threshold, not \"rnak\""),
        ("select:\n  share: 1.5\n", 6, "`share` is 1.5: must be at most 1"),
        ("gate: [1]\n", 5, "must be a mapping"),
        ("rounds: 1\nrounds: 2\n", 6, "rounds"),
        ("train:\n  model: {layerz: 2}\n", 6, "`model` of `train` has no field `layerz`"),
    ],
)  # fmt: skip
def test_a_mistake_is_told_with_its_line(write, more, line, said):
    path = write(RIGHT + more)
    with pytest.raises(RecipeError) as told:
        load(path)
    assert f"{path}:{line}:" in str(told.value)
    assert said in str(told.value)


def test_every_mistake_at_once(write):
    with pytest.raises(RecipeError) as told:
        load(write("output: out\nrounds: 0\nseed: -1\n"))
    assert str(told.value).endswith("5 mistakes in the self-training run")
    for what in ("lacks `labelled`", "lacks `held_out`", "lacks `unlabelled`", "`rounds` is 0", "`seed` is -1"):
        assert what in str(told.value)


def test_what_is_no_file_of_settings(write, tmp_path):
    said = r"none\.yaml: there is no such file; `corpusmill init --selftrain .*none\.yaml` writes one to start from"
    with pytest.raises(RecipeError, match=said):
        load(tmp_path / "none.yaml")
    for text in ("", "- a\n", "x"):
        with pytest.raises(RecipeError, match=r"st\.yaml"):
            load(write(text))


def test_every_field_is_described():
    assert all(field.description for field in SelfTrain.model_fields.values())
