"""A dataset on disk or in a bucket: what a run leaves behind, and what every command reads.

`snapshot` reads and names manifests, `results` stores outcomes under their requests, and `lock` lets one process write
at a time. `suppression` lists documents that were taken down, and `arrivals` says in which snapshot each file came.
`history`, `events` and `openlineage` record runs, and `submissions` records runs that a cluster still works on.
`packed` finds documents in packed rows, and `system_errors` turns OS errors into a DatasetError with a remedy. Nothing
here knows recipes or stages.
"""
