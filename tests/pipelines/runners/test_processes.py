"""Worker processes that die at any moment, or whose parent does: the run ends with one error, none is left behind, and the same
command goes on."""

import contextlib
import itertools
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from corpusmill.pipelines.dataset.results import Store
from corpusmill.pipelines.dataset.snapshot import Dataset
from corpusmill.pipelines.recipe.model import load
from corpusmill.pipelines.run import run
from corpusmill.pipelines.runners.local import Local
from corpusmill.transforms.errors import CorpusmillError, SourceError
from tests.corpora import rows, write_recipe, write_shards

pytestmark = [pytest.mark.slow, pytest.mark.skipif(not Path("/proc").is_dir(), reason="processes are found in /proc")]
PROCESSES = ["--direct_running_mode=multi_processing"]
SHARDS = 6
numbers = itertools.count()
STEP = """
import contextlib, itertools, os, pathlib, signal, time

from corpusmill.transforms.base import Map
from corpusmill.transforms.errors import SourceError

here = pathlib.Path(__file__).parent


class Told(Map):
    name = "told"

    def map(self, batch, rng):
        if not batch.num_rows:
            return batch
        for call in itertools.count(1):  # each number is one process's
            with contextlib.suppress(FileExistsError), open(here / f"call-{call}", "x") as file:
                file.write(str(os.getpid()))
                break
        for todo in here.glob("at-*"):
            _, at, what = todo.name.split("-")
            if call == int(at):
                todo.unlink()
                if what == "kill":
                    os.kill(os.getpid(), signal.SIGKILL)
                if what == "stop":
                    os.kill(os.getpid(), signal.SIGSTOP)
                    return batch
                if what == "exit":
                    os._exit(3)
                if what == "raise":
                    raise SourceError("row 3 is wrong")
                time.sleep(120)
        return batch
"""


def prepare(folder):
    write_shards(folder / "raw", rows(60), SHARDS)
    module = f"told_{next(numbers)}"  # a process imports one module of a name
    (folder / f"{module}.py").write_text(STEP)
    return write_recipe(folder, [f"{module}:Told", "exact"])


def calls(folder):
    """The process of each call of the step."""
    return [int(p.read_text()) for p in sorted(folder.glob("call-*"), key=lambda p: int(p.name[5:])) if p.read_text()]


def workers_of(pid):
    """Ids of the worker processes that a process has started."""
    found = []
    for tasks in Path(f"/proc/{pid}/task").glob("*/children"):
        with contextlib.suppress(OSError):
            for child in tasks.read_text().split():
                if b"corpusmill.pipelines.runners.worker" in Path(f"/proc/{child}/cmdline").read_bytes():
                    found.append(int(child))
    return found


def alive(pid):
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    return False


def until(condition):
    """Wait for what happens for certain; the test's own limit ends what does not."""
    while not (found := condition()):
        time.sleep(0.01)
    return found


def untouched(out):
    """No snapshot, and no file with a name that a reader would see."""
    seen = [p for p in out.rglob("*") if p.is_file() and ".corpusmill" not in p.relative_to(out).parts]
    assert {p.name for p in seen} <= {"history.jsonl"}
    assert Store(str(out)).announced() is None


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """(content, calls of the step) of a run that nothing disturbs."""
    folder = tmp_path_factory.mktemp("whole")
    content = run(load(prepare(folder)), workers=2).manifest["content"]
    return content, len(calls(folder))


@pytest.mark.parametrize(
    ("todo", "said"), [("at-3-kill", r"was killed \(SIGKILL\)\. .*--workers"), ("at-2-exit", "ended with status 3")]
)
def test_a_worker_that_dies_at_work_ends_the_run_and_the_same_command_goes_on(tmp_path, whole, todo, said, capfd):
    recipe = load(prepare(tmp_path))
    (tmp_path / todo).touch()
    # the other worker is at work that would last for minutes
    (tmp_path / "at-1-sleep").touch()
    with pytest.raises(
        CorpusmillError, match=rf"`pass 1 of 2: told`: the worker process (\d+) {said}.*goes on"
    ) as raised:
        run(recipe, workers=2, options=PROCESSES)
    assert type(raised.value) is CorpusmillError
    before = calls(tmp_path)
    assert f"process {before[int(todo[3]) - 1]} " in str(raised.value)
    assert not [pid for pid in set(before) if alive(pid)]
    assert workers_of(os.getpid()) == []
    assert "Traceback" not in capfd.readouterr().err
    untouched(tmp_path / "out")
    done = len(list((tmp_path / "out" / ".corpusmill" / "work").rglob("*.keys.batches")))
    assert done == len(before) - 2

    result = run(recipe, workers=2, options=PROCESSES)
    assert result.manifest["content"] == whole[0]
    assert Dataset(tmp_path / "out").verify() == []
    assert len(calls(tmp_path)) == len(before) + whole[1] - done  # what was finished is not done again


