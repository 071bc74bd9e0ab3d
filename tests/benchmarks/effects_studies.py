"""What `effects` tests: for each technique, arms that differ in one thing, trained alike on equal numbers of tokens."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from corpusmill.transforms.decontaminate.decontaminate import Decontaminate
from corpusmill.transforms.noise.characters import Characters
from corpusmill.transforms.random import Keyed
from tests.benchmarks.effects_noise import text_noise, token_noise
from tests.benchmarks.effects_runs import BUDGET, LENGTH, STEPS, Arm, Lab, rows_of, stream
from tests.benchmarks.effects_text import corpus, cut_off, of, page_of, prepared, shuffled, typos

WINDOWS = "MicrosoftDocs/windows-driver-docs"


@dataclass(frozen=True)
class Comparison:
    """`arm` minus `against` in `figure`, seed by seed. goal: what it should be at most (at least, for accuracy), if any."""

    arm: str
    against: str
    figure: str
    goal: float | None = None


@dataclass
class Study:
    """One technique: what is claimed, on which text, the arms and how they are compared."""

    name: str
    claim: str
    text: str
    arms: dict[str, Arm] = field(default_factory=dict)
    comparisons: list[Comparison] = field(default_factory=list)
    higher_is_better: bool = False
    notes: list[str] = field(default_factory=list)

    def arm(self, name: str, prepare_seconds: float = 0.0, note: str = "") -> Arm:
        """A new arm."""
        self.arms[name] = Arm(name, prepare_seconds=prepare_seconds, note=note)
        return self.arms[name]


STUDIES: dict[str, Callable[[Lab], Study]] = {}
"""By name, in the order in which they are run and reported."""


Fill = Callable[[Lab, Study], None]


def study_of(name: str, claim: str, text: str, higher_is_better: bool = False) -> Callable[[Fill], Fill]:
    """Lists a study under its name; the function fills it with arms and comparisons."""

    def listed(fill: Fill) -> Fill:
        def made(lab: Lab) -> Study:
            study = Study(name, claim, text, higher_is_better=higher_is_better)
            fill(lab, study)
            return study

        STUDIES[name] = made
        return fill

    return listed


def manual(lab: Lab) -> list[str]:
    """Documents of the biggest manual without near-duplicates, in random order."""
    pool, _ = prepared(lab.out, "pool", {"windows": of(lab.data, WINDOWS).slice(0, 3000)}, ["exact", "minhash"])
    return [t for t in shuffled(pool)["text"].to_pylist() if len(t) > 500]


SIZES = (8, 16, 32, 64, 128)
NOISED = (8, 16, 32)
CONTROLS = (16,)
"""Sizes with the controls: the same copies without noise, and twice the tokens trained on."""


@study_of(
    "noise",
    "Noised inputs smooth a language model that has little data (Xie et al. 2017).",
    f"{WINDOWS} without near-duplicates; 163,840 tokens trained on, whatever the data. Held out: other clusters.",
)
def noise(lab: Lab, study: Study) -> None:
    """Noised copies of small data, and the data multiplier."""
    texts = manual(lab)
    vocabulary = lab.tokenizer("noise", cut_off(texts[60:], 1_000_000))
    held = {"held": rows_of(stream([t[:3000] for t in texts[:60]], vocabulary))}
    tokens = stream(cut_off(texts[60:], 1_000_000), vocabulary)
    for size in SIZES:
        lab.language_model(study.arm(f"plain {size}k"), vocabulary, rows_of(tokens[: size * 1024]), held, looks=6)
    for size in NOISED:
        rows = tokens[: size * 1024]
        began = time.process_time()
        made = token_noise(rows, 8, vocabulary.size)
        cpu = time.process_time() - began
        lab.language_model(study.arm(f"token noise {size}k", cpu), vocabulary, made, held, looks=6)
        if size in CONTROLS:
            lab.language_model(study.arm(f"copies {size}k"), vocabulary, rows_of(rows, 8), held, looks=6)
        noised, cpu = text_noise(lab, vocabulary.tokenizer.decode(rows), 8)
        lab.language_model(
            study.arm(f"text noise {size}k", cpu), vocabulary, rows_of(stream(noised, vocabulary)), held, looks=6
        )
        for figure in ("held", "best"):
            study.comparisons += [
                Comparison(f"{kind} noise {size}k", f"plain {size}k", figure) for kind in ("token", "text")
            ]
    for size in CONTROLS:
        lab.language_model(
            study.arm(f"more {size}k"), vocabulary, rows_of(tokens[: size * 1024]), held, 2 * STEPS, looks=6
        )
        study.comparisons += [
            Comparison(f"text noise {size}k", f"copies {size}k", "held"),
            Comparison(f"copies {size}k", f"plain {size}k", "held"),
            Comparison(f"more {size}k", f"plain {size}k", "held"),
        ]


CUT = 3000
"""Characters of a document that are used where few tokens have to hold many documents."""


@study_of(
    "deduplication",
    "A token of deduplicated text teaches more than a token of raw text (Lee et al. 2022).",
    "PowerShell-Docs: reference pages in up to five versions, page by page: 40,960 tokens of each arm's text (another "
    "part of the manual for each seed), read four times. Held out: whole pages with all versions, scored on one. "
    "`single documents`: files in random order; `same pages`: those of the raw arm, less their duplicates.",
)
def deduplication(lab: Lab, study: Study) -> None:
    """Five versions of one manual."""
    docs = of(lab.data, "MicrosoftDocs/PowerShell-Docs")
    pages = [page_of(p) for p in docs["path"].to_pylist()]
    names = shuffled(pa.table({"id": sorted({p for p in pages if p})}))["id"].to_pylist()
    rank = {page: i for i, page in enumerate(names)}
    held_pages = set(names[:60])
    order = sorted((i for i, p in enumerate(pages) if p), key=lambda i: (rank[pages[i]], docs["path"][i].as_py()))
    newest = {pages[i]: i for i in order if pages[i] in held_pages}
    held_texts = [docs["text"][i].as_py()[:CUT] for i in newest.values()]
    crawl = docs.take(pa.array([i for i in order if pages[i] not in held_pages]))
    crawl = crawl.append_column("page", pa.array([page_of(p) for p in crawl["path"].to_pylist()]))

    crawl = crawl.set_column(crawl.column_names.index("text"), "text", pc.utf8_slice_codeunits(crawl["text"], 0, CUT))
    near, near_cpu = prepared(lab.out, "near", {"crawl": crawl}, ["exact", {"minhash": {"threshold": 0.8}}])
    exact, exact_cpu = prepared(lab.out, "exact", {"crawl": crawl}, ["exact"])
    vocabulary = lab.tokenizer("dedup", cut_off(crawl["text"].to_pylist(), 1_000_000))
    held = {"held": rows_of(stream(held_texts, vocabulary))}
    place = dict(zip(crawl["id"].to_pylist(), range(len(crawl))))
    quarter = BUDGET // 4 // LENGTH * LENGTH

    def samples(table: pa.Table, by_page: bool = True) -> list[np.ndarray]:
        """For each seed the first tokens of the pages from another place on."""
        table = table.take(pa.array(np.argsort([place[i] for i in table["id"].to_pylist()])))
        table = table if by_page else shuffled(table)
        starts = [(seed - 1) * len(crawl) // len(lab.seeds) for seed in lab.seeds]
        at = np.array([place[i] for i in table["id"].to_pylist()])
        begins = [int(np.searchsorted(at, s)) if by_page else s * len(at) // len(crawl) for s in starts]
        texts = table["text"].to_pylist()
        return [stream(texts[begin : begin + 600], vocabulary, quarter) for begin in begins]

    raw = samples(crawl)
    for name, parts, cpu in (
        ("raw", raw, 0.0),
        ("exact", samples(exact), exact_cpu),
        ("near-duplicates", samples(near), near_cpu),
        ("raw, single documents", samples(crawl, by_page=False), 0.0),
    ):
        lab.language_model(study.arm(name, cpu), vocabulary, [rows_of(t) for t in parts], held)
    # the raw arm's own pages without their duplicates, read as many times as it takes
    fewer = []
    for seed, tokens in zip(lab.seeds, raw):
        begin = (seed - 1) * len(crawl) // len(lab.seeds)
        ends = np.cumsum([len(ids) + 1 for ids in vocabulary.encode(crawl["text"].slice(begin, 600).to_pylist())])
        count = int(np.searchsorted(ends, len(tokens))) + 1
        files = crawl.slice(begin, count)
        kept = files.filter(pc.is_in(files["id"], near["id"].combine_chunks()))
        fewer.append(stream(kept["text"].to_pylist(), vocabulary))
        pages_of = len(set(files["page"].to_pylist()))
        said = f"seed {seed}: {pages_of} pages in {count} files, {len(fewer[-1]):,} tokens without near-duplicates"
        study.notes.append(said + ("." if seed == len(lab.seeds) else ";"))
    same = study.arm("same pages, near-duplicates", near_cpu)
    lab.language_model(same, vocabulary, [rows_of(t) for t in fewer], held)
    study.comparisons = [
        Comparison("exact", "raw", "held"),
        Comparison("near-duplicates", "raw", "held", -0.08),
        Comparison("near-duplicates", "raw, single documents", "held"),
        Comparison("same pages, near-duplicates", "raw", "held"),
    ]


BIG = WINDOWS
EVEN = ((BIG, "en"), ("python/peps", "en"), ("pingcap/docs-cn", "zh"), ("swiftlang/swift-evolution", "en"),
        ("rust-lang/book", "en"), ("vuejs/docs", "en"))  # fmt: skip
SCARCE = ((BIG, "en"), ("python/peps", "en"), ("swiftlang/swift-evolution", "en"), ("rust-lang/book", "en"),
          ("tldr-pages/tldr", "ru"), ("tldr-pages/tldr", "zh"))  # fmt: skip


@study_of(
    "mixing",
    "Flatter mixtures help small domains and cost the big ones little (Raffel et al. 2020, section 3.5.2).",
    "Two mixtures of six sources in their natural proportions, without near-duplicates, a fortieth of "
    "each. Held out: other clusters of each. `small foreign domains`: two languages that are little in the whole "
    "are the worst domains, 327,680 tokens; `one big foreign domain`: the worst has a fair share already, 163,840 tokens.",
)
def mixing(lab: Lab, study: Study) -> None:
    """Temperature sampling of six domains."""
    for label, domains, share, steps in (
        ("small foreign domains", SCARCE, 40, 2 * STEPS),
        ("one big foreign domain", EVEN, 40, STEPS),
    ):
        _mixture(lab, study, label, domains, share, steps)


def _mixture(lab: Lab, study: Study, label: str, domains: Any, share: int, steps: int) -> None:
    """The arms of one set of domains."""
    kept: dict[str, pa.Table] = {}
    held_texts: dict[str, list[str]] = {}
    for source, lang in domains:
        short = source.split("/")[1] + ("-" + lang if source.startswith("tldr") else "")
        every = of(lab.data, source, lang if source.startswith("tldr") else None)
        pool, _ = prepared(lab.out, "domain", {short: every.slice(0, 1200)}, ["exact", "minhash"])
        pool = shuffled(pool.filter(pc.greater(pc.binary_length(pool["text"]), 300)))
        held_texts[short] = cut_off(pool["text"].to_pylist(), 50_000)
        size = pc.sum(pc.binary_length(every["text"])).as_py() // share
        rest = pool.slice(len(held_texts[short]))
        rest = pa.table({"id": rest["id"], "text": [t[:3000] for t in rest["text"].to_pylist()]})
        ends = np.cumsum(pc.binary_length(rest["text"]).to_numpy())
        kept[short] = rest.slice(0, int(np.searchsorted(ends, size)) + 1)
    sample = [t for name in kept for t in cut_off(kept[name]["text"].to_pylist(), 60_000)]
    vocabulary = lab.tokenizer("mix", sample, 1024)
    held = {name: rows_of(stream(texts, vocabulary)) for name, texts in held_texts.items()}
    for name, fields in (
        ("natural", {}),
        ("temperature 2", {"temperature": 2.0}),
        ("uniform", {"unimax": True, "max_epochs": 8}),
    ):
        mixed, cpu = prepared(lab.out, "mix", kept, [{"mix": {"shards": 1, **fields}}])
        arm = study.arm(f"{label}: {name}", cpu)
        tokens = stream(mixed["text"].to_pylist(), vocabulary)
        lab.language_model(arm, vocabulary, rows_of(tokens), held, steps)
        if arm.missing:
            continue
        each = np.array([arm.figures[domain] for domain in held])  # [domains, seeds]
        arm.figures |= {"worst": each.max(0).tolist(), "mean": each.mean(0).tolist(), "biggest": each[0].tolist()}
    for name in ("temperature 2", "uniform"):
        study.comparisons += [
            Comparison(f"{label}: {name}", f"{label}: natural", figure, goal)
            for figure, goal in (("worst", -0.10), ("mean", 0.0), ("biggest", None))
        ]
    sizes = ", ".join(f"{n} {pc.sum(pc.binary_length(t['text'])).as_py() / 1e3:,.0f} kB" for n, t in kept.items())
    study.notes.append(f"Sizes of the {label.replace(' domain', '')} mixture: {sizes}.")


@study_of(
    "robustness",
    "Copies with typing errors make a classifier robust to misspelt text (Belinkov and Bisk 2018).",
    "clinc150, the first 30 intents, 100 questions each; an encoder from scratch, one layer, 22,400 questions read. Test: 900 "
    "questions, clean and with a slip in 60 % of their words, made by other code than the copies'.",
    higher_is_better=True,
)
def robustness(lab: Lab, study: Study) -> None:
    """Misspelt questions."""
    labelled = lab.data / "labelled"
    tables = {n: pq.read_table(labelled / f"clinc150-{n}.parquet") for n in ("train", "test")}
    intents = sorted(set(tables["train"]["label"].to_pylist()))[:30]
    small = {n: t.filter(pc.is_in(t["label"], pa.array(intents))) for n, t in tables.items()}
    vocabulary = lab.tokenizer("clinc", small["train"]["text"].to_pylist(), 512)
    test = small["test"]
    misspelt = pa.table({"text": typos(test["text"].to_pylist(), 0.6, 1), "label": test["label"]})
    held = {"clean": test, "misspelt": misspelt}
    train_on = small["train"].select(["id", "text", "label"]).combine_chunks()
    batch = train_on.append_column("source", pa.array(["s"] * len(train_on))).to_batches()[0]
    began = time.process_time()
    step = Characters(keyboard=0.03, swap=0.03, delete=0.03, copies=7)
    noised = pa.Table.from_batches([step.expand(batch, Keyed(1, "characters"))])
    cpu = time.process_time() - began
    for name, table, spent in (
        ("plain", train_on, 0.0),
        ("7 copies", pa.concat_tables([train_on] * 8), 0.0),
        ("7 noised copies", noised, cpu),
    ):
        lab.classifier(study.arm(name, spent), vocabulary, table, held, 700, 4e-3)
    study.comparisons = [
        Comparison("7 noised copies", "plain", "misspelt", 0.06),
        Comparison("7 noised copies", "plain", "clean", -0.01),
        Comparison("7 noised copies", "7 copies", "misspelt"),
        Comparison("7 copies", "plain", "misspelt"),
    ]


@study_of(
    "decontamination",
    "Evaluation items in the training text raise the score on them; taking them out brings the honest score back.",
    f"{WINDOWS} without near-duplicates, 163,840 tokens read once; 60 gsm8k items, re-wrapped and half of them in "
    "capitals, each put into four documents. Figures: bits per byte of the planted items and of 60 that were not planted.",
)
def decontamination(lab: Lab, study: Study) -> None:
    """Evaluation items planted in the training text."""
    texts = [t[:6000] for t in manual(lab)]
    items = pq.read_table(lab.data / "labelled" / "gsm8k.parquet").slice(0, 120).to_pylist()
    shown = [f"{item['question']} {item['answer']}" for item in items]
    planted = lab.out / "planted.jsonl"
    planted.write_text("".join(json.dumps({"id": str(i), "text": t}) + "\n" for i, t in enumerate(shown[:60])))
    rng = np.random.default_rng(1)
    hosts = list(texts)
    for copy in range(4):
        for i, place in enumerate(rng.choice(250, 60, replace=False)):
            wrapped = "\n".join(shown[i].split(". "))
            wrapped = wrapped.upper() if copy % 2 else wrapped
            half = hosts[place].find("\n", len(hosts[place]) // 2) + 1
            hosts[place] = f"{hosts[place][:half]}\n{wrapped}\n{hosts[place][half:]}"
    vocabulary = lab.tokenizer("decontamination", cut_off(texts, 600_000) + shown[60:])
    held = {
        "planted": rows_of(stream(shown[:60], vocabulary)),
        "not planted": rows_of(stream(shown[60:], vocabulary)),
    }
    batch = pa.record_batch({"id": [str(i) for i in range(len(hosts))], "text": hosts, "source": ["s"] * len(hosts)})
    arms: list[tuple[str, Callable[[], list[str]]]] = [("clean", lambda: texts), ("contaminated", lambda: hosts)]
    for action in ("drop", "cut"):
        step = Decontaminate(sets={"gsm8k": str(planted)}, action=action)
        arms.append((action, lambda step=step: step(batch).column("text").to_pylist()))
    for name, make in arms:
        began = time.process_time()
        made = make()
        cpu = time.process_time() - began
        rows = rows_of(stream(made[:1500], vocabulary, BUDGET))
        figures = lab.language_model(study.arm(name, cpu), vocabulary, rows, held).figures
        if figures:
            figures["gap"] = [a - b for a, b in zip(figures["planted"], figures["not planted"])]
    for name in ("contaminated", "drop", "cut"):
        study.comparisons += [Comparison(name, "clean", figure) for figure in (*held, "gap")]
    study.notes.append(
        "Contamination also teaches the kind of text: that part shows on items that were not planted, and `planted less not "
        "planted` is the rest, which is remembered. `drop` also puts other documents in the place of the dropped ones, which moves "
        "both."
    )


@study_of(
    "filtering",
    "Text of the wanted language and quality teaches more than whatever a crawl brings (Rae et al. 2021).",
    "6,000 documents of all sources and 40 languages but rust-lang/book; 327,680 tokens read once. Held out: English "
    "chapters of rust-lang/book, which no rule has seen.",
)
def filtering(lab: Lab, study: Study) -> None:
    """Language and quality rules."""
    table = corpus(lab.data)
    pool = shuffled(table.filter(pc.not_equal(table["source"], "rust-lang/book"))).slice(0, 6000)
    book = of(lab.data, "rust-lang/book", "en")
    book = book.filter(pc.greater(pc.binary_length(book["text"]), 4000))
    held_texts = cut_off(book["text"].to_pylist(), 100_000)
    vocabulary = lab.tokenizer("filter", cut_off(pool["text"].to_pylist(), 2_000_000), 1024)
    held = {"held": rows_of(stream(held_texts, vocabulary))}
    language: dict[str, Any] = {"language": {"keep": ["en"]}}
    arms: list[tuple[str, list[Any]]] = [
        ("raw", []),
        ("English", [language]),
        ("English, gopher rules", [language, "gopher-quality", "gopher-repetition"]),
    ]
    for name, steps in arms:
        kept, cpu = prepared(lab.out, "filter", {"crawl": pool}, steps) if steps else (pool, 0.0)
        texts = cut_off(shuffled(kept)["text"].to_pylist(), 8 * BUDGET)
        arm = study.arm(name, cpu, f"{len(kept):,} of {len(pool):,} documents")
        lab.language_model(arm, vocabulary, rows_of(stream(texts, vocabulary, 2 * BUDGET)), held, 2 * STEPS)
    study.comparisons = [
        Comparison("English", "raw", "held"),
        Comparison("English, gopher rules", "English", "held"),
    ]
