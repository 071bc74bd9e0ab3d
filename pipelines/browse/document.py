"""One document: its text, what happened to it, and what it is made of and what is made of it, as a graph."""

from __future__ import annotations

import os
from typing import Any

from corpusmill.pipelines.browse.tables import FILE, ROW, Table, Tables
from corpusmill.pipelines.operations import examples
from corpusmill.pipelines.operations.lineage import stored
from corpusmill.pipelines.operations.manifest_steps import masked
from corpusmill.pipelines.operations.packed_examples import decoded, tokenizer_of
from corpusmill.pipelines.operations.training_runs import of_snapshot
from corpusmill.pipelines.report.document import rule, sentence
from corpusmill.pipelines.wording import clean, printable
from corpusmill.transforms.shards import read_shard

CHARACTERS = 200_000
"""Of a text that is shown."""
SEARCHED = 64 << 20
"""Bytes of the sources that are read in search of the text of a dropped document."""
MANY = 12
"""Neighbours of one kind in the graph."""


def document(cursor: Any, tables: Tables, name: str, with_text: bool = True) -> dict[str, Any]:
    """id, outcome, sentences, text (or ""), columns, and the graph."""
    found = history(cursor, tables, name)
    sentences = []
    for event in found["history"]:
        sentences.append(printable(sentence(event)))
        if event["outcome"] == "dropped":
            sentences += [printable(line) for line in rule(tables.manifest, event)]
    answer: dict[str, Any] = {"id": printable(name), "outcome": found["outcome"], "sentences": sentences}
    answer["graph"] = graph(tables, name, found)
    answer["columns"] = {printable(k): printable(str(v)) for k, v in found.pop("columns", {}).items()}
    answer["text"], answer["where"], answer["pieces"] = "", "", []
    if found["outcome"] == "row":
        answer["pieces"] = _row(tables, found)
    elif with_text:
        text = texts(cursor, tables, [name]).get(name)
        if text is not None:
            answer["text"], answer["where"] = clean(text.text[:CHARACTERS]), printable(f"row {text.row} of {text.file}")
    return answer


def history(cursor: Any, tables: Tables, name: str) -> dict[str, Any]:
    """What `Dataset.why` says, asked of the tables: outcome, history, survivor_of, columns."""
    steps = [s["name"] for s in tables.manifest["funnel"]["steps"]]
    found: dict[str, Any] = {"id": name, "outcome": "unknown", "history": [], "survivor_of": []}
    dropped = tables.tables.get("dropped")
    if dropped is not None:
        for row in _all(cursor, f"SELECT * EXCLUDE ({FILE}, {ROW}) FROM {dropped.sql} WHERE id = ?", name):
            passed = steps[: steps.index(row["step"])] if row["step"] in steps else []
            found["outcome"] = "dropped"
            found["history"].append({"outcome": "dropped", "passed": passed, **row})
        stands = f"SELECT id, step, value FROM {dropped.sql} WHERE survivor = ? LIMIT 200"
        found["survivor_of"] = _all(cursor, stands, name)
    documents = tables.tables.get("documents")
    if documents is not None:
        _kept(cursor, tables, documents, name, steps, found)
    rows = tables.tables.get("rows")
    if rows is not None and "documents" in rows.columns:
        _packed(cursor, rows, name, steps, found)
    return found


def _kept(cursor: Any, tables: Tables, table: Table, name: str, steps: list[str], found: dict[str, Any]) -> None:
    place = f", {FILE}, {ROW}" if table.placed else ""
    for row in _all(cursor, f"SELECT * EXCLUDE (text), strlen(text) AS _bytes FROM {table.sql} WHERE id = ?", name):
        event = {k: row[k] for k in ("parent", "derived_by", "epoch") if row.get(k) is not None}
        file, number = _short(tables, row.pop(FILE, "")), row.pop(ROW, -1)
        event |= {"source": row["source"], "passed": steps, "bytes": row.pop("_bytes"), "file": file, "row": number}
        found["outcome"], found["columns"] = "kept", row
        found["history"].append({"outcome": "kept", **event})
    if "parent" in table.columns:
        query = f"SELECT id, derived_by{place} FROM {table.sql} WHERE parent = ? LIMIT 200"
        for row in _all(cursor, query, name):
            child = {"outcome": "derived", "child": row["id"], "derived_by": row["derived_by"]}
            found["history"].append({**child, "file": os.path.basename(row.get(FILE, ""))})


