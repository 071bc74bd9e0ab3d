"""Summarises a job's Beam graph, so that tests notice a change of its cost."""

from __future__ import annotations

from typing import Any

from corpusmill.pipelines.engine.job import Job

GROUP_BY_KEY = "beam:transform:group_by_key:v1"
_ELEMENT = '["' + "0" * 40 + '", 1000000]'
"""A task's name of typical length."""


def summary(job: Job, publish: bool = False) -> dict[str, Any]:
    """Build and summarise the graph of a job without running it.

    Returns: stages (label and number of shuffles), shuffles, steps (leaf transforms), unread (outputs without a reader:
    the last one), branches (outputs with several readers), element_bytes (size of a task's name, which is all that Beam
    carries for a shard).
    """
    import apache_beam as beam
    from apache_beam.runners.portability.fn_api_runner import FnApiRunner

    from corpusmill.pipelines.runners.graph import RunStages

    pipeline = beam.Pipeline(runner=FnApiRunner())
    _ = pipeline | "start" >> beam.Create([0]) | "stages" >> RunStages(job, publish=publish)
    return of_proto(pipeline.to_runner_api())


def of_proto(proto: Any) -> dict[str, Any]:
    """Summarise a graph in Beam's portable form."""
    every = proto.components.transforms
    leaves = {
        k: t for k, t in every.items() if not t.subtransforms and t.spec.urn and t.unique_name.startswith("stages/")
    }
    readers: dict[str, int] = {o: 0 for t in leaves.values() for o in t.outputs.values()}
    for transform in leaves.values():
        for name in transform.inputs.values():
            if name in readers:
                readers[name] += 1
    shuffles = [t.unique_name for t in leaves.values() if t.spec.urn == GROUP_BY_KEY]
    labels = [t.unique_name.split("/", 1)[1] for t in every.values() if t.unique_name.count("/") == 1]
    stages = sorted({label.rsplit(" | ", 1)[0] for label in labels if label[:2].isdigit()})
    return {
        "stages": [
            {"label": stage[3:], "shuffles": sum(s.startswith(f"stages/{stage} | ") for s in shuffles)}
            for stage in stages
        ],
        "shuffles": len(shuffles),
        "steps": len(leaves),
        "unread": sum(n == 0 for n in readers.values()),
        "branches": sum(n > 1 for n in readers.values()),
        "element_bytes": len(_ELEMENT),
    }
