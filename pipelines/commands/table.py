"""The verbs of the command line, in the order of `corpusmill --help`.

To add a verb: write a click command in a module of this folder, and add one line here. The module is imported when the verb
runs, so `corpusmill --help` imports none of them.
"""

from __future__ import annotations

import importlib

import click

VERBS: dict[str, tuple[str, str]] = {
    "init": ("author", "Write a commented recipe."),
    "check": ("author", "Report every mistake of RECIPE at once."),
    "plan": ("build", "Say what `run` would do, and why."),
    "run": ("build", "Run RECIPE and commit a snapshot."),
    "submit": ("cluster", "Submit RECIPE to an engine and return."),
    "commit": ("cluster", "Commit a submitted run that is done."),
    "log": ("snapshots", "List the snapshots of DIR."),
    "show": ("snapshots", "Show a snapshot: size, recipe, funnel."),
    "diff": ("snapshots", "Compare snapshots A and B of DIR."),
    "report": ("report", "Write one HTML page about a dataset."),
    "browse": ("browse", "Search and compare datasets in a browser."),
    "map": ("map", "Show the topics of DIR, and what it lacks."),
    "bias": ("bias", "Show how DIR speaks of people."),
    "files": ("snapshots", "List the shards of a snapshot."),
    "verify": ("snapshots", "Reread DIR and compare it with its digests."),
    "why": ("documents", "Say what happened to one document."),
    "dropped": ("documents", "Show dropped documents with their texts."),
    "pairs": ("documents", "Show near-duplicates with their differences."),
    "quarantine": ("documents", "Show rows that could not be read."),
    "look": ("documents", "Show documents before and after a step."),
    "tokenizer": ("tokens", "Train a byte-level BPE tokenizer."),
    "scorer": ("scorer", "Train and measure text classifiers for the step quality."),
    "language": ("language", "Train and measure models of languages."),
    "perplexity": ("perplexity", "Train n-gram models for the steps perplexity and reweight."),
    "mix": ("mix", "Learn mixture weights from small runs."),
    "export": ("tokens", "Write a snapshot in a trainer's or catalogue's format."),
    "history": ("maintain", "List the runs of DIR."),
    "rollback": ("maintain", "Commit the content of snapshot N again."),
    "forget": ("maintain", "Take documents out of DIR, for good."),
    "gc": ("maintain", "Remove old snapshots and what only they need."),
    "schedule": ("schedule", "Run a recipe by a scheduler."),
    "train": ("train", "Train a model from a train.yaml."),
    "eval": ("train", "Measure a model: loss and bits per byte."),
    "generate": ("train", "Continue prompts with a model."),
    "chat": ("train", "Answer line by line."),
    "export-model": ("train", "Write a model for transformers and servers."),
    "selftrain": ("selftrain", "Label text with a model and train on it."),
    "privacy": ("privacy", "Budgets of private data: status, plan, statement, statistics, audit."),
    "party": ("secure", "Take part in jobs of several owners."),
    "secure": ("secure", "Deduplicate, count, mix, score, fine-tune and average together."),
    "steps": ("steps", "List the steps, or explain one."),
    "schema": ("author", "Print the JSON schema of a recipe."),
}
"""Verb -> (module of this folder, its line in the help)."""


def load(verb: str) -> click.Command | None:
    """The command of a verb, imported now; None if there is no such verb."""
    if verb not in VERBS:
        return None
    module = importlib.import_module(f"corpusmill.pipelines.commands.{VERBS[verb][0]}")
    found = (c for c in vars(module).values() if isinstance(c, click.Command) and c.name == verb)
    return next(found)
