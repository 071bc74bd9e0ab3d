"""Schedules: cron expressions, and what six schedulers are given, checked by their own tools where those are here."""

import contextlib
import os
import shutil
import stat
import subprocess
import sys
import types
from pathlib import Path
from typing import Any

import jinja2
import kubernetes_validate
import pytest
import yaml
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from corpusmill.pipelines.cli import cli
from corpusmill.pipelines.recipe.model import load
from corpusmill.pipelines.recipe.schedule import (
    TARGETS,
    Places,
    Resources,
    calendars,
    export,
    five_fields,
    parse_cron,
    seconds,
)
from corpusmill.transforms.errors import RecipeError
from tests.corpora import write_recipe

ROOT = Path(__file__).parents[3]
PLACES = Places("registry/corpusmill:1", "data", "project", "europe-west1", "runner@project.iam.gserviceaccount.com")
SCHEDULE = {"cron": "30 2 * * mon-fri", "timezone": "Europe/Berlin", "retries": 2, "retry_delay": "5m", "timeout": "6h"}


def exported(folder, target, **changes):
    remote = {
        "sources": [{"name": "raw", "path": "gs://bucket/raw/*.parquet", "columns": {"id": "id"}}],
        "output": {"path": "gs://bucket/out"},
    }
    path = write_recipe(folder, [], schedule=SCHEDULE | changes, **(remote if target == "cloud-scheduler" else {}))
    return export(load(path, check_paths=False), path, target, PLACES, folder, Resources(4, "3Gi"))


def test_containers_get_what_plan_says_and_no_file_of_this_machine(tmp_path):
    cron = yaml.safe_load(exported(tmp_path, "kubernetes")["corpusmill-test-cronjob.yaml"])
    pod = cron["spec"]["jobTemplate"]["spec"]["template"]["spec"]
    assert "run --workers 4 " in pod["containers"][0]["args"][0]  # a container sees all cores of its node
    assert pod["containers"][0]["resources"]["requests"] == {"cpu": "4", "memory": "3Gi"}
    assert pod["securityContext"]["fsGroup"] == 10001
    job = yaml.safe_load(exported(tmp_path, "cloud-scheduler")["corpusmill-test-job.yaml"])
    spec = job["spec"]["template"]["spec"]["template"]["spec"]
    assert spec["containers"][0]["resources"]["limits"] == {"cpu": "4", "memory": "3Gi"}
    path = write_recipe(tmp_path, [], schedule=SCHEDULE)
    with pytest.raises(RecipeError, match="Cloud Run keeps no files"):
        export(load(path, check_paths=False), path, "cloud-scheduler", PLACES, tmp_path)
    path = write_recipe(tmp_path, [], schedule=SCHEDULE, output={"path": "/elsewhere/out"})
    with pytest.raises(RecipeError, match="outside"):
        export(load(path, check_paths=False), path, "kubernetes", PLACES, tmp_path)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("* * * *", "4 fields"),
        ("60 * * * *", "not from 0 to 59"),
        ("5-1 * * * *", "backwards"),
        ("*/0 * * * *", "not a cron field"),
        ("a * * * *", "not from 0 to 59"),
        ("* * * * *-3", "not a cron field"),
        ("0 0 */2 * mon", "Write the days out"),
        ("0 0 13 * */2", "Write the days out"),
        ("0 0 30,31 feb *", "never comes"),
    ],
)
def test_wrong_expressions(tmp_path, text, said):
    with pytest.raises(RecipeError, match=said):
        load(write_recipe(tmp_path, [], schedule={"cron": text}), check_paths=False)


@pytest.mark.parametrize(
    ("changes", "said"),
    [({"timezone": "Berlin"}, "no time zone"), ({"timeout": "6 hours"}, "no span"), ({"retries": -1}, "0")],
)
def test_other_mistakes(tmp_path, changes, said):
    with pytest.raises(RecipeError, match=said):
        load(write_recipe(tmp_path, [], schedule={"cron": "@daily", **changes}), check_paths=False)


