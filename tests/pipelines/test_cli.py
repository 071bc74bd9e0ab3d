"""The command line: verbs, exit codes, what is printed where, and what start-up imports."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from corpusmill.pipelines import cli as module
from corpusmill.pipelines.cli import cli
from corpusmill.pipelines.commands.table import VERBS
from corpusmill.transforms.errors import EngineError, LockedError, RecipeError

ROOT = Path(__file__).parents[2]
TEXT = "This is the text of document {} and it has those words that prose has, to be read with care. "
RECIPE = """\
name: tiny
sources: [{name: a, path: raw/*.jsonl, columns: {id: id}}]
steps:
  - gopher-quality: {min_words: 10, keep_scores: true}
  - exact
output: {path: out}
"""


def invoke(*args: object) -> Result:
    return CliRunner().invoke(cli, [str(a) for a in args])


def python(*args: str, **kwargs: Any) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, *args], capture_output=True, text=True, cwd=ROOT, **kwargs)


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a recipe that ran twice: the second time with one more file."""
    folder = tmp_path_factory.mktemp("built")
    (folder / "raw").mkdir()
    rows = [{"id": f"d{i}", "text": TEXT.format(i % 20)} for i in range(30)] + [{"id": "short", "text": "too short"}]
    (folder / "raw" / "a.jsonl").write_text("\n".join(map(json.dumps, rows)) + "\n")
    (folder / "corpus.yaml").write_text(RECIPE)
    first = invoke("run", folder / "corpus.yaml", "--workers", 1)
    assert first.exit_code == 0, first.output
    (folder / "first.txt").write_text(first.stdout)
    (folder / "raw" / "b.jsonl").write_text(json.dumps({"id": "new", "text": TEXT.format("new")}) + "\n")
    second = invoke("run", folder / "corpus.yaml", "--workers", 1, "--json")
    assert second.exit_code == 0, second.output
    (folder / "second.json").write_text(second.stdout)
    return folder


def test_help_imports_nothing_heavy_and_is_quick() -> None:
    code = (
        "import sys, time\n"
        "from corpusmill.pipelines.cli import cli\n"
        "try: cli.main(['--help'])\n"
        "except SystemExit as e: assert e.code == 0\n"
        "heavy = {'apache_beam', 'torch', 'numba', 'numpy', 'pyarrow', 'pydantic', 'yaml', 'rich', 'jinja2'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
    )
    done = python("-c", code)
    assert done.returncode == 0, done.stderr
    for verb in ("init", "check", "plan", "run", "log", "show", "diff", "why", "verify", "schema"):
        assert f"\n  {verb} " in done.stdout


@pytest.mark.parametrize("verb", list(VERBS))
def test_help_of_every_verb(verb: str) -> None:
    done = invoke(verb, "--help")
    assert done.exit_code == 0
    assert done.output.startswith(f"Usage: corpusmill {verb}") or verb in done.output


def test_version() -> None:
    assert invoke("--version").output.startswith("corpusmill ")


@pytest.mark.parametrize(
    "args",
    [
        ["bogus"],
        ["run"],
        ["run", "a", "--workers", "0"],
        ["run", "a", "b"],
        ["diff", "d", "x", "y"],
        ["plan", "a", "--step", "s"],
    ],
)
def test_wrong_usage_is_2(args: list[str]) -> None:
    done = invoke(*args)
    assert done.exit_code == 2
    assert "Error: " in done.stderr


def test_init_then_check(tmp_path: Path) -> None:
    file = tmp_path / "sub" / "my corpus.yaml"
    done = invoke("init", file)
    assert done.exit_code == 0
    assert "corpusmill check" in done.output
    assert "name: my-corpus\n" in file.read_text()
    assert invoke("check", file).exit_code == 0
    before = file.read_bytes()
    again = invoke("init", file)
    assert again.exit_code == 78
    assert "exists and is left as it is" in again.stderr
    assert file.read_bytes() == before


def test_init_with_a_source(tmp_path: Path) -> None:
    (tmp_path / "raw").mkdir()
    (tmp_path / "raw" / "a.txt").write_text("x")
    assert invoke("init", tmp_path / "c.yaml", "--source", "raw/*.txt").exit_code == 0
    assert invoke("check", tmp_path / "c.yaml").exit_code == 0


def test_check_says_every_mistake(tmp_path: Path) -> None:
    file = tmp_path / "r.yaml"
    file.write_text(RECIPE.replace("min_words", "min_wrods").replace("name: tiny", "nam: tiny"))
    done = invoke("check", file)
    assert done.exit_code == 78
    assert done.stdout == ""
    assert done.stderr.count(str(file)) == 4  # two misspelt, one lacking, one path to nothing
    assert "did you mean `min_words`?" in done.stderr
    assert done.stderr.endswith("4 mistakes in the recipe\n")
    found = json.loads(invoke("check", file, "--json").stdout)
    assert found["ok"] is False
    assert [m["line"] for m in found["mistakes"]] == [1, 1, 2, 4]


def test_every_verb_with_a_recipe_refuses_a_bad_one(tmp_path: Path) -> None:
    (tmp_path / "r.yaml").write_text("name: [")
    for verb in ("check", "plan", "run"):
        assert invoke(verb, tmp_path / "r.yaml").exit_code == 78
        assert invoke(verb, tmp_path / "absent.yaml").exit_code == 78


def test_run_prints_the_funnel(built: Path) -> None:
    text = (built / "first.txt").read_text()
    assert "31 read - 11 quarantined" not in text
    assert "31 read - 11 dropped = 20 documents" in text
    assert "Snapshot 1 of" in text
    second = json.loads((built / "second.json").read_text())
    assert second["committed"] is True
    assert second["snapshot"] == 2
    assert second["funnel"]["rows_out"] == 21


def test_nothing_new_is_3(built: Path) -> None:
    done = invoke("run", built / "corpus.yaml", "--workers", 1)
    assert done.exit_code == 3
    assert "Nothing new: snapshot 2" in done.stdout
    assert json.loads(invoke("run", built / "corpus.yaml", "--json").stdout)["committed"] is False


def test_plan(built: Path) -> None:
    done = invoke("plan", built / "corpus.yaml")
    assert done.exit_code == 0
    assert "Nothing new" in done.stdout
    assert json.loads(invoke("plan", built / "corpus.yaml", "--json").stdout)["nothing_new"] is True
    changed = invoke("plan", built / "corpus.yaml", "--set", "steps.gopher-quality.min_words=12")
    assert changed.exit_code == 0
    assert "min_words: 10 -> 12" in changed.stdout
    assert len(json.loads(invoke("log", built / "out", "--json").stdout)) == 2  # it ran nothing


def test_what_if(built: Path) -> None:
    done = invoke("plan", built / "corpus.yaml", "--what-if")
    assert done.exit_code == 0, done.stderr
    assert "gopher-quality.min_words" in done.stdout
    assert "<- now" in done.stdout
    rows = json.loads(invoke("plan", built / "corpus.yaml", "--what-if", "--step", "gopher-quality", "--json").stdout)
    assert {r["step"] for r in rows} == {"gopher-quality"}
    assert invoke("plan", built / "corpus.yaml", "--what-if", "--step", "nope").exit_code == 1


def test_log_and_show(built: Path) -> None:
    log = invoke("log", built / "out")
    assert log.stdout.splitlines()[0].split() == [
        "snapshot",
        "created",
        "documents",
        "change",
        "text",
        "shards",
        "recipe",
    ]
    assert "+1" in log.stdout
    assert [s["documents"] for s in json.loads(invoke("log", built / "out", "--json").stdout)] == [20, 21]
    show = invoke("show", built / "out", "--snapshot", 1)
    assert "documents  20" in show.stdout
    assert "gopher-quality" in show.stdout
    assert json.loads(invoke("show", built / "out", "--json").stdout)["number"] == 2
    assert invoke("show", built / "out", "--snapshot", 9).exit_code == 1


def test_diff(built: Path) -> None:
    done = invoke("diff", built / "out", 1, 2)
    assert done.exit_code == 0
    assert "20 -> 21 documents (+1)" in done.stdout
    assert json.loads(invoke("diff", built / "out", 1, 2, "--json").stdout)["added"] == {"a": 1}
    assert "No document differs" in invoke("diff", built / "out", 1, 1).stdout


def test_why(built: Path) -> None:
    kept = invoke("why", built / "out", "d1")
    assert kept.exit_code == 0
    assert "kept" in kept.stdout
    assert "it stands for 1 dropped document" in kept.stdout
    dropped = invoke("why", built / "out", "short").stdout
    assert "dropped by gopher-quality for min_words (2)" in dropped
    assert "the survivor is d1" in invoke("why", built / "out", "d21").stdout
    unknown = invoke("why", built / "out", "nobody")
    assert unknown.exit_code == 1
    assert "no document of this id" in unknown.stdout
    assert json.loads(invoke("why", built / "out", "d21", "--json").stdout)["outcome"] == "dropped"


def test_verify(built: Path, tmp_path: Path) -> None:
    assert invoke("verify", built / "out").exit_code == 0
    assert json.loads(invoke("verify", built / "out", "--json").stdout) == {"ok": True, "snapshot": 2, "problems": []}
    copy = tmp_path / "out"
    shutil.copytree(built / "out", copy)
    shard = copy / json.loads(invoke("show", copy, "--json").stdout)["files"][0]["path"]
    data = bytearray(shard.read_bytes())
    data[len(data) // 2] ^= 1
    shard.unlink()
    shard.write_bytes(data)
    done = invoke("verify", copy)
    assert done.exit_code == 1
    assert shard.name in done.stdout
    assert json.loads(invoke("verify", copy, "--json").stdout)["ok"] is False
    assert [r["snapshot"] for r in json.loads(invoke("verify", copy, "--all", "--json").stdout)] == [1, 2]


def test_html(built: Path, tmp_path: Path) -> None:
    done = invoke("show", built / "out", "--html", tmp_path / "a.html")
    assert done.exit_code == 0, done.stderr
    assert (tmp_path / "a.html").read_text().startswith("<!doctype html>")
    assert invoke("show", built / "out", "--html", tmp_path / "no" / "a.html").exit_code == 1


def test_a_folder_that_is_no_dataset(tmp_path: Path) -> None:
    for args in (["log"], ["show"], ["verify"], ["why", "x"], ["diff", "1", "2"]):
        done = invoke(args[0], tmp_path / "none", *args[1:])
        assert done.exit_code == 1
        assert "does not exist" in done.stderr
        assert "Traceback" not in done.output


def test_schema_is_json() -> None:
    assert json.loads(invoke("schema").stdout)["title"] == "corpusmill recipe"


def test_runner_and_options_are_checked(built: Path) -> None:
    assert invoke("run", built / "corpus.yaml", "--set", "seed=5", "--runner", "nope").exit_code == 78
    done = invoke("run", built / "corpus.yaml", "--set", "seed=5", "--", "--no_such_option=1")
    assert done.exit_code == 78
    assert "--no_such_option=1" in done.stderr


@pytest.mark.parametrize(
    ("error", "code", "said"),
    [
        (LockedError("locked by 12"), 75, "locked by 12\n"),
        (RecipeError("bad"), 78, "bad\n"),
        (EngineError("rows"), 1, "--debug"),
        (KeyError("x"), 1, "KeyError: 'x'\nThis is a defect"),
        (ValueError(), 1, "ValueError\n"),
        (FileNotFoundError(2, "No such", "/a/b"), 1, "/a/b: there is no such file or folder. To go on: correct"),
        (KeyboardInterrupt(), 130, "Finished shards are kept"),
    ],
)
def test_errors_become_codes(error: BaseException, code: int, said: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise error

    monkeypatch.setattr("corpusmill.pipelines.dataset.snapshot.Dataset.__init__", fail)
    # else an interrupt would end this process, where another test has left a thread
    monkeypatch.setattr(module, "_has_threads", lambda: False)
    done = invoke("log", "some where")
    assert done.exit_code == code
    assert said in done.stderr
    assert "Traceback" not in done.stderr
    if "--debug" in done.stderr:
        assert "corpusmill --debug log 'some where'" in done.stderr


def test_debug_shows_the_traceback(tmp_path: Path) -> None:
    done = python("-m", "corpusmill.pipelines.cli", "--debug", "log", str(tmp_path))
    assert done.returncode == 1
    assert "Traceback" in done.stderr
    assert "DatasetError" in done.stderr


def test_plain_output_has_no_colour_and_broken_pipes_are_quiet(built: Path) -> None:
    done = python("-m", "corpusmill.pipelines.cli", "show", str(built / "out"))
    assert "\x1b" not in done.stdout
    line = f"{sys.executable} -m corpusmill.pipelines.cli schema | head -c 10"
    piped = subprocess.run(line, shell=True, capture_output=True, text=True, cwd=ROOT)
    assert "Traceback" not in piped.stderr


def test_an_interrupt_that_a_runner_wraps_is_still_one(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        try:
            os.kill(os.getpid(), signal.SIGINT)
            time.sleep(10)
        except KeyboardInterrupt:
            raise RuntimeError("KeyboardInterrupt [while running a step]") from None

    monkeypatch.setattr("corpusmill.pipelines.dataset.snapshot.Dataset.__init__", fail)
    monkeypatch.setattr(module, "_has_threads", lambda: False)
    before = signal.getsignal(signal.SIGINT)
    done = invoke("log", "x")
    assert done.exit_code == 130
    assert "Finished shards are kept" in done.stderr
    assert signal.getsignal(signal.SIGINT) is before


@pytest.mark.parametrize("waits", [False, True])
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_behind_the_verb_changes_nothing_of_it(number: signal.Signals, waits: bool) -> None:
    code = f"""if True:
        import os, sys, threading
        from corpusmill.pipelines import cli
        real, sys.argv = cli._leave, ["corpusmill", "--version"]
        if {waits}:
            threading.Thread(target=threading.Event().wait).start()
        def leave(code):
            os.kill(os.getpid(), {int(number)})
            real(code)
        cli._leave = leave
        cli.main()
    """
    done = python("-c", code)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.slow
def test_an_interrupted_run_goes_on(built: Path, tmp_path: Path) -> None:
    (tmp_path / "raw").mkdir()
    for f in range(40):
        rows = [{"id": f"{f}-{i}", "text": TEXT.format(f"{f} {i}") * 30} for i in range(400)]
        (tmp_path / "raw" / f"{f}.jsonl").write_text("\n".join(map(json.dumps, rows)) + "\n")
    (tmp_path / "corpus.yaml").write_text(RECIPE)
    command = [sys.executable, "-m", "corpusmill.pipelines.cli", "run", str(tmp_path / "corpus.yaml"), "--workers", "1"]
    run = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, cwd=ROOT, env=os.environ | {"NO_COLOR": "1"})
    outcomes = tmp_path / "out" / ".corpusmill"
    while run.poll() is None and not (outcomes / "running.json").exists():
        time.sleep(0.01)
    run.send_signal(signal.SIGINT)
    said = run.communicate()[1]
    if run.returncode != 0:  # it was not faster than the signal
        assert run.returncode == 130
        assert "Interrupted. Finished shards are kept" in said
        assert "Traceback" not in said
    committed = (tmp_path / "out" / "snapshots" / "000001.json").exists()  # the signal may have come behind it
    assert committed or run.returncode
    done = invoke("run", tmp_path / "corpus.yaml", "--workers", 1)
    assert done.exit_code == (3 if committed else 0)
    assert invoke("verify", tmp_path / "out").exit_code == 0
