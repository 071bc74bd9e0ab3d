"""The images, built and run: `make images`. It takes some ten minutes, so that other runs of the tests leave it out.

Python comes from Debian's packages instead of the official image. Beam's boot program and Google's launcher cannot be had
without a registry; scripts stand for them, so that of those two stages it is seen that they build and that the program finds
Beam and corpusmill.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml

from tests.docker.builder import BOOT, LAUNCHER, PYTHON_IMAGE, ROOT, Builder, call, missing
from tests.ports import free_ports

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(2400),
    pytest.mark.skipif("IMAGES" not in os.environ, reason="ten minutes of building: `make images`"),
    pytest.mark.skipif(missing() is not None, reason=str(missing())),
]
USER = 10001
RECIPE = """
name: docs
sources: [{name: rows, path: rows.parquet}]
steps: [clean, gopher-repetition, exact, {minhash: {threshold: 0.6}}, paragraphs, {noise: {delete: 0.1}}]
output: {path: out}
"""
BEAM = re.search(r"^ARG BEAM_VERSION=(\S+)", (ROOT / "docker/Dockerfile").read_text(), re.M)[1]
IMPORTED = r"^import time:.*\| +{}$"


@pytest.fixture(scope="module")
def builder(tmp_path_factory) -> Iterator[Builder]:
    made = Builder(tmp_path_factory.mktemp("images"))
    try:
        made.make_bases(BEAM)
        made.fetch("build", "cluster", "dataflow")
        yield made
    finally:
        made.remove()


@pytest.fixture(scope="module")
def session(builder) -> Iterator[str]:
    """A container of the last target."""
    begin = time.monotonic()
    image = builder.build("session")
    print(f"\nthe image was built in {time.monotonic() - begin:.0f} s")
    with builder.container(image) as container:
        yield container


@pytest.fixture
def data(builder) -> Iterator[Path]:
    """A folder of the container's user, with a recipe and its source."""
    folder = builder.folder / "data"
    folder.mkdir()
    text = "Row {} has some words, and the river is long.\n\nThis is the end of {}."
    rows = [{"id": str(i), "text": text.format(i // 2, i // 3)} for i in range(300)]
    pq.write_table(pa.Table.from_pylist(rows), folder / "rows.parquet")
    (folder / "corpus.yaml").write_text(RECIPE)
    for path in (folder, *folder.iterdir()):
        os.chown(path, USER, USER)
    yield folder
    shutil.rmtree(folder)


def command(builder: Builder, container: str, data: Path, *argv: str) -> list[str | Path]:
    return builder.argv("run", "--volume", f"{data}:/data", "--workingdir", "/data", container, "--", *argv)


def inside(builder: Builder, container: str, data: Path, script: str, user: int | None = None) -> str:
    """What a script of the shell prints in the container."""
    whole = command(builder, container, data, "bash", "-c", script)
    at = whole.index("run") + 1
    return call([*whole[:at], *(["--user", str(user)] if user else []), *whole[at:]], 300)


def end(process: subprocess.Popen) -> None:
    """Wait for a server that was told to stop; one that does not is killed."""
    try:
        process.wait(60)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        raise


def names(folder: Path) -> set[str]:
    """All that lies below, but what the kernel and the container's maker put there."""
    made = {"dev", "proc", "run", "sys", "tmp", "data"}
    found = set()
    for at, folders, files in os.walk(folder):
        if Path(at) == folder:
            folders[:] = [f for f in folders if f not in made]
        found |= {str(Path(at, name).relative_to(folder)) for name in (*folders, *files)}
    return found


def test_the_user_has_no_rights_and_the_command_is_there(builder, session, data):
    assert inside(builder, session, data, "id -u; id -g").split() == [str(USER)] * 2
    config = builder.config("localhost/session")["config"]
    assert (config["User"], config["Entrypoint"], config["Cmd"]) == (str(USER), ["corpusmill"], ["--help"])
    version = re.search(r'^version = "(.+)"', (ROOT / "pyproject.toml").read_text(), re.M)[1]
    assert inside(builder, session, data, "corpusmill --version").split() == ["corpusmill", version]
    assert "Usage: corpusmill" in inside(builder, session, data, "corpusmill --help")
    assert inside(builder, session, data, "pip check").strip() == "No broken requirements found."


def test_the_first_run_compiles_nothing(builder, session, data):
    def run(settings: str, user: int) -> tuple[float, str]:
        """(CPU seconds, modules that were imported)."""
        script = f"{settings} corpusmill run /data/corpus.yaml --workers 1 --set output.path=/tmp/{user} > log 2>&1"
        script = f"export PYTHONPROFILEIMPORTTIME=1; cd /tmp; {script} || {{ tail log >&2; exit 1; }}; cat log; times; rm log"
        out = inside(builder, session, data, script, user)
        spent = re.findall(r"(\d+)m([\d.]+)s", out)[-2:]  # of the shell's children: in user mode, in the kernel
        return sum(60 * int(m) + float(s) for m, s in spent), out

    seconds, out = run("", USER)
    assert re.search(IMPORTED.format(r"transforms\.dedup\.sketch"), out, re.M)
    assert not re.search(IMPORTED.format("numba"), out, re.M)
    # where there are no kernels, numba makes them, also for a user who may write nowhere but to /tmp
    slow, out = run("NUMBA_CACHE_DIR=/nowhere", 12345)
    assert re.search(IMPORTED.format("numba"), out, re.M)
    print(f"\na first run takes {seconds:.1f} CPU s, and {slow:.1f} where it has to compile the kernels")


def test_the_image_adds_the_environment_and_the_user_and_nothing_else(builder, session):
    with builder.container(PYTHON_IMAGE) as base, builder.files(base) as before, builder.files(session) as after:
        new = names(after) - names(before)
        size = sum(p.lstat().st_size for p in after.rglob("*") if p.is_file() and not p.is_symlink())
    print(f"\nthe image has {size / 1e6:.0f} MB")
    # the last two are where the builder mounts files
    user = {f"etc/{name}-" for name in ("passwd", "shadow", "group", "gshadow", "subuid", "subgid")}
    known = user | {"var/mail/corpusmill", "etc/hosts", "etc/pip.conf"}
    assert [n for n in sorted(new - known) if not n.startswith(("opt/corpusmill", "home/corpusmill"))] == []
    last = {Path(n).name for n in new}
    assert not last & {"gcc", "cc", "c++", "ld", "make", ".cache", "warm.py"}
    assert not [n for n in last if n.endswith(".whl")]
    assert "opt/corpusmill/kernels/kept" in new


def test_beams_boot_program_finds_beam_and_corpusmill(builder, data):
    image = builder.build("beam", LOCK="dataflow")
    config = builder.config(image)["config"]
    assert config["Entrypoint"] == [BOOT]
    assert config.get("User", "") == ""
    assert "RUN_PYTHON_SDK_IN_DEFAULT_ENVIRONMENT=1" in config["Env"]
    with builder.container(image) as container:
        assert "--service_port" in inside(builder, container, data, f"{BOOT} --help")
        # what a worker unpickles, and how it reaches buckets
        script = "python -c 'import apache_beam, corpusmill.pipelines.beam, google.cloud.storage; print(apache_beam.__version__)'"
        assert inside(builder, container, data, script).strip() == BEAM
        assert inside(builder, container, data, "pip check").strip() == "No broken requirements found."


def test_the_launcher_finds_what_it_starts(builder, data):
    image = builder.build("flex", LOCK="dataflow")
    assert builder.config(image)["config"]["Entrypoint"] == [LAUNCHER]
    with builder.container(image) as container:
        said = inside(builder, container, data, f"{LAUNCHER} --name=x 2>&1 || true")
    assert "recipe" in said
    assert "Traceback" not in said


def test_the_cluster_of_the_compose_file_gives_the_same_bytes(builder, session, data):
    services = yaml.safe_load((ROOT / "docker/compose.yaml").read_text())["services"]
    (port,) = free_ports(1)
    address = f"tcp://127.0.0.1:{port}"
    here = [*services["scheduler"]["entrypoint"], "--host", "127.0.0.1", "--port", str(port)]
    there = [address if word.startswith("tcp://") else word for word in services["worker"]["entrypoint"]]
    with contextlib.ExitStack() as stack:
        for argv in (here, there, there):
            whole = command(builder, session, data, *argv)
            stack.callback(
                end, subprocess.Popen(whole, stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL, process_group=0)
            )
        client = f"from distributed import Client; c = Client('{address}', timeout=60)"
        stack.callback(inside, builder, session, data, f'python -c "{client}; c.shutdown()"')
        inside(builder, session, data, f'python -c "{client}; c.wait_for_workers(2, timeout=60)"')
        options = f"--runner dask -- --dask_client_address={address}"
        inside(builder, session, data, f"corpusmill run corpus.yaml {options} >&2")
    inside(builder, session, data, "corpusmill run corpus.yaml --workers 1 --set output.path=alone >&2")
    shards = [sorted((p.name, p.read_bytes()) for p in (data / d).rglob("*.parquet")) for d in ("out", "alone")]
    assert shards[0]
    assert shards[0] == shards[1]
