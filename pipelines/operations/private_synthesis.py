"""Writes private synthetic text: a public model writes, a snapshot's private documents vote, and the ledger pays for the votes.

    OUT               rows of id, text, label and origin (JSON lines): a source for a recipe
    OUT.guarantee     what it guarantees (`corpusmill.privacy.synthetic.note`)
    OUT.secret        while it runs: a run that was stopped goes on with the same votes, and pays once

The method is private evolution (`corpusmill.privacy.synthetic.evolution`). Vectors of texts come from a public model, or are word
vectors of the seeds and of what the model wrote first.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from corpusmill.pipelines.dataset.snapshot import Dataset
from corpusmill.pipelines.recipe.certify import of_snapshot
from corpusmill.pipelines.recipe.judge import judge_model
from corpusmill.privacy.accounting import Event, noise_of
from corpusmill.privacy.certification import Certification, learned_from, private_paths, private_sources
from corpusmill.privacy.guarantee import Guarantee, of_run
from corpusmill.privacy.ledger import Ledger
from corpusmill.privacy.secret import Secret
from corpusmill.privacy.synthetic import note
from corpusmill.privacy.synthetic.evolution import Evolution, evolve
from corpusmill.privacy.synthetic.votes import Voters
from corpusmill.privacy.units import DOCUMENT, UNIT, Units, names_of
from corpusmill.transforms.embed.opened import embed_with
from corpusmill.transforms.embed.vectors import train
from corpusmill.transforms.errors import DatasetError, PrivacyError, RecipeError
from corpusmill.transforms.generate.generate import SYNTHETIC
from corpusmill.transforms.generate.model import Request, Sampling, ask, digest_of, open_model
from corpusmill.transforms.generate.prompts import STYLES, beginning, fill, rephrase
from corpusmill.transforms.hashing import hash_text
from corpusmill.transforms.random import draw_array
from corpusmill.transforms.shards import read_shard
from corpusmill.transforms.sources.items import read_items
from corpusmill.transforms.storage import write_atomic

DIMS = 256


@dataclass(frozen=True)
class Synthesis:
    """How text is written. seeds: a public file of `text`, and `label` where private documents have one; template: the prompt of a
    seed. keep, variations, rounds: as `Evolution`. vary: go on from the first words of a text, or ask for another wording."""

    model: str
    seeds: str
    template: str = "{text}\n\n"
    keep: int = 40
    variations: int = 3
    rounds: int = 4
    vary: Literal["continue", "rephrase"] = "continue"
    vectors: str = ""
    label: str = ""
    seed: int = 0
    max_tokens: int = 64
    temperature: float = 1.0


def synthesize(
    dataset: Dataset, number: int | None, how: Synthesis, out: str, epsilon: float, ledger: Ledger
) -> dict[str, Any]:
    """Write the texts. Returns {texts, epsilon, sigma, guarantee}.

    epsilon: what the ledger may stand at afterwards.

    Raises:
        PrivacyError: a step of the snapshot lets one unit change the documents of others; the model saw private text without a
            guarantee; or a run of other settings was stopped here.
        BudgetError: the ledger cannot pay. No private text has been read then.
        RecipeError, DatasetError: a column, a file or a model is missing; OUT is there already.
    """
    if os.path.exists(out):
        raise DatasetError(f"{out}: is there already. Name another file: each run spends its own budget.")
    manifest, budget = dataset.manifest(number), ledger.budget
    unit = str(budget["unit"])
    certification = of_snapshot(Path(dataset.path), manifest["number"], unit)
    certification.require("synthesized from")
    base = _public(how, certification)
    if hidden := certification.copy_of(how.seeds) or ", ".join(learned_from(how.seeds)):
        raise PrivacyError(
            f"{how.seeds}: seeds are shown to the model as they are, and this file is private: {hidden}."
        )
    certification.assume(f"{how.seeds} is public, and so are the settings of this run")
    seeds, labels = _seeds(how)
    event = Event(kind="gaussian", sigma=1.0, count=how.rounds)
    secret, known = _secret(out, how, manifest)
    mine = [e for line, e, _ in ledger.entries() if known and line.get("run") == secret.name]
    before = [e for line, e, _ in ledger.entries() if line.get("run") != secret.name]
    sigma = mine[0].sigma if mine else noise_of(event, epsilon, budget["delta"], before, ledger.accountant)
    plan = Evolution(how.keep, how.variations, how.rounds, sigma)
    spend = ledger.reserve(
        secret.name,
        plan.event(),
        f"votes on synthetic text, snapshot {manifest['number']}",
        unit,
        at_most=epsilon,
        token=secret.token,
        sources=private_paths(dataset.path, manifest["number"]),
    )
    guarantee = of_run(ledger, secret.name, certification, base)
    key = hash_text(f"{how.seed}\0private evolution")
    write, first = _writer(how, seeds), seeds["text"].to_pylist()
    written = write(
        list(range(len(seeds))) * 4, [""] * 4 * len(seeds), draw_array(np.arange(4 * len(seeds), dtype=np.uint64), 0)
    )
    embed = _embedder(how, first + written)
    names, voters = _voters(dataset, manifest, how, labels, unit, embed)
    texts, whose = evolve(plan, names, write, embed, voters, secret, key)
    _save(out, how, texts, [labels[i] for i in whose.tolist()])
    spend.close(how.rounds)
    guarantee = of_run(ledger, secret.name, certification, base)
    note.write(out, guarantee)
    for file in (_key_file(out), _use_file(out)):
        file.unlink(missing_ok=True)
    return {
        "texts": len(texts),
        "epsilon": ledger.spent(),
        "sigma": sigma,
        "guarantee": guarantee.model_dump(mode="json"),
    }


def _public(how: Synthesis, certification: Certification) -> list[Guarantee]:
    """The guarantees of the models that write and embed. Raises PrivacyError where one saw private text without any."""
    found = []
    for spec in filter(None, (how.model, how.vectors)):
        found += [Guarantee.model_validate(one) for one in judge_model(spec, "synthesis", certification)]
    certification.require("synthesized from")
    return found


def _seeds(how: Synthesis) -> tuple[pa.Table, list[str | None]]:
    """The table of seeds, and the label of each."""
    seeds = read_items(how.seeds).table
    for column in ("text", *([how.label] if how.label else [])):
        if column not in seeds.column_names:
            raise RecipeError(f"{how.seeds}: has no column `{column}`; it has {', '.join(seeds.column_names)}.")
    if not len(seeds):
        raise RecipeError(f"{how.seeds}: holds no seed. Give one row a kind of text.")
    labels = seeds[how.label].cast(pa.string()).to_pylist() if how.label else [None] * len(seeds)
    return seeds, labels


def _writer(how: Synthesis, seeds: pa.Table) -> Callable[[Sequence[int], Sequence[str], np.ndarray], list[str]]:
    """What asks the model for new texts, and for variations of texts."""
    prompts = [fill(how.template, row) for row in seeds.to_pylist()]
    model, sampling = open_model(how.model), Sampling(how.max_tokens, how.temperature)

    def write(whose: Sequence[int], texts: Sequence[str], keys: np.ndarray) -> list[str]:
        asked, begins = [], []
        for seed, text, key in zip(whose, texts, keys.tolist(), strict=True):
            begin, prompt = "", prompts[seed]
            if text and how.vary == "rephrase":
                prompt = rephrase(text, tuple(STYLES), key)
            elif text:  # from none to all but one of its words stay
                kept = key % max(1, len(text.split()))
                begin = beginning(text, kept) + " " if kept else ""
                prompt += begin
            begins.append(begin)
            asked.append(Request(prompt, key, "", sampling))
        answers = ask(model, asked)
        return [(begin + answer).strip() for begin, answer in zip(begins, answers, strict=True)]

    return write


def _embedder(how: Synthesis, public: list[str]) -> Callable[[Sequence[str]], np.ndarray]:
    """What gives texts vectors: a model of the user's, or word vectors of public text."""
    if how.vectors:
        return lambda texts: embed_with(how.vectors, pa.array(list(texts), pa.string()))
    words = train(pa.array(public, pa.string()), DIMS)
    return lambda texts: words.embed(pa.array(list(texts), pa.string()))


