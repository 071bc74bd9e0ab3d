"""The report of a takedown, which lies in DIR/takedowns as JSON and as Markdown. It names no id of a document."""

from __future__ import annotations

import json
import os
from typing import Any

from corpusmill.pipelines.wording import some
from corpusmill.transforms import storage

FOLDER = "takedowns"


def write(path: str, report: dict[str, Any]) -> None:
    """Write the report as `path` (JSON), and as Markdown beside it."""
    storage.makedirs(os.path.dirname(path))
    storage.write_atomic(path, (json.dumps(report, indent=1, sort_keys=True, ensure_ascii=False) + "\n").encode())
    storage.write_atomic(path.removesuffix(".json") + ".md", render(report).encode())
    storage.sync_folders([os.path.dirname(os.path.dirname(path))])


def read_all(dataset: str) -> list[dict[str, Any]]:
    """The reports of all takedowns from a dataset; damaged ones are left out."""
    folder = os.path.join(dataset, FOLDER)
    reports = []
    for name in sorted(n for n in storage.names_in(folder) if n.endswith(".json")):
        try:
            report = json.loads(storage.read_bytes(os.path.join(folder, name)))
        except (OSError, ValueError):
            continue
        reports += [report] if isinstance(report, dict) else []
    return reports


def render(report: dict[str, Any]) -> str:
    """The report in Markdown."""
    asked = ", ".join(some(n, what.removesuffix("s")) for what, n in report["asked"].items() if n)
    done, suppressed = report.get("finished"), report["suppression_list"]
    ended = f", finished {done}." if done else "; not finished yet."
    if report.get("dry_run"):
        ended = ". This is a dry run: nothing was changed."
    lines = [
        f"# Takedown from {report['dataset']}",
        "",
        f"Asked for: {asked}. Begun {report['started']}{ended}",
        "",
        *(
            [f"- Not found: {report['asked_but_not_found']:,} of what was asked for."]
            if report.get("asked_but_not_found")
            else []
        ),
        f"- Documents found: {report['documents']:,}, and {report['derived_documents']:,} derived from them.",
        f"- Dropped duplicates of them: {report['duplicates_of_them']:,}.",
        f"- Removed answers of models about them: {report.get('model_answers', 0):,}.",
        f"- Suppression list: {some(suppressed['files'], 'file')}, digest `{suppressed['digest']}`.",
    ]
    if done:
        after = f"{report['documents_before']:,} rows before, {report['documents_after']:,} after"
        lines.append(f"- Snapshot {report['committed_snapshot']} lacks them: {after}.")
        purged = ", ".join(map(str, report["purged_snapshots"])) or "none held any"
        older = f"Older snapshots were rewritten: {purged}."
        if not report["purge"]:
            rest = "Older snapshots still hold them, until `corpusmill gc` removes those or `forget --purge` rewrites them."
            older = rest if report["snapshots"] else "No older snapshot holds them."
        lines.append(f"- {older}")
    if report.get("void_runs"):
        lines.append(
            f"- Submitted runs that were in progress: {', '.join(report['void_runs'])}. Stop them on their engine: they are not "
            "committed, but may still write the documents. Then repeat the takedown with `--purge`."
        )
    lines += ["", "## Snapshots and shards that held them", ""]
    lines += [
        f"- snapshot {s['number']} (`{s['digest'][:16]}`): {some(s['rows'], 'row')} in {some(len(s['shards']), 'shard')}"
        + "".join(f", {some(n, 'row')} of {kind}" for kind, n in s["tables"].items())
        + "".join(f"\n  - `{path}`: {n:,}" for path, n in s["shards"].items())
        for s in report["snapshots"]
    ] or ["None."]
    lines += ["", "## Made from those snapshots, directly or through others", ""]
    nothing = "Nothing was found." if report.get("searched", 1) else "Nothing was searched: name folders by --search."
    lines += [f"- {d['kind']} `{d['path']}`: {d['because']}" for d in report["downstream"]] or [nothing]
    if report.get("in_store"):
        lines += ["", "The dataset lies in an object store. Where its bucket keeps old versions or deleted objects, they hold the "
                  "documents until its lifecycle rule removes them; ask the bucket's owner."]  # fmt: skip
    if done:
        lines += ["", f"Signed off by: {report['signed_off_by'] or '____________________'}"]
        lines += [f"Digest of this report's data: `{report['digest']}`"]
    return "\n".join([*lines, ""])
