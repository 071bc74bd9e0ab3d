"""Turns a recipe into a snapshot, task by task. Engines (`runners`) decide only where the tasks run.

`open_job` opens a recipe as a `job`. A job has `stage`s, a stage has `task`s, and a task streams shards through a
`chain` of steps. `fingerprints` names tasks by what they compute, `task_files` writes their files, and `staging`
chooses the form of files between stages. `commit` publishes a snapshot: it builds the `funnel`, checks `expectations`,
and writes the manifest and the `card`. `plan`, `estimate` and `memory` say what a run will do and cost. `restore`
rewrites missing files, and `failures` passes errors between processes.
"""
