"""Verbs of joint computations: party, and secure dedup, count, mix, score, finetune, average."""

from __future__ import annotations

import os
from functools import partial
from typing import Any

import click

from corpusmill.pipelines.commands import JSON, print_json
from corpusmill.pipelines.wording import say

CONFIG = click.option("--config", required=True, metavar="FILE", help="This party's settings, party.yaml.")
LISTEN = click.option("--listen", metavar="HOST:PORT", help="Where to listen; default: `listen` of the settings.")
DAYS = click.option(
    "--days", type=click.IntRange(1, 3650), default=365, show_default=True, help="How long they are valid."
)


@click.group(invoke_without_command=True)
@click.option("--config", metavar="FILE", help="This party's settings, party.yaml; its `jobs` are run.")
@LISTEN
@JSON
@click.pass_context
def party(context: click.Context, config: str | None, listen: str | None, as_json: bool) -> None:
    """Run this party's part of every job in its settings; each owner runs one such process. Finished jobs are skipped.

    The same command restarts a party that was killed, from its last phase.
    """
    if context.invoked_subcommand:
        return
    if not config:
        raise click.UsageError("give --config FILE, or `certificates`, `request` or `sign`")
    from corpusmill.privacy.secure.settings import load_party
    from corpusmill.transforms.errors import RecipeError

    own = load_party(config)
    if not own.jobs:
        raise RecipeError(f"{config}: names no `jobs`: list the job files that all parties agreed on.")
    reports = [_take_part(job, config, listen) for job in own.jobs]
    print_json(reports) if as_json else say("\n".join(map(_render, reports)))


@party.command()
@click.argument("folder", metavar="DIR")
@click.argument("names", nargs=-1, required=True, metavar="NAME...")
@DAYS
def certificates(folder: str, names: tuple[str, ...], days: int) -> None:
    """Make an authority and a certificate for each NAME in DIR.

    Whoever runs this holds every party's key. To avoid that, each owner makes a `request`, and one of them signs it.
    """
    from corpusmill.privacy.secure.certificates import make

    for file in make(folder, list(names), days):
        say(str(file))
    say("Give each party authority.pem, its NAME.pem and its NAME.key.pem; then remove authority.key.pem.")


@party.command()
@click.argument("folder", metavar="DIR")
@click.argument("name", metavar="NAME")
def request(folder: str, name: str) -> None:
    """Make this party's own key in DIR, and a request for a certificate."""
    from corpusmill.privacy.secure.certificates import request as ask

    say(f"Send {ask(folder, name)} to the party that signs. {name}.key.pem stays here.")


@party.command()
@click.argument("folder", metavar="DIR")
@click.argument("request", metavar="REQUEST")
@DAYS
def sign(folder: str, request: str, days: int) -> None:
    """Sign REQUEST with the authority in DIR, which is made if it is missing."""
    from corpusmill.privacy.secure import certificates

    say(f"{certificates.sign_first(folder, request, days)} is signed. Send it back with {certificates.AUTHORITY}.pem.")


@click.group()
def secure() -> None:
    """Compute with other owners without showing them text. Every party runs the same verb with the same JOB file.

    The docstrings of privacy/secure say who learns what.
    """


def _verb(kind: str, purpose: str, *options: Any) -> None:
    @click.argument("job", metavar="JOB")
    @CONFIG
    @LISTEN
    @JSON
    def verb(job: str, config: str, listen: str | None, as_json: bool, apply: str | None = None) -> None:
        report = _take_part(job, config, listen, kind, apply)
        print_json(report) if as_json else say(_render(report))

    for option in options:
        verb = option(verb)
    secure.command(kind, help=purpose)(verb)


_verb(
    "dedup",
    "Find the documents to drop because this owner or an earlier one has a duplicate.",
    click.option(
        "--apply",
        metavar="RECIPE",
        help="Then run this owner's recipe; its step `kept-elsewhere` drops them now and in later runs. Default: `recipe` of "
        "the settings.",
    ),
)
_verb("count", "Count documents or bytes over all owners.")
_verb("mix", "Find mixture weights from the counts of all owners.")
_verb("score", "Score an owner's documents by another's model, under encryption.")
_verb("finetune", "Fine-tune one model on all owners' documents, with differential privacy.")
_verb("average", "Average the models that owners have trained separately from one base.")


def _take_part(job: str, config: str, listen: str | None, kind: str = "", apply: str | None = None) -> dict[str, Any]:
    from corpusmill.privacy.secure.run import run
    from corpusmill.privacy.secure.settings import load_job, load_party
    from corpusmill.transforms.errors import RecipeError

    agreed, own = load_job(job), load_party(config)
    if kind and agreed.kind != kind:
        raise RecipeError(f"{job}: is a job of kind `{agreed.kind}`: run `corpusmill secure {agreed.kind}`.")
    if listen:
        own = own.model_copy(update={"listen": listen})
    owner = own.name in agreed.parties.owners
    recipe = (apply or own.recipe) if owner and agreed.kind == "dedup" else ""
    listed = _list_of(recipe) if recipe else ""
    report = run(agreed, own, _files(own.data), _trainer(agreed.kind) if owner else None)
    return {**report, "applied": _apply(recipe, listed, report["result"])} if recipe else report


