"""Writes small made-up corpora for the examples: `python ../make_data.py KIND` in a folder of the examples.

pages   raw/pages-*.jsonl.gz: web pages with duplicates, near-duplicates, buttons, capitals and one damaged line
more    raw/pages-late.jsonl.gz: what a second night brings
calls   private/calls.parquet: short requests of callers, with labels
"""

import gzip
import json
import random
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

NOUNS = "river mountain garden window letter market engine harvest lantern island forest bridge kitchen journey teacher".split()
VERBS = "finds leaves keeps opens follows builds watches carries draws mends".split()
PLACES = "near the old mill, behind the station, at the edge of town, by the sea, under the bridge".split(", ")
INTENTS = {
    "card": "my card is not working",
    "transfer": "the transfer has not arrived",
    "limit": "please raise my limit",
}


def sentence(rng: random.Random) -> str:
    """An English sentence of 15 to 20 words."""
    subject, thing, other = rng.sample(NOUNS, 3)
    return (
        f"The {subject} {rng.choice(VERBS)} the {thing} {rng.choice(PLACES)}, and that is what people of the {other} have "
        f"said of it for {rng.randint(2, 99)} years."
    )


def page(rng: random.Random) -> str:
    """A page of prose, with the buttons that pages have."""
    paragraphs = [" ".join(sentence(rng) for _ in range(rng.randint(2, 4))) for _ in range(rng.randint(2, 5))]
    return "\n\n".join([*paragraphs, "Share this page", f"{rng.randint(2, 900)} likes"])


def pages(first: int, count: int, seed: int) -> list[dict[str, str]]:
    """Pages, every eighth a copy of an earlier one, every ninth an edited copy, every tenth too short."""
    rng = random.Random(seed)
    rows: list[dict[str, str]] = []
    for number in range(first, first + count):
        text = page(rng)
        if rows and number % 8 == 0:
            text = rng.choice(rows)["text"]
        elif rows and number % 9 == 0:
            text = rng.choice(rows)["text"].replace("likes", "people like this", 1)
        elif number % 10 == 0:
            text = "Click here. BUY NOW."
        rows.append({"url": f"https://example.org/{number}", "text": text})
    return rows


def write_pages(path: Path, rows: list[dict[str, str]], damaged: bool) -> None:
    """The rows as gzipped JSON lines; the last line is cut off if `damaged`."""
    path.parent.mkdir(exist_ok=True)
    lines = [json.dumps(row) for row in rows]
    with gzip.open(path, "wt", encoding="utf-8") as file:
        file.write("\n".join([*lines, lines[0][:40]] if damaged else lines) + "\n")


def write_calls(path: Path) -> None:
    """Requests of 60 callers, one to eight each."""
    rng = random.Random(3)
    rows = []
    for caller in range(60):
        for number in range(rng.randint(1, 8)):
            intent = rng.choice(list(INTENTS))
            text = f"Hello, {INTENTS[intent]} since {rng.randint(2, 20)} days, could you help?"
            rows.append({"id": f"{caller}-{number}", "caller": f"c{caller}", "text": text, "intent": intent})
    path.parent.mkdir(exist_ok=True)
    pq.write_table(pa.Table.from_pylist(rows), path)


def main(kind: str) -> None:
    """Write one kind of corpus."""
    if kind == "pages":
        for number in range(3):
            rows = pages(100 * number, 100, number)
            write_pages(Path(f"raw/pages-{number}.jsonl.gz"), rows, damaged=number == 2)
    elif kind == "more":
        write_pages(Path("raw/pages-late.jsonl.gz"), pages(300, 40, 1), damaged=False)
    elif kind == "calls":
        write_calls(Path("private/calls.parquet"))
    else:
        raise SystemExit(f"{kind}: there are pages, more and calls")


if __name__ == "__main__":
    main(*sys.argv[1:])