def _voters(
    dataset: Dataset,
    manifest: Mapping[str, Any],
    how: Synthesis,
    labels: list[str | None],
    unit: str,
    embed: Callable[[Sequence[str]], np.ndarray],
) -> tuple[np.ndarray, Voters]:
    """(the number of each seed's label, the private rows)."""
    names = [field["name"] for field in manifest["schema"]]
    for column in ("text", *([how.label] if how.label else [])):
        if column not in names:
            raise RecipeError(f"{dataset.path}: documents have no column `{column}`; they have {', '.join(names)}.")
    hidden = private_sources(manifest)
    wanted = {"id", "text", "source", "parent", UNIT, how.label, *([] if unit == DOCUMENT else [unit])}
    tables, vectors = [], []
    for file in manifest["files"]:
        for batch in read_shard(os.path.join(dataset.path, file["path"]), [n for n in names if n in wanted]):
            kept = batch.filter(pc.is_in(batch.column("source"), pa.array(hidden, pa.string()))) if hidden else batch
            vectors.append(embed(kept.column("text").fill_null("").to_pylist()))
            tables.append(pa.Table.from_batches([kept]).drop_columns(["text"]))
    if not sum(map(len, tables)):
        raise DatasetError(f"{dataset.path}: snapshot {manifest['number']} holds no private documents.")
    known = list(dict.fromkeys(labels))
    number = np.array([known.index(label) for label in labels])
    if how.label:
        column = pa.concat_tables(tables)[how.label].cast(pa.string())
        of_row = pc.index_in(column, pa.array(known, pa.string())).fill_null(-1).to_numpy().astype(np.int64)
    else:
        of_row = np.zeros(sum(map(len, tables)), np.int64)
    return number, Voters(np.concatenate(vectors), of_row, Units.of(names_of(tables, unit)))