def _packed(cursor: Any, table: Table, name: str, steps: list[str], found: dict[str, Any]) -> None:
    query = (
        f"SELECT id, list_filter(documents, lambda d: d.id = ?) AS pieces FROM {table.sql} "
        "WHERE len(list_filter(documents, lambda d: d.id = ?)) > 0 LIMIT 200"
    )
    for row in _all(cursor, query, name, name):
        for piece in row["pieces"]:
            place = {k: piece[k] for k in ("start", "length", "offset")}
            event = {"outcome": "packed", "in": row["id"], "row": None, "file": "", "passed": steps[:-1]}
            found["outcome"] = "packed"
            found["history"].append({**event, **place})
    for row in _all(cursor, f"SELECT * FROM {table.sql} WHERE id = ?", name):
        found["outcome"], found["row"] = "row", row
        documents = row["documents"]
        event = {
            "outcome": "row",
            "row": row.get(ROW),
            "file": os.path.basename(row.get(FILE, "")),
            "documents": documents,
        }
        found["history"].append(event)


def _row(tables: Tables, found: dict[str, Any]) -> list[dict[str, Any]]:
    """The pieces of a packed row as text."""
    tokenizer, problem = tokenizer_of(tables.reader, tables.manifest)
    if tokenizer is None or tables.private:
        return [{"id": "", "text": printable(problem), "tokens": 0}]
    pieces = decoded(found["row"], tokenizer).pieces
    return [{"id": printable(p.id), "text": clean(p.text[:CHARACTERS]), "tokens": p.tokens} for p in pieces]


def texts(cursor: Any, tables: Tables, names: list[str], sources: bool = True) -> dict[str, examples.Text]:
    """The texts of a few documents: from the shards, else (`sources`) from the sources, redacted where the recipe redacts."""
    documents = tables.tables.get("documents")
    found: dict[str, examples.Text] = {}
    wanted = [n for n in dict.fromkeys(names) if n]
    if documents is not None and documents.placed and wanted:
        marks = ", ".join("?" for _ in wanted)
        query = f"SELECT id, text, {FILE}, {ROW} FROM {documents.sql} WHERE id IN ({marks})"
        for row in _all(cursor, query, *wanted):
            found[row["id"]] = examples.Text(row["text"] or "", _short(tables, row[FILE]), row[ROW])
    elif documents is not None and wanted:
        for file in tables.manifest["files"]:
            for batch in read_shard(os.path.join(tables.reader.path, file["path"]), ["id", "text", "source"]):
                for row in batch.to_pylist():
                    if row["id"] in wanted and row["source"] not in tables.private:
                        found[row["id"]] = examples.Text(row["text"] or "", file["path"], 0)
    missing = [n for n in wanted if n not in found]
    if missing and sources and not tables.private:
        manifest = {**tables.manifest, "files": []}
        found |= examples.texts(tables.reader, manifest, missing, SEARCHED)  # type: ignore[arg-type]
    return masked(tables.reader, tables.manifest, found)


