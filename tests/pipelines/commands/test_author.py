"""`init`, `check` and `schema`, as they are typed. What a mistake looks like is `tests/pipelines/test_recipe.py`'s matter."""

import json

import pytest
import yaml

from tests.command import invoke, invoke_json
from tests.corpora import rows, write_recipe, write_shards


def test_init_writes_a_recipe_that_is_right_wherever_it_is_asked_to(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    done = invoke("init")
    assert (
        done.stdout == "corpus.yaml is written. Next: corpusmill check corpus.yaml, then corpusmill run corpus.yaml\n"
    )
    assert invoke("init", "deep/in/my corpus.yaml").stdout.endswith(
        "corpusmill check 'deep/in/my corpus.yaml', then corpusmill run 'deep/in/my corpus.yaml'\n"
    )
    for path in ("corpus.yaml", "deep/in/my corpus.yaml"):
        assert invoke("check", path).exit_code == 0


@pytest.mark.parametrize(
    "name", ["a b.txt", 'it\'s "#1": x.jsonl', "- x.txt", "日本.txt", "123", "yes", "null", "~.txt", "{x}.txt"]
)
def test_init_takes_any_name_of_a_source(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    (tmp_path / name).write_text('{"text": "x"}\n')
    assert invoke("init", "r.yaml", "--source", name).exit_code == 0
    done = invoke("check", "r.yaml")
    assert done.exit_code == 0, done.stderr
    assert yaml.safe_load((tmp_path / "r.yaml").read_text())["sources"][0]["path"] == name


@pytest.mark.parametrize(
    ("args", "code", "said"),
    [
        (["."], 78, ". exists and is left as it is; name another file"),
        (["file/r.yaml"], 78, "file/r.yaml: cannot be written: file is not a folder; name another file"),
        (["r.yaml", "--source", " "], 2, "--source is empty: name what to read, or omit the option"),
        (["r.yaml", "--source", "s3://me:secret@b/x"], 78, "s3://***@b/x: a name with credentials in it is not used"),
    ],
)
def test_init_says_what_it_cannot_do_and_writes_nothing(tmp_path, monkeypatch, args, code, said):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").touch()
    done = invoke("init", *args)
    assert done.exit_code == code
    assert said in done.stderr
    assert "secret" not in done.output
    assert {p.name for p in tmp_path.iterdir()} == {"file"}


def test_check_of_a_right_recipe_says_what_it_holds(tmp_path):
    write_shards(tmp_path / "raw", rows(3), 1)
    path = write_recipe(tmp_path, ["clean", "exact"])
    assert invoke("check", path).stdout == (
        f"{path} has no mistakes.\nsources  raw\nsteps    clean, exact\noutput   {tmp_path}/out\n"
    )
    found = invoke_json("check", path)
    assert (found["ok"], found["mistakes"]) == (True, [])
    assert [s["transform"] for s in found["recipe"]["steps"]] == ["clean@1", "exact@1"]
    other = invoke_json("check", path, "--set", "seed=2")
    assert other["recipe"]["seed"] == 2
    assert other["digest"] != found["digest"]
    assert "steps    none: documents pass unchanged" in invoke("check", write_recipe(tmp_path, [])).stdout
    assert not (tmp_path / "out").exists()


def test_check_tells_whose_privacy_a_recipe_keeps(tmp_path):
    write_shards(tmp_path / "raw", rows(3), 1)
    source = {"name": "raw", "path": "raw/*.parquet", "private": True, "columns": {"id": "id", "user": "year"}}
    privacy = {"population": "callers", "unit": "user", "units": 100, "epsilon": 8, "delta": 1e-3}
    bound = {"bound-units": {"by": "user", "max_rows": 2, "distinct": True}}
    said = invoke("check", write_recipe(tmp_path, ["clean", bound], sources=[source], privacy=privacy)).stdout
    assert said.splitlines()[-1].startswith("privacy  ")


@pytest.mark.parametrize("value", ["steps.exact.nope=1", "nope=1", "seed=x", "seed"])
def test_check_places_a_mistake_of_the_command_line(tmp_path, value):
    write_shards(tmp_path / "raw", rows(3), 1)
    done = invoke("check", write_recipe(tmp_path, ["exact"]), "--set", value, "--json")
    assert done.exit_code == 78
    (found,) = json.loads(done.stdout)["mistakes"]
    assert found["file"] == "--set"
    assert found["what"]


def test_schema_validates_what_init_writes(tmp_path):
    jsonschema = pytest.importorskip("jsonschema", reason="jsonschema is not installed")
    schema = json.loads(invoke("schema").stdout)
    invoke("init", tmp_path / "r.yaml")
    recipe = yaml.safe_load((tmp_path / "r.yaml").read_text())
    jsonschema.validate(recipe, schema)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({**recipe, "nope": 1}, schema)


@pytest.mark.parametrize("kind", ["train", "selftrain", "party", "job"])
def test_other_settings_files_are_written_checked_and_described(tmp_path, monkeypatch, kind):
    monkeypatch.chdir(tmp_path)
    done = invoke("init", f"--{kind}")
    assert done.stdout == f"{kind}.yaml is written. Next: edit it, then corpusmill check {kind}.yaml --{kind}\n"
    assert invoke("check", f"{kind}.yaml", f"--{kind}").stdout == f"{kind}.yaml has no mistakes.\n"
    assert invoke_json("check", f"{kind}.yaml", f"--{kind}")["settings"]
    schema = json.loads(invoke("schema", f"--{kind}").stdout)
    assert set(yaml.safe_load((tmp_path / f"{kind}.yaml").read_text())) <= set(schema["properties"])
    wrong = invoke("check", f"{kind}.yaml", f"--{kind}", "--set", "nmae=x")
    assert (wrong.exit_code, "has no field `nmae`" in wrong.stderr) == (78, True)
    assert invoke("init", f"--{kind}", "--source", "x").exit_code == 2


@pytest.mark.parametrize("step", ["mine:Mine", {"filter": {"call": "mine:keep"}}, "mine:keep"])
@pytest.mark.parametrize("verb", ["check", "plan", "run"])
def test_no_user_code_refuses_every_module_of_a_recipe_without_importing_it(tmp_path, verb, step):
    write_shards(tmp_path / "raw", rows(3), 1)
    (tmp_path / "mine.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')\nkeep = Mine = 1\n")
    path = write_recipe(tmp_path, [step])
    done = invoke(verb, path, "--no-user-code")
    assert done.exit_code == 78
    assert "the recipe runs the module `mine`, which --no-user-code refuses" in done.stderr
    assert not (tmp_path / "ran").exists()
    invoke("check", path)
    assert (tmp_path / "ran").exists()  # the option lasts for its command only


def test_no_user_code_lets_recipes_of_built_in_steps_through(tmp_path):
    write_shards(tmp_path / "raw", rows(3), 1)
    assert invoke("check", write_recipe(tmp_path, ["clean", "exact"]), "--no-user-code").exit_code == 0


@pytest.mark.parametrize("name", ["web", "training", "private"])
def test_init_writes_a_shipped_recipe(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    assert invoke("init", "--recipe", name).stdout.startswith(f"{name}.yaml is written.")
    assert f"name: {name}\n" in (tmp_path / f"{name}.yaml").read_text()
    assert invoke("init", "--recipe", name).exit_code == 78
    assert invoke("init", "--recipe", name, "--source", "x").exit_code == 2
