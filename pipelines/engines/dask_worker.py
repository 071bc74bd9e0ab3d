"""What the worker processes that `--runner dask` starts load before their first unit, if the job runs no code but ours: Beam
without clients of stores and databases, which is half of its start-up."""

from pipelines import lean
from pipelines.runners import hush

lean.take_over()
lean.begin()
hush()
with lean.imports():
    import apache_beam.runners.dask.dask_runner  # noqa: F401

    import pipelines.graph  # noqa: F401