def test_expressions():
    assert parse_cron("0 0 1,15 * 7").weekdays == (0,)
    assert parse_cron("5/20 * * * *").minutes == (5, 25, 45)
    assert five_fields("*/30 0-2 * feb *") == "0,30 0,1,2 * 2 *"
    assert seconds("2d") == 172_800
    # where both kinds of day are restricted, cron takes either
    assert calendars("0 1 13 * fri", "UTC") == ["*-*-13 01:00:00 UTC", "Fri *-*-* 01:00:00 UTC"]
    # a star by another name restricts nothing, so that the other kind of day decides
    assert calendars("0 1 */1 * fri", "UTC") == calendars("0 1 *,3 * fri", "UTC") == ["Fri *-*-* 01:00:00 UTC"]
    assert five_fields("0 1 13 */1 */1") == "0 1 13 * *"
    assert five_fields("@annually") == five_fields("@yearly") == "0 0 1 1 *"
    assert five_fields("0 0 29 feb *") == "0 0 29 2 *"


FIELD = st.sampled_from(["*", "1", "1-3", "*/2", "2,4"])
DAY = st.sampled_from(["*", "1", "1-3", "*/1", "2,4"])


@given(st.tuples(FIELD, FIELD, DAY, FIELD, DAY))
def test_plain_fields_mean_the_same(parts):
    text = " ".join(parts)
    assert parse_cron(five_fields(text)) == parse_cron(text)


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd-analyze is not installed")
@pytest.mark.parametrize("cron", ["30 2 * * 1-5", "*/15 * * * *", "0 1 13 * fri", "0 0 1 jan *", "@weekly"])
def test_calendars_are_systemds(cron):
    for line in calendars(cron, "Europe/Berlin"):
        done = subprocess.run(["systemd-analyze", "calendar", line], capture_output=True, text=True)
        assert done.returncode == 0, done.stderr


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd-analyze is not installed")
def test_systemd_units_verify(tmp_path):
    folder = tmp_path / "with space % and $"
    folder.mkdir()
    files = exported(folder, "systemd")
    assert set(files) == {"corpusmill-test.sh", "corpusmill-test.service", "corpusmill-test.timer"}
    (folder / "corpusmill-test.sh").write_text(files.pop("corpusmill-test.sh"))
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    paths = [str(tmp_path / name) for name in files]
    done = subprocess.run(["systemd-analyze", "verify", "--man=no", *paths], capture_output=True, text=True)
    complaints = [line for line in done.stderr.splitlines() if "corpusmill-test" in line]
    assert complaints == []
    service, timer = files["corpusmill-test.service"], files["corpusmill-test.timer"]
    script = f"{tmp_path}/with space %% and $$/corpusmill-test.sh"
    assert f'ExecStart=/bin/sh "{script}"\n' in service
    # a limit on starts would count those of the timer, and end an hourly schedule after its first hours
    assert "Restart=" not in service
    assert "StartLimit" not in service
    assert "OnCalendar=Mon,Tue,Wed,Thu,Fri *-*-* 02:30:00 Europe/Berlin\n" in timer
    assert "Persistent=true\n" in timer
    assert "Persistent=false\n" in exported(folder, "systemd", catch_up=False)["corpusmill-test.timer"]


@pytest.mark.parametrize(
    ("codes", "left", "calls"),
    [([0], 0, 1), ([3], 0, 1), ([75, 0], 0, 2), ([78], 78, 1), ([1, 1, 1], 1, 3), ([2], 2, 1)],
)
@pytest.mark.parametrize("target", ["cron", "systemd"])
def test_the_script_understands_exit_codes(tmp_path, monkeypatch, codes, left, calls, target):
    """The script is run for real, with a command that ends as told."""
    fake = tmp_path / "fake"
    queue = tmp_path / "codes"
    queue.write_text("\n".join(map(str, codes)) + "\n")
    fake.write_text(
        f'#!/bin/sh\necho "$@" >> {tmp_path}/calls\ncode=$(head -1 {queue})\nsed -i 1d {queue}\nexit $code\n'
    )
    fake.chmod(0o755)
    monkeypatch.setattr("corpusmill.pipelines.recipe.schedule.command", lambda: [str(fake)])
    script = exported(tmp_path, target, retry_delay="1s")["corpusmill-test.sh"]
    path = tmp_path / "run.sh"
    path.write_text(script.replace("sleep 1", "sleep 0"))
    assert subprocess.run(["/bin/sh", str(path)], check=False).returncode == left
    lines = (tmp_path / "calls").read_text().splitlines()
    assert lines == [f"run {tmp_path}/recipe.yaml"] * calls


