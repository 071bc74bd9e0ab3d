"""A dataset on disk or in a bucket: what a run leaves behind, and what every command reads.

`snapshot` reads and names manifests, `results` stores finished units under what they were computed from, `lock` lets one
process write at a time, `suppression` lists documents that were taken down, `arrivals` records which file came when,
`history` and `openlineage` record runs, `submissions` knows runs that a cluster still works on, `packed` finds the documents
in packed rows, and `system_errors` turns OS errors into a DatasetError with a remedy. Nothing here knows recipes or stages.
"""
