"""The wheel: one import name, all data files, and nothing that a user's own folders of the same names can disturb."""

import os
import shutil
import subprocess
import sys
import venv
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
FOLDERS = ("pipelines", "transforms", "training", "privacy")
BUILD = "import sys, setuptools.build_meta as b; getattr(b, 'build_' + sys.argv[1])(sys.argv[2])"

STEP = """
from corpusmill.transforms.base import Filter, Verdict
import numpy as np


class Shouting(Filter):
    name = "shouting"

    def judge(self, batch, rng):
        texts = batch.column("text").to_pylist()
        codes = np.array([0 if t.isupper() else -1 for t in texts], np.int16)
        return Verdict(("upper",), codes, np.where(codes < 0, np.nan, 1.0))


def calmer(text: str) -> str:
    return text.replace("!", ".")
"""
BEAM = """
import apache_beam as beam, pyarrow as pa
from corpusmill.pipelines.beam.steps import Steps
from corpusmill.transforms.clean.clean import Clean
from transforms.shouting import Shouting

batch = pa.record_batch({"id": ["a", "b"], "text": ["LOUD", "quiet"], "source": ["s", "s"]})
with beam.Pipeline("DirectRunner") as pipeline:
    texts = pipeline | beam.Create([batch]) | Steps(Clean(), Shouting()) | beam.FlatMap(lambda b: b["text"].to_pylist())
    texts | beam.io.WriteToText("texts", shard_name_template="")
"""


def sources(to: Path) -> Path:
    """What the Dockerfile copies, and so what an installation needs."""
    to.mkdir()
    for name in ("pyproject.toml", "README.md", "LICENSE", "corpusmill", *FOLDERS):
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, to / name, symlinks=True, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(ROOT / name, to / name)
    return to


def build(kind: str, source: Path, to: Path) -> Path:
    to.mkdir()
    subprocess.run([sys.executable, "-W", "ignore", "-c", BUILD, kind, to], cwd=source, check=True, capture_output=True)
    (file,) = to.iterdir()
    return file


@pytest.fixture(scope="session")
def wheel(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    return build("wheel", sources(folder / "source"), folder / "built")


@pytest.fixture(scope="session")
def installed(wheel, tmp_path_factory) -> Path:
    """The programs of an environment that has the wheel, and sees what it needs but not this checkout."""
    folder = tmp_path_factory.mktemp("installed") / "venv"
    venv.create(folder, with_pip=False)
    site = next(folder.glob("lib/python3*/site-packages"))
    # as plain entries: a .pth file in them, such as that of an editable installation, does not count
    seen = [p for p in sys.path if Path(p).name in ("site-packages", "dist-packages")]
    (site / "dependencies.pth").write_text("\n".join(seen) + "\n")
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--python", folder / "bin/python", "install"]
    subprocess.run([*pip, "--quiet", "--no-index", "--no-deps", "--force-reinstall", wheel], check=True)
    return folder / "bin"


@pytest.fixture
def home(tmp_path) -> Path:
    """A folder with packages of the user's own that have our four names, documents, and a recipe with a step of theirs."""
    for name in FOLDERS:
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text("OWNER = 'the user'\n")
    (tmp_path / "transforms" / "shouting.py").write_text(STEP)
    for number in range(3):
        lines = "".join(f'{{"text": "the quiet page {number}-{i}"}}\n{{"text": "LOUD {i}"}}\n' for i in range(20))
        (tmp_path / f"raw-{number}.jsonl").write_text(lines)
    (tmp_path / "recipe.yaml").write_text(
        "name: own\nsources: [{name: raw, path: raw-*.jsonl}]\n"
        "steps: [clean, exact, 'transforms.shouting:Shouting', 'transforms.shouting:calmer', {minhash: {threshold: 0.95}}]\n"
        "output: {path: out, shard_bytes: 1024}\n"
    )
    return tmp_path


def shell(bin: Path, home: Path, *command: str) -> str:
    environment = {k: v for k, v in os.environ.items() if not k.startswith("PYTHON")} | {"HF_HUB_OFFLINE": "1"}
    words = [str(bin / command[0]), *command[1:]]
    done = subprocess.run(words, cwd=home, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_the_wheel_holds_one_package_and_every_file_of_it(wheel):
    names = zipfile.ZipFile(wheel).namelist()
    assert {n.split("/")[0] for n in names if ".dist-info/" not in n} == {"corpusmill"}
    listed = subprocess.run(["git", "ls-files", *FOLDERS], cwd=ROOT, capture_output=True, text=True)
    files = (
        listed.stdout.split()
        if listed.returncode == 0
        else [
            str(f.relative_to(ROOT))
            for name in FOLDERS
            for f in (ROOT / name).rglob("*")
            if f.suffix in (".py", ".yaml")
        ]
    )
    assert {"corpusmill/py.typed", *(f"corpusmill/{f}" for f in files)} <= set(names)


def test_the_source_distribution_builds_the_same_wheel(wheel, tmp_path):
    archive = build("sdist", sources(tmp_path / "source"), tmp_path / "archive")
    shutil.unpack_archive(archive, tmp_path / "unpacked", filter="data")
    (source,) = (tmp_path / "unpacked").iterdir()
    again = zipfile.ZipFile(build("wheel", source, tmp_path / "again"))
    first = zipfile.ZipFile(wheel)
    assert sorted(again.namelist()) == sorted(first.namelist())
    assert all(again.read(n) == first.read(n) for n in first.namelist() if n.startswith("corpusmill/"))


def test_a_recipe_runs_beside_folders_of_our_names(installed, home):
    assert "corpusmill/__init__.py" in shell(
        installed, home, "python", "-c", "import corpusmill; print(corpusmill.__file__)"
    )
    shell(installed, home, "corpusmill", "run", "recipe.yaml", "--workers", "2")
    assert "upper" in shell(installed, home, "corpusmill", "show", "out")
    shell(installed, home, "corpusmill", "verify", "out")


@pytest.mark.slow
def test_beam_and_dask_find_a_users_own_step_beside_folders_of_our_names(installed, home):
    shell(installed, home, "python", "-c", BEAM)
    assert (home / "texts").read_text() == "quiet\n"
    pytest.importorskip("distributed", reason="distributed is not installed (extra `dask`)")
    shell(installed, home, "corpusmill", "run", "recipe.yaml", "--runner", "dask", "--workers", "2")
    dask = [f.read_bytes() for f in sorted((home / "out" / "data").iterdir())]
    shell(installed, home, "corpusmill", "run", "recipe.yaml", "--set", "output.path=local")
    assert dask == [f.read_bytes() for f in sorted((home / "local" / "data").iterdir())]