def test_the_crontab(tmp_path):
    text = exported(tmp_path, "cron")["corpusmill-test.crontab"]
    entries = [line for line in text.splitlines() if not line.startswith("#")]
    script = f"/bin/sh {tmp_path}/corpusmill-test.sh"
    assert entries == ["CRON_TZ=Europe/Berlin", f"30 2 * * 1,2,3,4,5 {script}", f"@reboot {script}"]
    assert "@reboot" not in exported(tmp_path, "cron", catch_up=False)["corpusmill-test.crontab"]


def test_the_kubernetes_cron_job(tmp_path):
    made = yaml.safe_load(exported(tmp_path, "kubernetes")["corpusmill-test-cronjob.yaml"])
    kubernetes_validate.validate(made, kubernetes_validate.latest_version(), strict=True)
    assert (made["apiVersion"], made["kind"]) == ("batch/v1", "CronJob")
    spec, job = made["spec"], made["spec"]["jobTemplate"]["spec"]
    assert (spec["schedule"], spec["timeZone"], spec["concurrencyPolicy"]) == (
        "30 2 * * 1,2,3,4,5",
        "Europe/Berlin",
        "Forbid",
    )
    assert (job["backoffLimit"], job["activeDeadlineSeconds"]) == (2, 21600)
    pod = job["template"]["spec"]
    # a pod failure policy is only allowed with pods that are not restarted in place, and must name a container that exists
    assert pod["restartPolicy"] == "Never"
    (container,) = pod["containers"]
    rules = job["podFailurePolicy"]["rules"]
    assert rules[0]["onExitCodes"]["containerName"] == container["name"]
    assert rules[0]["onExitCodes"]["values"] == [2, 78]
    assert {m["name"] for m in container["volumeMounts"]} == {v["name"] for v in pod["volumes"]}
    assert all(m["mountPath"].startswith("/") and ":" not in m["mountPath"] for m in container["volumeMounts"])


@pytest.mark.parametrize(("code", "left"), [(0, 0), (3, 0), (75, 75), (78, 78)])
@pytest.mark.parametrize(
    ("target", "name"),
    [("kubernetes", "corpusmill-test-cronjob.yaml"), ("cloud-scheduler", "corpusmill-test-job.yaml")],
)
def test_containers_take_nothing_new_for_success(tmp_path, target, name, code, left):
    made = yaml.safe_load(exported(tmp_path, target)[name])
    inner = made["spec"]["jobTemplate"]["spec"] if target == "kubernetes" else made["spec"]["template"]["spec"]
    (container,) = inner["template"]["spec"]["containers"]
    fake = tmp_path / "corpusmill"
    fake.write_text(
        f'#!/bin/sh\n[ "$1 $3" = "run 4" ] && [ "$4" = "{tmp_path}/recipe.yaml" ] && exit {code}\nexit 99\n'
    )
    fake.chmod(0o755)
    (tmp_path / "sleep").write_text("#!/bin/sh\n")  # before another try
    (tmp_path / "sleep").chmod(0o755)
    words = [*container["command"], *container["args"]]
    assert subprocess.run(words, env={"PATH": f"{tmp_path}:/usr/bin:/bin"}, check=False).returncode == left


def test_cloud_scheduler(tmp_path):
    files = exported(tmp_path, "cloud-scheduler")
    job = yaml.safe_load(files["corpusmill-test-job.yaml"])
    assert job["spec"]["template"]["spec"]["template"]["spec"]["timeoutSeconds"] == 21600
    script = files["corpusmill-test-schedule.sh"]
    assert subprocess.run(["/bin/sh", "-n"], input=script, text=True, check=False).returncode == 0
    assert "--time-zone=Europe/Berlin" in script
    assert "jobs/corpusmill-test:run" in script


