"""`train`, `eval`, `generate`, `chat` and `export-model` as they are typed, on a model of a second."""

import json

import pytest
import yaml

from corpusmill.pipelines.commands.train import TERMINATED, _lines, _summary, print_result, render, stop_if_told
from corpusmill.pipelines.wording import clean
from tests.command import invoke, invoke_json
from tests.corpora import rows, write_recipe, write_shards, write_tokenizer

pytest.importorskip("torch", reason="torch is not installed (extra `train`)")
pytest.importorskip("tokenizers", reason="tokenizers is not installed (extra `tokens`)")


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """The folder of a trained run; its train.yaml stands beside it."""
    folder = tmp_path_factory.mktemp("trained")
    write_shards(folder / "raw", rows(30), 2)
    write_tokenizer(folder, rows(30), 300)
    pack = {"pack": {"tokenizer": "tokenizer.json", "length": 32}}
    output = {"path": "out", "format": "arrow", "shard_bytes": 1 << 18}
    assert invoke("run", write_recipe(folder, [pack], output=output), "--workers", 1).exit_code == 0
    settings = {
        "output": "run",
        "steps": 2,
        "data": {"train": "out", "tokenizer": "tokenizer.json"},
        "model": {"layers": 1, "width": 16, "heads": 2},
        "batch": {"rows": 2},
        "schedule": {"warmup": 1},
        "runtime": {"tensorboard": False},
    }
    (folder / "train.yaml").write_text(yaml.safe_dump(settings))
    said = invoke("train", folder / "train.yaml")
    assert said.exit_code == 0, said.output
    assert said.stdout.startswith(f"{folder}/run/checkpoints/step-00000002: step 2, loss ")
    return folder / "run"


def test_training_goes_on_from_its_checkpoint(run):
    found = invoke_json("train", run.parent / "train.yaml", "--set", "steps=3", "--set", "allow_other_settings=true")
    assert (found["step"], found["stopped"]) == (3, None)
    assert found["checkpoint"] == f"{run}/checkpoints/step-00000003"


def test_a_run_that_is_complete_is_nothing_new(run, monkeypatch):
    settings = (run.parent / "train.yaml", "--set", "output=whole")
    assert invoke("train", *settings).exit_code == 0
    again = invoke("train", *settings)
    assert (again.exit_code, again.stdout.splitlines()[-1]) == (3, "Nothing new: this run is complete.")
    quiet = invoke("train", *settings, "--json")
    assert (quiet.exit_code, json.loads(quiet.stdout)["step"]) == (3, 2)
    assert invoke("train", *settings, "--set", "steps=1").exit_code == 1  # of other settings it is no answer
    monkeypatch.setenv("RANK", "0")
    assert invoke("train", *settings).exit_code == 0


def test_a_model_is_measured_over_all_rows_or_a_few(run):
    whole, few = invoke_json("eval", run), invoke_json("eval", run, "--rows", 1)
    assert (whole["data"], few["targets"] < whole["targets"]) == (str(run.parent / "out"), True)
    assert whole["domains"]["raw"]["targets"] == whole["targets"]
    head, told, columns, everything, domain = invoke("eval", run).stdout.splitlines()
    assert whole["trained_on"]
    assert told.startswith("The model was trained on these rows")
    assert head == f"{whole['checkpoint']} on {whole['data']}"
    assert columns.split() == ["domain", "targets", "loss", "accuracy", "bits", "per", "byte"]
    assert everything.split()[:3] == ["all", f"{whole['targets']:,}", f"{whole['loss']:.4f}"]
    assert domain.split()[0] == "raw"


def test_prompts_come_as_arguments_or_lines(run):
    found = invoke_json("generate", run, "the of", "and", "--max-tokens", 4)
    assert [f["prompt"] for f in found] == ["the of", "and"]
    said = "".join(f["prompt"] + f["text"] + "\n" for f in found)
    assert invoke("generate", run, "the of", "and", "--max-tokens", 4).stdout == said
    assert invoke("generate", run, "--max-tokens", 4, said="the of\nand\n").stdout == said
    assert invoke("generate", run, "the of", "and", "--max-tokens", 4, "--seed", 2).stdout != said
    greedy = [invoke("generate", run, "the", "--temperature", 0, "--seed", s).stdout for s in (1, 2)]
    assert greedy[0] == greedy[1]
    done = invoke("generate", run, said="")
    assert (done.exit_code, "give a prompt, or lines on standard input" in done.stderr) == (2, True)


def test_an_encoder_decoder_answers_and_does_not_go_on(run):
    settings = (run.parent / "train.yaml", "--set", "output=both", "--set", "model.kind=encoder-decoder")
    assert invoke("train", *settings, "--set", "objective.name=span").exit_code == 0
    both = run.parent / "both"
    found = invoke_json("generate", both, "the of", "--max-tokens", 4)
    assert invoke("generate", both, "the of", "--max-tokens", 4).stdout == clean(found[0]["text"]) + "\n"


def test_chat_answers_each_line_on_its_own(run):
    both = invoke("chat", run, "--max-tokens", 4, said="the {of}\nand\n")
    assert both.exit_code == 0
    assert both.stdout == "".join(invoke("chat", run, "--max-tokens", 4, said=s).stdout for s in ("the {of}", "and\n"))
    assert invoke("chat", run, said="").stdout == ""


