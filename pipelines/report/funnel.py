"""The funnel of a run: documents read from each source, passed by each step, and dropped by reason.

A manifest holds it as JSON: sources [{name, rows, bytes, quarantined, left_out {kind: {number, example}}}],
steps [{name, kind, rows_in, rows_out, dropped {reason: rows}, derived, bytes_out}], rows_in, rows_out, quarantined.
"""

from __future__ import annotations

from corpusmill.pipelines.dataset.apart import once_each
from corpusmill.pipelines.recipe.registry import built_in
from corpusmill.pipelines.report.terminal import Cell, Column, bar, styled, table
from corpusmill.pipelines.wording import count, share, size, some
from corpusmill.transforms.base import Filter, Transform
from corpusmill.transforms.manifest import Funnel, StepCount

HEAVY = 0.5
"""A step that drops more than this share of its rows is marked."""
USED = "used"
"""The reason under which a terminal step counts the documents that are in its rows."""


def render(funnel: Funnel) -> str:
    """The funnel as a table, followed by advice on the steps that drop most."""
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
        for kind, left in source.get("left_out", {}).items():
            rows.append([Cell(f"    left out: {some(left['number'], kind)}", "dim"), "", "", "", "", "", ""])
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
            noun = {"terminal": "rows", "group": "repeats"}.get(step.get("kind", ""), "derived")
            rows.append([Cell(f"    + {count(step['derived'])} {noun}", "good"), "", "", "", "", "", ""])
        if changed := edited(step):
            rows.append([Cell(f"    {changed}", "dim"), "", "", "", "", "", ""])
        if apart := once_each(step):
            rows.append([Cell(f"    {apart}", "dim"), "", "", "", "", "", ""])
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
    """One line that adds up: rows read, quarantined, dropped, derived and kept."""
    dropped = sum(losses(s) for s in funnel["steps"])
    terminal = [s for s in funnel["steps"][-1:] if s["kind"] == "terminal"]
    packed = sum(s["derived"] for s in terminal)
    derived = sum(s["derived"] for s in funnel["steps"]) - packed
    parts = [f"{count(funnel['rows_in'])} read"]
    parts += [f"- {count(funnel['quarantined'])} quarantined"] if funnel["quarantined"] else []
    parts += [f"- {count(dropped)} dropped"]
    parts += [f"+ {count(derived)} derived"] if derived else []
    if packed:
        used = terminal[0]["dropped"].get(USED, 0)
        return f"{' '.join(parts)} = {count(used)} documents, in {count(packed)} rows"
    return f"{' '.join(parts)} = {count(funnel['rows_out'])} documents ({share(funnel['rows_out'], funnel['rows_in'])})"


def is_heavy(step: StepCount) -> bool:
    """Whether a step drops more than half of its rows."""
    return losses(step) > HEAVY * step["rows_in"] > 0


def losses(step: StepCount) -> int:
    """Rows that a step drops, without the documents that a terminal step puts into its rows."""
    used = step["dropped"].get(USED, 0) if step.get("kind") == "terminal" else 0
    return int(sum(step["dropped"].values()) - used)


def edited(step: StepCount) -> str:
    """What a step changed in texts: `1,234 edited, -5.6 MB`; nothing where it changed none or did not count."""
    details = step.get("details", {})
    parts = []
    if blocks := details.get("cut_blocks", 0):
        parts.append(f"{some(blocks, 'block')} cut out of {some(details['cut_documents'], 'document')}")
    if documents := details.get("edited", 0):
        by = [
            f"{sign}{size(details[name])}" for name, sign in (("bytes_cut", "-"), ("bytes_added", "+")) if details[name]
        ]
        parts.append(", ".join([f"{count(documents)} edited", *by]))
    if edits := details.get("edits", 0):
        parts.append(f"{count(edits)} edits in copies")
    return "; ".join(parts)


def advice(funnel: Funnel) -> list[str]:
    """A sentence on each step that drops more than half of its rows: what it is made for, and how to look into it."""
    sentences = []
    for step in funnel["steps"]:
        if not is_heavy(step):
            continue
        name = step["name"]
        cls = built_in(name.partition("#")[0]) or (Filter if step.get("kind", "filter") == "filter" else Transform)
        if cls.advice is None:
            continue
        lost = losses(step)
        main = max(step["dropped"], key=lambda reason: (step["dropped"][reason], reason))
        text = f"{name} drops {share(lost, step['rows_in'])}, most of them by {main}"
        text += f": {cls.made_for}" if cls.made_for else ""
        sentences.append(f"{text}{cls.advice}.")
    if funnel["rows_in"] and not funnel["rows_out"]:
        sentences.append("No document is left. The snapshot is empty.")
    if not funnel["rows_in"]:
        sentences.append("The sources hold no document.")
    return sentences


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
