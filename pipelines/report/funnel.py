"""The funnel of a run: how many documents each source brought, each step let through, and what was dropped for what reason.

A funnel is JSON data, as a manifest holds it: sources [{name, rows, bytes, quarantined}], steps [{name, kind, rows_in,
rows_out, dropped {reason: rows}, derived, bytes_out}], rows_in, rows_out, quarantined.
"""

from __future__ import annotations

from typing import Any

from corpusmill.pipelines.report.terminal import Cell, Column, bar, styled, table
from corpusmill.pipelines.wording import count, share, size

Funnel = dict[str, Any]
HEAVY = 0.5  # a step that drops more than this share of its rows is pointed out
WEB = {
    "gopher-quality": "its thresholds are made for web pages of prose",
    "gopher-repetition": "its thresholds are made for web pages of prose",
    "c4-paper": "its rules keep only lines of prose that end in punctuation",
    "c4-code": "its rules keep only lines of prose that end in punctuation",
    "fineweb": "its thresholds are made for web pages",
    "refinedweb-lines": "its rules are made for web pages",
}
USED = "used"  # the reason under which a terminal step lists the documents that stand in its rows
DUPLICATES = {"exact", "minhash", "lines", "paragraphs", "substring"}


def render(funnel: Funnel) -> str:
    """The whole funnel as a table, with advice below it on the steps that drop most."""
    top = max([funnel["rows_in"], *(s["rows_out"] for s in funnel["steps"] if s.get("kind") != "terminal"), 1])
    columns: list[Column | str] = [
        "",
        Column("in", True),
        Column("dropped", True),
        Column("out", True),
        Column("kept", True),
        Column("text", True),
        "",
    ]
    rows: list[list[Cell | str]] = []
    for source in funnel["sources"]:
        bad = source.get("quarantined", 0)
        good = source["rows"] - bad
        rows.append(
            [
                f"source {source['name']}",
                count(source["rows"]),
                Cell(count(bad) if bad else "", "loss"),
                count(good),
                share(good, source["rows"]),
                size(source.get("bytes")),
                bar(good, top),
            ]
        )
        if bad:
            rows.append(_reason("quarantined", bad, source["rows"]))
    for step in funnel["steps"]:
        into, lost = step["rows_in"], losses(step)
        heavy = is_heavy(step)
        rows.append(
            [
                Cell(step["name"], "loss" if heavy else ""),
                count(into),
                Cell(count(lost) if lost else "", "loss" if heavy else ""),
                count(step["rows_out"]),
                Cell(share(into - lost, into), "loss" if heavy else ""),
                "" if step.get("kind") == "terminal" else size(step.get("bytes_out")),
                Cell("" if step.get("kind") == "terminal" else bar(step["rows_out"], top), "loss" if heavy else "good"),
            ]
        )
        if step.get("derived"):
            made = {"terminal": "rows", "group": "repeats"}.get(step.get("kind", ""), "derived")
            rows.append([Cell(f"    + {count(step['derived'])} {made}", "good"), "", "", "", "", "", ""])
        for reason, n in sorted(step["dropped"].items(), key=lambda item: (-item[1], item[0])):
            if step.get("kind") == "terminal" and reason == USED:
                rows.append([Cell("    used in rows", "dim"), "", "", Cell(count(n), "dim"), "", "", ""])
                continue
            rows.append(_reason(reason, n, into))
    lines = [table(columns, rows)]
    lines.append("")
    lines.append(styled(total(funnel), "head"))
    lines += [styled(f"! {text}", "loss") for text in advice(funnel)]
    return "\n".join(lines)


def total(funnel: Funnel) -> str:
    """What became of all rows, in one line whose sum holds."""
    dropped = sum(losses(s) for s in funnel["steps"])
    last = funnel["steps"][-1] if funnel["steps"] else {}
    packed = last["derived"] if last.get("kind") == "terminal" else 0
    derived = sum(s.get("derived", 0) for s in funnel["steps"]) - packed
    parts = [f"{count(funnel['rows_in'])} read"]
    parts += [f"- {count(funnel['quarantined'])} quarantined"] if funnel["quarantined"] else []
    parts += [f"- {count(dropped)} dropped"]
    parts += [f"+ {count(derived)} derived"] if derived else []
    if packed:
        used = last["dropped"].get(USED, 0)
        return f"{' '.join(parts)} = {count(used)} documents, in {count(packed)} rows"
    return f"{' '.join(parts)} = {count(funnel['rows_out'])} documents ({share(funnel['rows_out'], funnel['rows_in'])})"


def is_heavy(step: dict[str, Any]) -> bool:
    """Whether a step drops more than half of what reaches it."""
    return losses(step) > HEAVY * step["rows_in"] > 0


def losses(step: dict[str, Any]) -> int:
    """Rows that a step drops; documents that stand in the rows of a terminal step are none of them."""
    used = step["dropped"].get(USED, 0) if step.get("kind") == "terminal" else 0
    return int(sum(step["dropped"].values()) - used)


def advice(funnel: Funnel) -> list[str]:
    """A sentence on every step that drops more than half of its rows: what it is for, and how to look into it. A sample is to
    drop what its fraction says."""
    said = []
    for step in funnel["steps"]:
        name, kind = step["name"], step["name"].partition("#")[0]
        if not is_heavy(step) or kind == "sample":
            continue
        lost = losses(step)
        main = max(step["dropped"], key=lambda reason: (step["dropped"][reason], reason))
        text = f"{name} drops {share(lost, step['rows_in'])}, most of it for {main}"
        if kind in WEB:
            text += f": {WEB[kind]}"
        if kind in DUPLICATES:
            text += ": look at a few in the dropped tables, or ask `corpusmill why DIR ID`, before trusting it"
        elif kind == "language":
            text += ": is a language missing in `keep`, or `min_score` too high?"
        elif step.get("kind", "filter") == "filter":
            text += "; with `keep_scores: true` on it, `corpusmill plan RECIPE --what-if` shows other thresholds"
        said.append(text + ".")
    if funnel["rows_in"] and not funnel["rows_out"]:
        said.append("Nothing is left. The snapshot is empty.")
    if not funnel["rows_in"]:
        said.append("The sources hold no document.")
    return said


def _reason(reason: str, number: int, whole: int) -> list[Cell | str]:
    return [
        Cell(f"    {reason}", "dim"),
        "",
        Cell(count(number), "dim"),
        "",
        Cell(f"-{share(number, whole)}".replace("-<", "<"), "dim"),
        "",
        "",
    ]