@pytest.mark.parametrize("target", ["airflow", "dagster"])
def test_python_targets_compile(tmp_path, target):
    ((name, text),) = exported(tmp_path, target).items()
    compile(text, name, "exec")
    assert name.endswith(f"_{target}.py")
    assert "'30 2 * * 1,2,3,4,5'" in text


@pytest.mark.parametrize(("code", "left"), [(0, 0), (3, 0), (75, 75), (78, 78)])
def test_the_command_of_the_airflow_task(tmp_path, monkeypatch, code, left):
    fake = tmp_path / "it's a command"
    fake.write_text(f"#!/bin/sh\nexit {code}\n")
    fake.chmod(0o755)
    monkeypatch.setattr("corpusmill.pipelines.recipe.schedule.command", lambda: [str(fake)])
    text = exported(tmp_path, "airflow")["corpusmill_test_airflow.py"]
    line = next(line for line in text.splitlines() if line.startswith("COMMAND = "))
    found: dict[str, str] = {}
    exec(line, found)
    assert subprocess.run(["/bin/sh", "-c", found["COMMAND"]], check=False).returncode == left


def test_the_airflow_task_fails_at_once_where_another_try_would_fail_again(tmp_path, monkeypatch):
    """The file is loaded beside stand-ins for Airflow's classes, which do what Airflow 2.10 and 3 do with exit codes."""

    class FailError(Exception):
        pass

    class SkipError(Exception):
        pass

    class Bash:
        def __init__(self, **fields):
            self.__dict__ |= fields

        def execute(self, context):
            if context["code"] in self.skip_on_exit_code:
                raise SkipError(f"exit code {context['code']}")
            return context["code"]

    class Dag(contextlib.nullcontext):
        def __init__(self, **fields):
            super().__init__()

    modules = {
        "airflow.providers.standard.operators.bash": {"BashOperator": Bash},
        "airflow.sdk": {"DAG": Dag},
        "airflow.sdk.exceptions": {"AirflowFailException": FailError, "AirflowSkipException": SkipError},
        "pendulum": {"datetime": lambda *a, **k: None},
    }
    for name, held in modules.items():
        for i in range(1, len(name.split(".")) + 1):
            made = types.ModuleType(".".join(name.split(".")[:i]))
            made.__path__ = []
            monkeypatch.setitem(sys.modules, made.__name__, sys.modules.get(made.__name__, made))
        vars(sys.modules[name]).update(held)
    text = exported(tmp_path, "airflow")["corpusmill_test_airflow.py"]
    found: dict[str, Any] = {}
    exec(text.replace("    Refresh(", "    TASK = Refresh("), found)
    assert found["NEEDS"] == {"cpu": "4", "memory": "3Gi"}
    assert "--workers 4 " in found["COMMAND"]
    for code in (2, 78):
        with pytest.raises(FailError, match=f"exit code {code}"):
            found["TASK"].execute({"code": code})
    assert found["TASK"].execute({"code": 0}) == 0


ODD = 'it\'s {{ds}} {% "x" 文 \N{GRINNING FACE} $$(HOME) 100%'


def test_odd_names_of_folders_reach_the_command_as_they_are(tmp_path, monkeypatch):
    folder = tmp_path / ODD
    folder.mkdir()
    left = fake_command(tmp_path, monkeypatch)
    (airflow,) = exported(folder, "airflow").values()
    found: dict[str, str] = {}
    exec(next(line for line in airflow.splitlines() if line.startswith("COMMAND = ")), found)
    # Airflow renders the command as a template of Jinja's before a shell has it
    subprocess.run(["/bin/sh", "-c", jinja2.Template(found["COMMAND"]).render()], check=True)
    assert left.read_text() == f"run --workers 4 {folder}/recipe.yaml\n"
    for target in ("kubernetes", "cloud-scheduler"):
        text = next(text for name, text in exported(folder, target).items() if name.endswith(".yaml"))
        inner = yaml.safe_load(text)["spec"]
        inner = inner["jobTemplate"]["spec"] if target == "kubernetes" else inner["template"]["spec"]
        (container,) = inner["template"]["spec"]["containers"]
        given = container["args"][-1]
        # Kubernetes takes two dollars for one, and no variable's name behind them
        assert (given.replace("$$", "$") if target == "kubernetes" else given) == f"{folder}/recipe.yaml"


