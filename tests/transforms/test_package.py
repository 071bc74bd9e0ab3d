import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def cache_of(folder: Path, **environment: str) -> str:
    clean = {k: v for k, v in os.environ.items() if k != "NUMBA_CACHE_DIR"} | environment
    code = "import os, corpusmill.transforms; print(os.environ['NUMBA_CACHE_DIR'])"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=folder, env=clean, capture_output=True, text=True, check=True
    )
    return done.stdout.strip()


def test_a_change_of_any_kernel_gets_a_cache_of_its_own(tmp_path):
    skip = shutil.ignore_patterns("__pycache__")
    transforms = tmp_path / "corpusmill" / "transforms"
    shutil.copytree(ROOT / "transforms", transforms, ignore=skip)
    shutil.copy(ROOT / "corpusmill" / "__init__.py", tmp_path / "corpusmill")
    before = cache_of(tmp_path, XDG_CACHE_HOME=str(tmp_path / "cache"))
    assert before.startswith(str(tmp_path / "cache" / "corpusmill" / "kernels"))
    (transforms / "errors.py").open("a").write("# a comment\n")
    assert cache_of(tmp_path, XDG_CACHE_HOME=str(tmp_path / "cache")) == before
    (transforms / "hashing.py").open("a").write("# a comment\n")
    assert cache_of(tmp_path, XDG_CACHE_HOME=str(tmp_path / "cache")) != before


def test_a_users_own_cache_folder_wins(tmp_path):
    assert cache_of(ROOT, NUMBA_CACHE_DIR=str(tmp_path)) == str(tmp_path)
