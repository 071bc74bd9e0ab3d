"""Fingerprints of results: digests of everything that decides them, equal on any machine."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pyarrow as pa

from corpusmill.pipelines.dataset.results import request_of
from corpusmill.transforms.arrow import logical_digest
from corpusmill.transforms.base import Expand
from corpusmill.transforms.sources import formats

if TYPE_CHECKING:
    from corpusmill.pipelines.engine.job import Job
    from corpusmill.pipelines.engine.stage import GroupStep
    from corpusmill.pipelines.recipe.model import Step
    from corpusmill.transforms.sources.spec import SourceSpec


def step_fingerprint(step: Step | GroupStep) -> list[Any]:
    """Name and fingerprint of a step."""
    return [step.name, step.transform.fingerprint()]


def pass_content(fingerprint: list[Any], content: str, decisions: pa.Table, wire: str) -> str:
    """Fingerprint of a pass over a staged shard. decisions: those about this shard."""
    return request_of("content", fingerprint, content, logical_digest(decisions), wire)


def keys_content(group: list[Any], rnd: int, content: str, decisions: pa.Table) -> str:
    """Fingerprint of the keys that a shard sends in a later round."""
    return request_of("keys content", group, rnd, content, logical_digest(decisions))


def source_fingerprint(spec: SourceSpec) -> str:
    """Digest of everything but the file that decides what is read from it: fields of the source, and versions of the
    readers."""
    left_out = {"path", "private", "max_bad_fraction"} | (set() if spec.options else {"options"})
    fields = spec.model_dump(mode="json", exclude=left_out)
    if spec.options:
        fields["options"] = formats.inner_options(spec.format, spec.options)
    # `auto` may be any format, and so may what lies in an archive or is named by a list
    known = formats.known().get(spec.format)
    any_format = known is None or known.archive or known.lists
    readers = {
        f.name: f.version for f in formats.known().values() if (any_format or spec.format == f.name) and f.version > 1
    }
    # without a column for ids, those that are called so name documents since version 2 of this rule
    ids = {} if "id" in spec.columns else {"ids": 2}
    return request_of({**fields, **ids, **({"readers": readers} if readers else {})})


def pass_fingerprint(job: Job, number: int) -> list[Any]:
    """Everything but the input that decides the bytes of a pass: seed, steps, and what it emits or how it is
    written."""
    groups = job.groups
    # suppression drops ids that steps make where they are made, and all others where documents are read
    derives = any(isinstance(s.transform, Expand) for s in job.fused(number))
    derives = derives or (number > 0 and groups[number - 1].transform.adds_to())
    listed = [job.suppression.digest] if job.suppressed and derives and job.suppression.count("derived") else []
    return [
        *listed,
        job.recipe.seed,
        [step_fingerprint(groups[number - 1])] if number else [],
        [step_fingerprint(s) for s in job.fused(number)],
        job.recipe.output.model_dump(mode="json", exclude={"path", "shard_bytes"})
        if job.last_pass(number)
        else step_fingerprint(groups[number]),
    ]
