import subprocess
import sys
from pathlib import Path


def test_a_worker_has_beam_and_not_what_nobody_asked_for():
    seen = "{'apache_beam', 'corpusmill.pipelines.runners.graph', 'pandas', 'boto3'} & {*sys.modules}"
    code = f"import corpusmill.pipelines.runners.dask_worker, sys; print({seen})"
    root = Path(__file__).resolve().parents[3]
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=root, check=True)
    assert eval(done.stdout) == {"apache_beam", "corpusmill.pipelines.runners.graph"}
    assert done.stderr == ""