@pytest.mark.parametrize("name", ["two\nlines", "a\u2028b", os.fsdecode(b"\xff")])
def test_a_path_that_no_file_of_a_scheduler_can_hold_is_refused(tmp_path, name):
    (tmp_path / name).mkdir()
    with pytest.raises(RecipeError, match="rename the folder"):
        exported(tmp_path / name, "cron")


def scheduler(name: str) -> Path:
    """The folder of programs of an environment that `make schedulers` makes: theirs cannot be ours."""
    folder = ROOT / f".venv-{name}" / "bin"
    if not (folder / name).exists():
        pytest.skip(f"{name} is not installed: `make schedulers` makes an environment of its own for it")
    return folder


def fake_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Stands in for corpusmill: leaves its arguments in a file."""
    fake, left = tmp_path / "fake", tmp_path / "left"
    said = '{"snapshot": 4, "committed": true, "funnel": {"rows_out": 9}}'
    fake.write_text(f"#!/bin/sh\necho \"$@\" > {left}\necho '{said}'\n")
    fake.chmod(0o755)
    monkeypatch.setattr("corpusmill.pipelines.recipe.schedule.command", lambda: [str(fake)])
    return left


@pytest.mark.timeout(600)
def test_airflow_runs_the_dag(tmp_path, monkeypatch):
    airflow = scheduler("airflow") / "airflow"
    left = fake_command(tmp_path, monkeypatch)
    dags = tmp_path / "dags"
    dags.mkdir()
    for name, text in exported(tmp_path, "airflow").items():
        (dags / name).write_text(text)
    settings = {"CORE__DAGS_FOLDER": str(dags), "CORE__LOAD_EXAMPLES": "False", "CORE__UNIT_TEST_MODE": "False"}
    env = {**os.environ, "AIRFLOW_HOME": str(tmp_path / "home"), **{f"AIRFLOW__{k}": v for k, v in settings.items()}}
    for argv in (["db", "migrate"], ["dags", "test", "corpusmill-test", "2024-01-05"]):
        done = subprocess.run([airflow, *argv], env=env, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    assert left.read_text().split()[0] == "run"


@pytest.mark.timeout(600)
def test_dagster_materialises_the_asset(tmp_path, monkeypatch):
    python = scheduler("dagster") / "python"
    left = fake_command(tmp_path, monkeypatch)
    (tmp_path / "made.py").write_text(exported(tmp_path, "dagster")["corpusmill_test_dagster.py"])
    program = "import dagster, made; assert dagster.materialize([made.refresh]).success"
    env = {**os.environ, "DAGSTER_HOME": "", "PYTHONPATH": str(tmp_path)}
    done = subprocess.run([python, "-c", program], env=env, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    assert left.read_text().split()[0] == "run"


@pytest.mark.parametrize("target", TARGETS)
def test_the_verb_writes_files(tmp_path, target):
    remote = {
        "sources": [{"name": "raw", "path": "memory://scheduled/raw/*.parquet", "columns": {"id": "id"}}],
        "output": {"path": "memory://scheduled/out"},
    }
    recipe = write_recipe(tmp_path, [], schedule=SCHEDULE, **(remote if target == "cloud-scheduler" else {}))
    out = tmp_path / "made"
    options = ["--image", "i", "--claim", "c", "--project", "p", "--region", "r", "--service-account", "s"]
    done = CliRunner().invoke(cli, ["schedule", "export", str(recipe), "--to", target, "--out", str(out), *options])
    assert done.exit_code == 0, done.output
    for path in out.iterdir():
        assert path.read_text()
        assert bool(path.stat().st_mode & stat.S_IXUSR) == (path.suffix == ".sh")


def test_what_is_missing_is_said(tmp_path):
    plain = write_recipe(tmp_path, [])
    with pytest.raises(RecipeError, match="no section `schedule`"):
        export(load(plain, check_paths=False), plain, "cron", PLACES)
    path = write_recipe(tmp_path, [], schedule=SCHEDULE)
    with pytest.raises(RecipeError, match="--image, --claim"):
        export(load(path, check_paths=False), path, "kubernetes", Places())