def test_a_prompt_sign_is_for_those_who_type(monkeypatch, capsys):
    class Terminal(list):
        def isatty(self):
            return True

        def readline(self):
            return self.pop(0)

    monkeypatch.setattr("sys.stdin", Terminal(["a\n", "b\n", ""]))
    assert list(_lines()) == ["a\n", "b\n"]
    assert capsys.readouterr() == ("", "> > > ")


def test_a_model_is_exported(run, tmp_path):
    done = invoke("export-model", run, tmp_path / "llama")
    assert (done.exit_code, done.stdout) == (0, f"{tmp_path}/llama is written.\n")
    assert json.loads((tmp_path / "llama" / "config.json").read_text())["num_hidden_layers"] == 1


@pytest.mark.parametrize(
    ("args", "code", "said"),
    [
        (["train", "none.yaml"], 78, "none.yaml: there is no such file; `corpusmill init --train none.yaml`"),
        (["train", "recipe.yaml"], 78, "the training run has no field `sources`"),
        (["train", "train.yaml", "--set", "stepz=1"], 78, "stepz"),
        (["train", "train.yaml", "--set", "data.train=none", "--set", "output=x"], 1, "none: there is no such folder"),
        (["eval", "none"], 1, "none: holds no checkpoint. Give a run's folder or one of its checkpoints"),
        (["eval", "out"], 1, "out: holds no checkpoint"),
        (["eval", "run", "--data", "none"], 1, "none: there is no such folder of training shards"),
        (["eval", "run", "--data", "raw"], 1, "raw: holds no .arrow files"),
        (["eval", "run", "--rows", "-1"], 2, "--rows"),
        (["generate", "none", "x"], 1, "none: holds no checkpoint"),
        (["generate", "run", "x", "--top-p", "0"], 2, "0.0 is not in the range 0<x<=1"),
        (["generate", "run", "x", "--temperature", "nan"], 2, "nan is not a finite number"),
        (["generate", "run", "x", "--max-tokens", "0"], 2, "--max-tokens"),
        (["chat", "none"], 1, "none: holds no checkpoint"),
        (["export-model", "none", "x"], 1, "none: holds no checkpoint"),
        (["export-model", "run", "recipe.yaml"], 1, "recipe.yaml: a file stands there already"),
    ],
)  # fmt: skip
def test_what_goes_wrong_is_said(run, monkeypatch, args, code, said):
    monkeypatch.chdir(run.parent)
    done = invoke(*args)
    assert (done.exit_code, done.stdout) == (code, "")
    assert said in done.stderr
    assert "Traceback" not in done.stderr
    assert not (run.parent / "x").exists()


MADE = {"checkpoint": "run/step-9", "step": 1_234, "parameters": 56_789, "stopped": None}
PRIVATE = {"epsilon": 2.0004, "delta": 1e-6, "sigma": 1.5, "certified": True}


@pytest.mark.parametrize(
    ("more", "lines"),
    [
        ({}, ["run/step-9: step 1,234, 56,789 parameters."]),
        ({"loss": 1.23456}, ["run/step-9: step 1,234, loss 1.2346, 56,789 parameters."]),
        (PRIVATE, ["Private: noise 1.500; its population has spent epsilon 2.000 at delta 1e-06."]),
        (
            PRIVATE | {"certified": False},
            ["Private: noise 1.500; its population has spent epsilon 2.000 at delta 1e-06; NOT certified: the figure bounds "
             "nothing."],
        ),
        ({"stopped": "patience"}, ["Stopped: patience."]),
        ({"stopped": "SIGTERM"}, ["Stopped by SIGTERM. The same command continues from this checkpoint."]),
    ],
)  # fmt: skip
def test_what_came_of_a_run_is_told(more, lines):
    assert _summary(MADE | more).splitlines()[-len(lines) :] == lines


def test_a_run_that_was_stopped_exits_as_by_the_signal(capsys):
    from click.exceptions import Exit

    print_result(MADE)
    assert capsys.readouterr().out.startswith("run/step-9: step 1,234")
    with pytest.raises(Exit) as told:
        stop_if_told(MADE | {"stopped": "SIGTERM"})
    assert (told.value.exit_code, capsys.readouterr().out) == (TERMINATED, "")


def test_domains_without_bytes_have_no_bits():
    figures = {
        "targets": 1_000,
        "loss": 1.0,
        "accuracy": 0.5,
        "domains": {"b": {"targets": 3, "loss": 2, "accuracy": 0}},
    }
    assert render(figures).splitlines() == [
        "domain  targets    loss  accuracy  bits per byte",
        "all       1,000  1.0000     0.500",
        "b             3  2.0000     0.000",
    ]


def test_of_many_processes_the_first_one_speaks(run, monkeypatch):
    monkeypatch.setattr(
        "corpusmill.training.commands.train",
        lambda *_, **__: {"checkpoint": "c", "step": 1, "parameters": 2, "stopped": None},
    )
    for rank, said in (("0", True), ("1", False)):
        monkeypatch.setenv("RANK", rank)
        assert bool(invoke("train", run.parent / "train.yaml").stdout) is said
        assert bool(invoke("train", run.parent / "train.yaml", "--json").stdout) is said
