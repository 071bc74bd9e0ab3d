"""Engines: where the tasks of a job run. Threads, processes, Dask, Dataflow, or any portable runner of Beam.

`base` has the interface and the table of engines. `local`, `dask`, `dataflow` and `portable` implement it, and `graph`
is the Beam graph that they run. `submit` and `flex_template` send a job to a service without waiting for it.
`job_transport` carries a job and a user's modules to workers. `worker_checks` refuses workers that would give other
results. `head_start` and `hidden_imports` shorten start-up.
"""
