"""From a recipe to a snapshot, one unit of work after another, without any engine of Beam.

`plan` opens a recipe as a `job`; a job is cut into `stage`s, a stage into `units` of work, and a unit streams shards through a
`chain` of steps. `fingerprints` names units by what they compute, `task_files` are what they write, `staging` what passes from
stage to stage. `commit` publishes: it builds the `funnel`, asks `expectations`, writes the manifest and the `card`. `estimate`
and `memory` say what a run will cost, `restore` brings back files that are gone, `failures` passes errors between processes.
"""
