"""Where the units of a job run: threads, processes, Dask, Dataflow, or any portable runner of Beam.

`base` is the interface and the table of engines; `local`, `dask`, `dataflow` and `portable` implement it; `graph` is the Beam
graph that all of them run. `submit` and `flex_template` send a job to a service without waiting for it. `job_transport` carries
a job and a user's modules to workers, `worker_checks` refuses workers that would give other results, and `head_start` and
`hidden_imports` shorten start-up.
"""