def _secret(out: str, how: Synthesis, manifest: Mapping[str, Any]) -> tuple[Secret, bool]:
    """(the run's secret, whether it was begun before). Raises PrivacyError where it was begun over something else."""
    about = {"how": vars(how), "model": digest_of(how.model), "data": manifest["digest"]}
    digest = hashlib.sha256(json.dumps(about, sort_keys=True).encode() + Path(how.seeds).read_bytes()).hexdigest()
    if not _key_file(out).exists():
        Path(out).absolute().parent.mkdir(parents=True, exist_ok=True)
        secret = Secret()
        write_atomic(str(_use_file(out)), f"{secret.name} {secret.seal(digest)}\n".encode())
        secret.save(_key_file(out))
        return secret, False
    secret = Secret.load(_key_file(out))
    begun = _use_file(out).read_text(encoding="utf-8") if _use_file(out).exists() else ""
    if begun != f"{secret.name} {secret.seal(digest)}\n":
        raise PrivacyError(
            f"{out}: a run was stopped here that had other settings, models or data. Its noise would be on other votes, and the "
            "difference of the two has none. Repeat it as it was; or name another file, which spends its budget anew."
        )
    return secret, True


def _key_file(out: str) -> Path:
    return Path(f"{out}.secret")


def _use_file(out: str) -> Path:
    return Path(f"{out}.secret.use")


def _save(out: str, how: Synthesis, texts: list[str], labels: list[str | None]) -> None:
    """The texts as JSON lines, whole or not at all."""
    lines = []
    for text, label in zip(texts, labels, strict=True):
        row: dict[str, Any] = {"id": f"{hash_text(str(label) + chr(0) + text):016x}", "text": text, "origin": SYNTHETIC}
        lines.append(json.dumps(row | ({how.label: label} if how.label else {}), ensure_ascii=False))
    write_atomic(out, ("\n".join(lines) + "\n").encode())