def test_a_worker_that_is_killed_before_it_answers_ends_the_run(tmp_path):
    recipe, killed = load(prepare(tmp_path)), []

    def kill():
        killed.append(until(lambda: workers_of(os.getpid()))[0])
        os.kill(killed[0], signal.SIGKILL)

    thread = threading.Thread(target=kill)
    thread.start()
    with pytest.raises(CorpusmillError) as raised:
        run(recipe, workers=2, options=PROCESSES)
    thread.join()
    assert f"worker process {killed[0]} was killed (SIGKILL)" in str(raised.value)
    assert calls(tmp_path) == []
    assert workers_of(os.getpid()) == []
    untouched(tmp_path / "out")


@pytest.mark.skipif(not hasattr(os, "waitid"), reason="the system does not tell of stopped processes")
def test_a_stopped_worker_is_said_to_be_and_waited_for(tmp_path, whole, caplog):
    recipe, ends = load(prepare(tmp_path)), []
    (tmp_path / "at-2-stop").touch()
    thread = threading.Thread(
        target=lambda: ends.append(run(recipe, workers=2, options=PROCESSES).manifest["content"]), daemon=True
    )
    thread.start()
    (message,) = until(lambda: [m for m in caplog.messages if "was stopped (SIGSTOP)" in m])
    stopped = int(message.split()[3])
    assert stopped in calls(tmp_path)
    assert f"`kill -CONT {stopped}` lets it go on" in message
    assert (alive(stopped), ends) == (True, [])
    os.kill(stopped, signal.SIGCONT)
    thread.join()
    assert ends == [whole[0]]
    assert f"The worker process {stopped} goes on." in caplog.messages
    assert workers_of(os.getpid()) == []


def test_the_death_of_one_runs_worker_is_no_other_runs(tmp_path, whole):
    ends = {}

    def one(name):
        recipe = load(prepare(tmp_path / name))
        try:
            ends[name] = run(recipe, workers=1, options=PROCESSES).manifest["content"]
        except CorpusmillError as error:
            ends[name] = str(error)

    for name in ("a", "b"):
        (tmp_path / name).mkdir()
    (tmp_path / "a" / "at-2-kill").touch()
    threads = [threading.Thread(target=one, args=(name,)) for name in ("a", "b")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert "SIGKILL" in ends["a"]
    assert ends["b"] == whole[0]


def test_what_a_unit_raises_in_a_worker_is_told_as_it_was_raised(tmp_path, capfd):
    recipe = load(prepare(tmp_path))
    (tmp_path / "at-2-raise").touch()
    with pytest.raises(SourceError, match=r"^row 3 is wrong$"):
        run(recipe, workers=2, options=PROCESSES)
    assert workers_of(os.getpid()) == []
    assert "Traceback" not in capfd.readouterr().err


COMMAND = (
    # a shell that starts the tests in the background has them ignore Ctrl-C
    "import signal, sys; signal.signal(signal.SIGINT, signal.default_int_handler); "
    "from corpusmill.pipelines.recipe.model import load; from corpusmill.pipelines.run import run; "
    f"run(load(sys.argv[1]), workers=2, options={PROCESSES})"
)


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT])
def test_no_worker_outlives_its_parent(tmp_path, whole, how):
    recipe = prepare(tmp_path)
    # both workers are at work that would last for minutes
    for number in (1, 2):
        (tmp_path / f"at-{number}-sleep").touch()
    process = subprocess.Popen([sys.executable, "-c", COMMAND, str(recipe)], stderr=(tmp_path / "said").open("w"))
    try:
        until(lambda: len(calls(tmp_path)) == 2 or process.poll() is not None)
        workers = workers_of(process.pid)
        assert len(workers) == 2, (tmp_path / "said").read_text()
        process.send_signal(how)
        assert process.wait() == -how
    finally:
        process.kill()
        process.wait()
    until(lambda: not any(alive(pid) for pid in workers))
    assert not (tmp_path / "out" / "snapshots").exists()
    assert run(load(recipe), workers=1).manifest["content"] == whole[0]


def test_two_graphs_of_one_engine_run_in_processes_both(tmp_path):
    import apache_beam as beam

    engine = Local(1, PROCESSES)
    for turn in range(2):
        path = str(tmp_path / str(turn))
        engine.run_graph(lambda pipeline, path=path: pipeline | beam.Create([path]) | beam.Map(note_process))
    said = {(tmp_path / str(turn)).read_text() for turn in range(2)}
    assert len(said) == 2
    assert str(os.getpid()) not in said


def note_process(path):
    Path(path).write_text(str(os.getpid()))
