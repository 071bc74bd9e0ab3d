"""Makes the pictures of the ten questions in docs/looking.md: `python -m tests.pipelines.browse.pictures [FOLDER]`.

FOLDER is docs/assets/questions by default.

A small corpus is made and run twice, and again with `mix` and `pack`. A real Chromium then answers the ten questions of the page,
each by at most two clicks.
"""

from __future__ import annotations

import base64
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from tests.browser import browser
from tests.corpora import write_recipe, write_tokenizer
from tests.pipelines.browse.serving import serving
from tests.pipelines.report.hostile import run

ROOT = Path(__file__).parents[3]
SIZE = (1100, 640)
WEB = {"name": "web", "path": "raw/*.jsonl.gz", "columns": {"id": "url"}, "max_bad_fraction": 0.05}
LETTERS = {"name": "letters", "path": "letters.jsonl", "columns": {"id": "id"}}
LETTER = (
    "Dear {who}, the {thing} that you have asked for is with the engine in the old mill, and we have kept it there."
)
FOOT = "\n\nThis letter and what it holds are meant for the reader who is named in it."
READY = "document.querySelector('.rows tbody button')"


def corpus(folder: Path) -> tuple[Path, Path]:
    """A dataset of documents with two snapshots, and one of packed rows."""
    make = [sys.executable, str(ROOT / "examples/make_data.py")]
    subprocess.run([*make, "pages"], cwd=folder, check=True)
    letters = []
    for i in range(60):
        text = "\n\n".join(LETTER.format(who=f"reader {i}", thing=f"book {i * j}") for j in range(1, 5))
        letters.append({"id": f"letter-{i}", "text": f"{text}\n\nAnswer to mill{i}@example.org, please.{FOOT}"})
    (folder / "letters.jsonl").write_text("".join(json.dumps(row) + "\n" for row in letters))
    steps: list[Any] = [
        "clean",
        "redact",
        {"gopher-quality": {"min_words": 60, "keep_scores": True}},
        "exact",
        "minhash",
    ]
    steps.append({"paragraphs": {"min_chars": 40}})
    recipe = write_recipe(folder, steps, name="pages", sources=[WEB, LETTERS])
    run(recipe)
    subprocess.run([*make, "more"], cwd=folder, check=True)
    run(recipe)
    write_tokenizer(folder, letters, 400)
    steps += [
        {"mix": {"weights": {"web": 3, "letters": 1}}},
        {"pack": {"tokenizer": "tokenizer.json", "length": 512}},
    ]
    output = {"path": "rows", "format": "arrow"}
    run(write_recipe(folder, steps, name="rows", sources=[WEB, LETTERS], output=output))
    return folder / "out", folder / "rows"


def pictures(documents: Path, rows: Path, folder: Path) -> None:
    """One picture of each question, as it is answered."""
    with serving(documents, rows) as client, browser() as tab:

        def section(number: int, snapshot: int, name: str, picture: str) -> None:
            tab.open(f"{client.address}report?d={number}&n={snapshot}#{name}", SIZE)
            tab.until(f"document.getElementById({name!r})")
            tab.js(f"document.getElementById({name!r}).scrollIntoView()")
            shot(picture)

        def shot(name: str) -> None:
            data = tab.call("Page.captureScreenshot", format="webp", quality=60)["data"]
            (folder / f"{name}.webp").write_bytes(base64.b64decode(data))

        def view(name: str, ready: str) -> None:
            tab.open(f"{client.address}#{name}", SIZE)
            tab.until(f"location.hash == '#{name}' && ({ready})")

        section(0, 2, "costly", "1-costly")
        tab.click("#costly a")
        tab.until("location.hash && location.hash != '#costly'")
        shot("2-dropped")
        view("thresholds", "document.querySelectorAll('.big strong').length == 4")
        tab.js("""(e => { e.value = [...e.options].findIndex(o => o.text.includes('min_words'));
            e.dispatchEvent(new Event('change')); })(document.querySelector('main select'))""")
        tab.until("document.querySelector('input[type=range]')?.getAttribute('aria-label').startsWith('min_words')")
        tab.js("""(e => { e.value = 620; e.dispatchEvent(new Event('input')); })
            (document.querySelector('input[type=range]'))""")
        tab.until("document.querySelectorAll('.sides pre').length > 3")
        shot("3-threshold")
        view("pairs", READY)
        tab.click(".rows tbody button")
        tab.until("document.querySelector('.detail ins, .detail del')")
        shot("4-pair")
        view("compare", "document.querySelector('main table button')")
        tab.click("main table button")
        tab.until("document.querySelector('.diff ins')")
        tab.js("scrollTo(0, 0)")
        shot("5-compare")
        view("dropped", READY)
        tab.click(".rows tbody button")
        tab.until("document.querySelector('.detail .graph')")
        shot("6-document")
        section(0, 2, "edits", "8-edits")
        view("quarantine", "document.querySelector('.rows tbody tr')")
        shot("9-quarantine")
        section(1, 1, "mixture", "10-mixture")
        tab.open(client.address, SIZE)
        tab.until(READY)
        tab.js("(e => { e.value = 1; e.dispatchEvent(new Event('change')); })(document.getElementById('dataset'))")
        tab.until(
            "document.querySelector('#dataset').value == '1' && document.querySelector('#name').textContent == 'rows'"
        )
        tab.until(READY)
        tab.click(".rows tbody button")
        tab.until("document.querySelector('.detail .piece')")
        shot("7-row")


if __name__ == "__main__":
    into = Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "docs/assets/questions"
    into.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as made:
        pictures(*corpus(Path(made)), into)
