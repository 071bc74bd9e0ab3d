"""Preloads Beam in the worker processes of `--runner dask`, if the job runs no code but ours. Clients of stores and
databases are left out, which halves the start-up."""

from corpusmill.pipelines.runners import hidden_imports
from corpusmill.pipelines.runners.base import hush

hidden_imports.take_over()
hidden_imports.begin()
hush()
with hidden_imports.imports():
    import apache_beam.runners.dask.dask_runner  # noqa: F401

    import corpusmill.pipelines.runners.graph  # noqa: F401
