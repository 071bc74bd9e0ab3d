"""Datasets for the tests of the pages: hostile texts, edits, packed rows."""

import json
from pathlib import Path

from tests.command import invoke
from tests.corpora import write_recipe, write_tokenizer

EVIL = "<script>document.title='ran'</script><img src=x onerror=\"document.title='ran'\">\"'&{{7*7}}"
CONTROLS = "\x1b[31m\x1b]0;x\x07\u202eevil\u2066\u2028\x00"
PROSE = "The words of document {} are read with care, and they have that which the rules of prose ask for here. "
STEPS = [
    "redact",
    {"paragraphs": {"min_chars": 30}},
    {"gopher-quality": {"min_words": 10, "keep_scores": True}},
    "exact",
    "minhash",
]
NOTE = "This paragraph stands below every second page, and it is the same on each of them, word for word."


def documents() -> list[dict]:
    """Prose in several scripts, near-duplicates, personal data, markup, controls, and one line of 10 MB."""
    long = " ".join(f"the word{i} that have" for i in range(90))
    docs = [{"id": f"https://site{i % 3}.example/{i}", "text": PROSE.format(f"{i} " * 5) * 2} for i in range(12)]
    for i, doc in enumerate(docs):
        doc["text"] += f"\n\n{NOTE}" if i % 2 else f"\n\nWrite to person{i}@example.org, please, or to nobody at all."
    docs += [
        {"id": EVIL + CONTROLS, "text": EVIL + CONTROLS},
        {"id": "kept" + EVIL, "text": PROSE.format(EVIL + CONTROLS) * 2},
        {"id": "hebrew", "text": "שלום עולם, זהו מסמך בעברית עם כמה מילים. " * 6},
        {"id": "chinese", "text": "这是一个很长的中文文档，里面有很多句子。" * 20},
        {"id": "line", "text": "x" * 10_000_000},
        {"id": "wide-" * 80, "text": PROSE.format("unbroken" * 400) * 2},
        {"id": "hashes", "text": ("# # # # the words have that " * 12)},
        {"id": "twin a", "text": long},
        {"id": "twin b", "text": long + " and one more"},
        {"id": "bad", "text": None},
    ]
    return [d | {"license": "CC0" if i % 2 else "MIT<b>"} for i, d in enumerate(docs)]


def hostile(folder: Path) -> Path:
    """A dataset of two snapshots, with a file that no format reads beside its sources."""
    (folder / "raw").mkdir(parents=True)
    (folder / "raw/a.jsonl").write_text("".join(json.dumps(d) + "\n" for d in documents()))
    (folder / "raw/slides.pptx").write_text("?")
    source = {"name": "web<i>".replace("<i>", ""), "path": "raw", "columns": {"id": "id"}, "max_bad_fraction": 0.5}
    recipe = write_recipe(folder, STEPS, sources=[source])
    run(recipe)
    new = {"id": "new", "text": PROSE.format("new") * 4, "license": "MIT"}
    (folder / "raw/b.jsonl").write_text(json.dumps(new) + "\n")
    run(recipe)
    return folder / "out"


def packed(folder: Path) -> Path:
    """A dataset of packed rows, with a training run beside it and a folder of metrics."""
    (folder / "raw").mkdir(parents=True)
    docs = [d for d in documents() if d["text"] and len(d["text"]) < 10_000]
    (folder / "raw/a.jsonl").write_text("".join(json.dumps(d) + "\n" for d in docs))
    write_tokenizer(folder, docs)
    steps = ["exact", {"pack": {"tokenizer": "tokenizer.json", "length": 256}}]
    source = {"name": "web", "path": "raw/*.jsonl", "columns": {"id": "id"}}
    run(write_recipe(folder, steps, sources=[source], output={"path": "out", "format": "arrow"}))
    for name in ("out-model/000001", "other"):
        (folder / name).mkdir(parents=True)
        lines = [{"step": i, "loss": 5 - i / 100} for i in range(1, 300)]
        lines += [{"step": i, "validation_loss": 5.1 - i / 110} for i in range(50, 300, 50)]
        lines.append({"step": 299, "loss": float("nan")})
        (folder / name / "metrics.jsonl").write_text("".join(json.dumps(x) + "\n" for x in lines) + '{"step": 3')
    return folder / "out"


def run(recipe: Path) -> None:
    """Run a recipe, which must go well."""
    done = invoke("run", recipe, "--workers", 1)
    assert done.exit_code == 0, done.output
