"""What the worker processes that `--runner dask` starts load before their first unit, if the job runs no code but ours: Beam
without clients of stores and databases, which is half of its start-up."""

from corpusmill.pipelines.runners import hidden_imports
from corpusmill.pipelines.runners.base import hush

hidden_imports.take_over()
hidden_imports.begin()
hush()
with hidden_imports.imports():
    import apache_beam.runners.dask.dask_runner  # noqa: F401

    import corpusmill.pipelines.runners.graph  # noqa: F401
