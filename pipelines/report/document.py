"""The output of `corpusmill why`: the way of one document through the steps."""

from __future__ import annotations

from typing import Any

from corpusmill.pipelines.report.terminal import styled
from corpusmill.pipelines.wording import count, printable, size, some


def render_why(found: dict[str, Any]) -> str:
    """A document's way through the steps, in sentences."""
    document, number = printable(found["id"]), found["snapshot"]
    if found["outcome"] == "unknown":
        return (
            f"{document}: no document of this id was read for snapshot {number}. "
            "Ids are compared whole: `corpusmill diff` and the files in data/ and dropped/ hold them."
        )
    if found["outcome"] == "suppressed":
        return f"{document}: {styled('taken out', 'loss')} by `corpusmill forget`; no run lets it in again"
    style = {"kept": "good", "packed": "good", "dropped": "loss", "quarantined": "loss"}.get(found["outcome"], "head")
    lines = [f"{document}: {styled(found['outcome'], style)} in snapshot {number}"]
    for event in found["history"]:
        lines.append(f"  {printable(_sentence(event))}")
    told = found.get("survivor_of", [])
    if told:
        lines.append(f"  it stands for {some(len(told), 'dropped document')}:")
        lines += [f"    {printable(str(d['id']))} ({d['step']}{_value(d.get('value'))})" for d in told[:20]]
        lines += [f"    and {count(len(told) - 20)} more"] if len(told) > 20 else []
    return "\n".join(lines)


def _sentence(event: dict[str, Any]) -> str:
    passed = f" after passing {', '.join(event['passed'])}" if event.get("passed") else ""
    if event["outcome"] == "dropped":
        survivor = f"; the survivor is {event['survivor']}" if event.get("survivor") else ""
        text = f"from {event['source']}: dropped by {event['step']} for {event['reason']}{_value(event.get('value'))}"
        return text + passed + survivor
    if event["outcome"] == "derived":
        return f"{event['child']} is derived from it by {event['derived_by']}, in {event['file']}"
    if event["outcome"] == "quarantined":
        said = f"{event['reason']}, {event['detail']}" if event["detail"] else event["reason"]
        return f"from {event['source']}: {said} (position {event['position']} of {event['file']})"
    if event["outcome"] == "packed":
        where = f"row {event['row']} of {event['file']} ({event['in']}), tokens {event['start']} to "
        part = f", its tokens from {event['offset']} on" if event["offset"] else ""
        return f"packed into {where}{event['start'] + event['length'] - 1}{part}{passed}"
    if event["outcome"] == "row":
        ids = [d["id"] for d in event.get("documents", [])]
        more = f" and {len(ids) - 5} more" if len(ids) > 5 else ""
        return f"row {event['row']} of {event['file']}: packed from {', '.join(ids[:5])}{more}"
    repeat = f", epoch {event['epoch']}" if event.get("epoch") else ""
    lineage = (
        f"{repeat}, derived from {event['parent']} by {event.get('derived_by')}" if event.get("parent") else repeat
    )
    return (
        f"from {event['source']}: kept{passed}, row {event['row']} of {event['file']}, {size(event['bytes'])}{lineage}"
    )


def _value(value: float | None) -> str:
    return "" if value is None or value != value else f" ({value:.4g})"
