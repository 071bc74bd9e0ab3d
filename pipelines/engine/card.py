"""The dataset card: README.md, whose YAML lists the newest snapshot's shards for `datasets.load_dataset(DIR)`."""

from __future__ import annotations

from corpusmill.pipelines.dataset.apart import once_each
from corpusmill.pipelines.dataset.origins import section as origins
from corpusmill.pipelines.dataset.packed import packing
from corpusmill.pipelines.recipe.released import section
from corpusmill.pipelines.wording import some
from corpusmill.transforms.manifest import Manifest

_SIZES = ((1_000, "n<1K"), (10_000, "1K<n<10K"), (100_000, "10K<n<100K"), (1_000_000, "100K<n<1M"), (10**7, "1M<n<10M"))


def readme(manifest: Manifest) -> str:
    """Markdown with a YAML head, a pure function of the manifest."""
    files = [f["path"] for f in manifest["files"]]
    listing = "\n".join(f"    - {path}" for path in files) or "    []"
    size = next((label for top, label in _SIZES if manifest["documents"] < top), "n>10M")
    recipe = manifest["recipe"]
    form = "parquet" if recipe["output"]["format"] == "parquet" else "arrow"
    head = f"""---
pretty_name: {manifest["name"]}
size_categories:
- {size}
configs:
- config_name: default
  data_files:
  - split: train
    path:
{listing}
---
"""
    rows = "\n".join(
        f"| {s['name']} | {s['rows_in']:,} | {s['rows_out']:,} | "
        f"{', '.join(f'{_cell(k)} {v:,}' for k, v in s['dropped'].items()) or '–'} |"
        for s in manifest["funnel"]["steps"]
    )
    sources = "\n".join(
        f"| {s['name']} | {s['rows']:,} | {s['bytes']:,} | {s['quarantined']:,} |"
        for s in manifest["funnel"]["sources"]
    )
    columns = ", ".join(f"`{f['name']}` {f['type']}" for f in manifest["schema"])
    mixed = _mixture(manifest)
    glob = f"data/*.{form}"
    return f"""{head}
# {manifest["name"]}

Snapshot {manifest["number"]}: {_content(manifest)} in {some(len(files), "shard")}.
Columns: {columns}.

{section(manifest.get("privacy", {}))}## How to read it

No code of corpusmill is needed. The list above, and `files` in `snapshots/{manifest["number"]:06d}.json`, name this
snapshot's shards; `{glob}` may hold shards of older snapshots, too, once there are several.

```python
import datasets, json, pyarrow.dataset, polars, duckdb

train = datasets.load_dataset("DIR", split="train")                    # obeys the list above

files = [f"DIR/{{f['path']}}" for f in json.load(open("DIR/snapshots/{manifest["number"]:06d}.json"))["files"]]
table = pyarrow.dataset.dataset(files, format="{"parquet" if form == "parquet" else "ipc"}").to_table()
{"frame = polars.read_parquet(files)" if form == "parquet" else "frame = polars.read_ipc(files)"}
{"rows = duckdb.read_parquet(files)" if form == "parquet" else "rows = duckdb.from_arrow(table)"}
```

## Where it comes from

| source | rows | bytes of text | quarantined |
|---|---|---|---|
{sources}

{origins(manifest.get("origins"))}| step | rows in | rows out | dropped, by rule |
|---|---|---|---|
{rows}

{mixed}What was dropped stands in `dropped/`, row by row with step, reason, value and survivor; `corpusmill why DIR ID` reads it.
Made by corpusmill from recipe {manifest["recipe_digest"]}; `SHA256SUMS` covers every file of the snapshot.
"""


def _mixture(manifest: Manifest) -> str:
    """The mixture as asked, planned and written, or nothing."""
    if not manifest.get("mixture"):
        return ""
    rows = "\n".join(
        f"| {_cell(m['domain'])} | {m['size']:,} | {m['epochs']:.3f} | {m['asked_share']:.2%} | {m['planned_share']:.2%} | "
        f"{m['realised_share']:.2%} | {m['realised_size']:,} |"
        for m in manifest["mixture"]
    )
    unit = manifest["mixture"][0]["unit"]
    head = f"| domain | {unit} | epochs | asked | planned | realised | {unit} |"
    beside = "".join(f"Not counted here: {a}.\n\n" for s in manifest["funnel"]["steps"] if (a := once_each(s)))
    return f"{head}\n|---|---|---|---|---|---|---|\n{rows}\n\n{beside}"


def _content(manifest: Manifest) -> str:
    """What a snapshot holds, in figures."""
    packed = packing(manifest)
    if packed is None:
        return f"{some(manifest['documents'], 'document')}, {some(manifest['bytes'], 'byte')} of text"
    return (
        f"{manifest['documents']:,} rows of {packed['tokens']:,} tokens ({packed['waste']:.2%} padding) from "
        f"{packed['packed']:,} documents, of which {packed['cut_share']:.2%} are cut, by the tokenizer of SHA-256 "
        f"{packed['tokenizer']},"
    )


def _cell(text: str) -> str:
    return text.replace("|", "\\|")