def _list_of(path: str) -> str:
    """The path of the list that the recipe's step `kept-elsewhere` reads. Raises RecipeError if there is no such step."""
    from corpusmill.pipelines.recipe.model import load
    from corpusmill.transforms.errors import RecipeError
    from corpusmill.transforms.filters.kept_elsewhere import KeptElsewhere

    recipe = load(path, check_paths=False)  # the list does not exist before the first job
    lists = [s.transform.path for s in recipe.bound_steps() if isinstance(s.transform, KeptElsewhere)]
    if not lists:
        raise RecipeError(
            f"{path}: has no step that drops what others keep. Add `- kept-elsewhere: {{path: kept.parquet}}` after all steps "
            "that add documents and before `pack`. The job writes that file."
        )
    return lists[0]


def _apply(recipe: str, listed: str, result: str) -> dict[str, Any]:
    """Add the result of a joint deduplication to the recipe's list, and run the recipe."""
    import pyarrow.parquet as pq

    from corpusmill.pipelines.recipe.model import load
    from corpusmill.pipelines.run import run
    from corpusmill.transforms.filters.kept_elsewhere import KeptElsewhere, add_to_list

    rows = add_to_list(listed, pq.read_table(result))
    done = run(load(recipe))
    dropped = {s["name"]: s["dropped"] for s in done.funnel["steps"] if s["name"].startswith(KeptElsewhere.name)}
    return {"listed": rows, "snapshot": done.snapshot, "committed": done.committed, "dropped": dropped}


def _trainer(kind: str) -> Any:
    """The owner's part of a fine-tuning or an average, which needs torch; None for other jobs."""
    if kind not in ("finetune", "average"):
        return None
    try:
        if kind == "average":
            from corpusmill.training.owners.average import part as average

            return average
        from corpusmill.training.owners.federated import part
    except ImportError as error:
        from corpusmill.transforms.errors import MissingDependencyError

        what = "an average" if kind == "average" else "fine-tuning"
        raise MissingDependencyError(f"{what} needs {error.name}: pip install corpusmill[train,privacy]") from error
    from corpusmill.pipelines.recipe.certify import of_training

    return partial(part, certify=of_training)


def _files(data: str) -> list[str]:
    """The shard files of a dataset's newest snapshot, of a folder, of a glob, or the file itself."""
    if not data:
        return []
    from corpusmill.pipelines.dataset.snapshot import Dataset
    from corpusmill.transforms import storage
    from corpusmill.transforms.errors import SourceError
    from corpusmill.transforms.manifest import snapshot_numbers

    if storage.is_dir(data) and snapshot_numbers(data):
        return Dataset(data).files()
    files = [e.uri for e in storage.list_glob(data)]
    if files != [data]:
        files = [f for f in files if f.endswith((".parquet", ".arrow")) and not os.path.basename(f).startswith("_")]
    if not files:
        raise SourceError(
            f"{data}: is no dataset, and has no Parquet or Arrow file. Check `data` of the party's settings."
        )
    return files


def _render(report: dict[str, Any]) -> str:
    lines = [f"{report['job']}: {report['kind']}, {report['party']} as {report['role']}"]
    dropped = report.get("dropped")
    if isinstance(dropped, dict):
        lines.append("to drop   " + ", ".join(f"{owner} {n:,}" for owner, n in dropped.items()))
    elif dropped is not None:
        lines.append(f"to drop   {dropped:,} of {report['documents']:,} documents")
    if report["kind"] == "average":
        lines += _averaged(report)
    elif "owners" in report:
        lines.append(f"counted   {report['total']:,} over {', '.join(report['owners'])}")
    if "epsilon" in report:
        lines.append(f"trained   {report['step']:,} steps, epsilon {report['epsilon']:.3f}: {report['checkpoint']}")
    if "encryption" in report:
        lines.append("encrypted " + ", ".join(f"{k} {v}" for k, v in report["encryption"].items()))
    sent = report["sent"]
    lines.append(f"sent      {sum(sent['messages'].values()):,} messages, {sent['bytes']:,} bytes")
    if "result" in report:
        lines.append(f"result    {report['result']}")
    if applied := report.get("applied"):
        parts = [f"{n:,} {reason}" for counts in applied["dropped"].values() for reason, n in counts.items()]
        lines.append(f"applied   snapshot {applied['snapshot']} without {', '.join(parts) or 'any of them'}")
    elif report["kind"] == "dedup" and "result" in report:
        lines.append("Next: the same command with --apply RECIPE. Its step `kept-elsewhere` drops them.")
    return "\n".join(lines)


def _averaged(report: dict[str, Any]) -> list[str]:
    lines = [f"averaged  {report['parameters']:,} parameters of {', '.join(report['owners'])}"]
    if report["role"] == "owner":
        private = [f"{o} epsilon {g['epsilon']:.3f} at delta {g['delta']:g}" for o, g in report["private"].items()]
        without = [o for o in report["owners"] if o not in report["private"]]
        lines.append(f"private   {', '.join(private) or 'none'}" + (f"; NOT {', '.join(without)}" if without else ""))
    elif report["without_the_model"]:
        lines.append(f"absent    {', '.join(report['without_the_model'])}: did not get the average")
    return lines