def graph(tables: Tables, name: str, found: dict[str, Any]) -> dict[str, Any]:
    """nodes {id, label, kind, column, _id of documents} and edges [from, to, label].

    Columns go from what a document is made of to what is made of it.
    """
    nodes: dict[str, dict[str, Any]] = {}
    edges: list[list[str]] = []

    def add(key: str, label: str, kind: str, column: int) -> str:
        node = {"id": str(len(nodes)), "label": printable(label), "kind": kind, "column": column}
        nodes.setdefault(key, node | ({"_id": key[2:]} if key[:2] == "d:" else {}))
        return key

    me = add("me", name, found["outcome"], 2)
    for event in found["history"]:
        if event.get("source") and event["outcome"] in ("kept", "dropped"):
            edges.append([add(f"s:{event['source']}", event["source"], "source", 0), me, ""])
        if event.get("parent"):
            edges.append(
                [add(f"d:{event['parent']}", event["parent"], "document", 1), me, _transform(event.get("derived_by"))]
            )
        if event.get("survivor"):
            edges.append(
                [me, add(f"d:{event['survivor']}", event["survivor"], "survivor", 3), f"{event['step']}: duplicate of"]
            )
        elif event["outcome"] == "dropped":
            edges.append([me, add(f"x:{event['step']}", event["step"], "dropped", 3), event["reason"]])
        if event["outcome"] == "derived":
            edges.append([me, add(f"d:{event['child']}", event["child"], "copy", 3), _transform(event["derived_by"])])
        if event["outcome"] == "packed":
            edges.append([me, add(f"d:{event['in']}", event["in"], "row", 3), f"{event['length']:,} tokens"])
        if event["outcome"] == "row":
            for piece in event["documents"]:
                edges.append([add(f"d:{piece['id']}", piece["id"], "document", 1), me, f"{piece['length']:,} tokens"])
    for duplicate in found["survivor_of"]:
        edges.append(
            [add(f"d:{duplicate['id']}", duplicate["id"], "duplicate", 1), me, f"{duplicate['step']}: duplicate"]
        )
    if found["outcome"] in ("kept", "packed", "row"):
        number = tables.manifest["number"]
        snapshot = add("snapshot", f"snapshot {number}", "snapshot", 4)
        edges.append([me, snapshot, ""])
        for path in made_from(tables):
            edges.append([snapshot, add(f"m:{path}", path, "made", 5), ""])
    return _limited(nodes, edges)


def made_from(tables: Tables) -> list[str]:
    """Paths of models, exports and datasets that are known to be made from the snapshot."""
    number = tables.manifest["number"]
    known = {p for p, e in stored(tables.reader.path).derived.items() if number in e.get("snapshots", [])}
    known |= {run.path for run in of_snapshot(tables.reader, tables.manifest)}
    return sorted(known)


def _limited(nodes: dict[str, dict[str, Any]], edges: list[list[str]]) -> dict[str, Any]:
    """At most MANY nodes of each column; what is left out is counted in one node."""
    kept: dict[str, dict[str, Any]] = {}
    for column in range(6):
        mine = [k for k, n in nodes.items() if n["column"] == column]
        kept |= {k: nodes[k] for k in mine[:MANY]}
        if len(mine) > MANY:
            key = f"more:{column}"
            kept[key] = {"id": key, "label": f"{len(mine) - MANY:,} more", "kind": "more", "column": column}
    shown = [[nodes[a]["id"], nodes[b]["id"], label] for a, b, label in edges if a in kept and b in kept]
    return {"nodes": list(kept.values()), "edges": shown}


def _transform(derived_by: Any) -> str:
    """The name in `derived_by`, which is JSON of the step's class and parameters."""
    import json

    try:
        return printable(str(json.loads(derived_by)["transform"]))
    except (ValueError, KeyError, TypeError):
        return printable(str(derived_by or ""))[:40]


def _short(tables: Tables, file: str) -> str:
    return os.path.relpath(file, tables.reader.path) if file.startswith(tables.reader.path) else file


def _all(cursor: Any, query: str, *parameters: Any) -> list[dict[str, Any]]:
    done = cursor.execute(query, list(parameters))
    names = [d[0] for d in done.description]
    return [dict(zip(names, row, strict=True)) for row in done.fetchall()]
