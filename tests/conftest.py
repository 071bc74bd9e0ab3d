"""Settings and fixtures that all tests share."""

import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("HF_HUB_OFFLINE", "1")

# the first call of a kernel compiles it, and a busy machine is slow in making examples, too; these are the same in every run, so
# that a failure can be repeated
settings.register_profile(
    "corpusmill", deadline=None, suppress_health_check=[HealthCheck.too_slow], derandomize=True, database=None
)
settings.load_profile("corpusmill")

DATA = Path(__file__).resolve().parents[1] / ".." / "shared" / "data"


@pytest.fixture(scope="session")
def data() -> Path:
    """The folder of real corpora, where it lies beside the repository."""
    if not DATA.is_dir():
        pytest.skip(f"no corpora at {DATA}")
    return DATA.resolve()
