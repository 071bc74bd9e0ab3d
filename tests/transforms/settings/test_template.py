"""Commented files: right as they are, and right with each default that they show."""

from __future__ import annotations

import re

import pytest
import yaml
from jsonschema import Draft202012Validator

from corpusmill.pipelines.selftrain.settings import FILE as SELFTRAIN
from corpusmill.privacy.secure.settings import JOB, PARTY
from corpusmill.training.settings import FILE as TRAIN
from corpusmill.transforms.settings.template import flow

FILES = (TRAIN, SELFTRAIN, PARTY, JOB)
FIELD = re.compile(r"# ( *(?:- )?)([a-z_0-9]+): (.*)")


@pytest.mark.parametrize("file", FILES, ids=lambda f: f.option)
def test_a_new_file_is_right_and_fits_its_schema(file, tmp_path):
    path = tmp_path / "a.yaml"
    path.write_text(file.template())
    assert file.load(path) == file.model.model_validate(file.example)
    validator = Draft202012Validator(file.schema())
    Draft202012Validator.check_schema(file.schema())
    assert list(validator.iter_errors(yaml.safe_load(file.template()))) == []
    assert list(validator.iter_errors({"nonsense": 1}))


@pytest.mark.parametrize("file", FILES, ids=lambda f: f.option)
def test_it_names_every_field(file):
    lines = file.template().splitlines()
    for name in file.model.model_fields:
        assert any(re.match(rf"(# )?{name}:", line) for line in lines), name


def test_every_default_that_it_shows_is_right(tmp_path):
    """Taking the comments off fields and sections changes nothing, but for the section `privacy`, which has no defaults."""
    path = tmp_path / "a.yaml"
    lines = TRAIN.template().partition("# privacy:")[0].splitlines()
    fields = [i for i, line in enumerate(lines) if re.match(r" *# +[a-z_0-9]+:( |$)", line)]
    assert len(fields) > 50
    shown = [line.replace("# ", "", 1) if i in fields else line for i, line in enumerate(lines)]
    path.write_text("\n".join(shown))
    assert TRAIN.load(path) == TRAIN.model.model_validate(TRAIN.example)


def test_lines_fit_a_screen():
    assert max(len(line) for file in FILES for line in file.template().splitlines()) <= 125


@pytest.mark.parametrize(
    "value", ["no", "a: b", "#x", "", None, True, 3, 1e-5, ["a", {"b": "on"}], "2024-01-01", "null"]
)
def test_values_on_one_line_are_read_back(value):
    assert yaml.safe_load(flow(value)) == value or flow(value) == "1e-05"
