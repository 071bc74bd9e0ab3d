"""The output of `corpusmill plan`."""

from __future__ import annotations

from typing import Any

from corpusmill.pipelines.report.terminal import Cell, Column, bar, styled, table
from corpusmill.pipelines.wording import count, share, size, some


def render(plan: dict[str, Any]) -> str:
    """The stages of a dry run, what they reuse, and the input and memory of the run."""
    rows: list[list[Cell | str]] = []
    for stage in plan["stages"]:
        tasks, reused = stage["tasks"], stage["reused"]
        todo = None if tasks is None else tasks - reused
        style = "dim" if todo == 0 else ""
        rows.append(
            [
                Cell(stage["name"], style),
                count(tasks),
                count(reused) if tasks else "",
                count(todo),
                size(stage["bytes"]),
                Cell(stage["reason"], "dim"),
            ]
        )
    right = [Column(title, right=True) for title in ("tasks", "reused", "to do", "input")]
    lines = [table(["stage", *right, "why"], rows), ""]
    if plan["documents"] is not None:
        lines.append(f"documents  {count(plan['documents'])}")
    lines.append(f"input      {size(plan['bytes'])} in {some(plan['splits'], 'split')}")
    lines.append(f"memory     about {size(plan['memory'])} at most")
    if plan["nothing_new"]:
        lines.append(styled("Nothing new: `run` would commit nothing and exit with 3.", "good"))
    else:
        lines += [f"because    {change}" for change in plan["changes"]]
    return "\n".join(lines)


def render_what_if(rows: list[dict[str, Any]]) -> str:
    """For each rule, what the step would keep at several limits. The recipe's limit is marked."""
    if not rows:
        return "No scores were kept. Set `keep_scores: true` on a filter and run the recipe once."
    cells: list[list[Cell | str]] = []
    previous: tuple[str, str] | None = None
    for row in rows:
        rule = (row["step"], row["rule"])
        style = "head" if row["current"] else ""
        name = f"{row['step']}.{row['rule']}" if rule != previous else ""
        previous = rule
        numbers = [f"{row['limit']:g}", count(row["documents"]), share(row["share"], 1), size(row["bytes"])]
        cells.append(
            [
                name,
                *(Cell(n, style) for n in numbers),
                Cell("<- now" if row["current"] else bar(row["share"], 1), "good"),
            ]
        )
    right = [Column(title, right=True) for title in ("limit", "documents", "kept", "text")]
    return (
        table(["rule", *right, ""], cells)
        + "\n\nEach row changes one limit and keeps the other rules. Nothing was run."
    )
