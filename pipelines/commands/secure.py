"""Verbs of joint computations: party, and secure dedup, count, mix, score."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from pipelines.commands import JSON, print_json

CONFIG = click.option("--config", required=True, metavar="FILE", help="This party's settings, party.yaml.")
LISTEN = click.option("--listen", metavar="HOST:PORT", help="Where to listen; default: `listen` of the settings.")
DAYS = click.option(
    "--days", type=click.IntRange(1, 3650), default=365, show_default=True, help="How long they are valid."
)


@click.group(invoke_without_command=True, short_help="Take part in jobs of several owners.")
@click.option("--config", metavar="FILE", help="This party's settings, party.yaml; its `jobs` are run.")
@LISTEN
@JSON
@click.pass_context
def party(context: click.Context, config: str | None, listen: str | None, as_json: bool) -> None:
    """Run this party's part of every job in its settings, one process at each owner; finished jobs are left as they are.

    A party that was killed is started again by the same command, and goes on from its last phase.
    """
    if context.invoked_subcommand:
        return
    if not config:
        raise click.UsageError("give --config FILE, or `certificates`, `request` or `sign`")
    from privacy.secure.settings import load_party
    from transforms.errors import RecipeError

    own = load_party(config)
    if not own.jobs:
        raise RecipeError(f"{config}: names no `jobs`: list the job files that all parties agreed on.")
    reports = [_take_part(job, config, listen) for job in own.jobs]
    print_json(reports) if as_json else click.echo("\n".join(map(_told, reports)))


@party.command()
@click.argument("folder", metavar="DIR")
@click.argument("names", nargs=-1, required=True, metavar="NAME...")
@DAYS
def certificates(folder: str, names: tuple[str, ...], days: int) -> None:
    """Make an authority and a certificate for each NAME in DIR.

    Who runs this could be any party: where that must not be, each owner makes a `request`, and one of them may `sign`.
    """
    from privacy.secure.certificates import make

    for file in make(folder, list(names), days):
        click.echo(str(file))
    click.echo("Give each party authority.pem, its NAME.pem and its NAME.key.pem; then remove authority.key.pem.")


@party.command()
@click.argument("folder", metavar="DIR")
@click.argument("name", metavar="NAME")
def request(folder: str, name: str) -> None:
    """Make this party's own key in DIR, and the request that goes to whoever signs."""
    from privacy.secure.certificates import request as ask

    click.echo(f"{ask(folder, name)} is to be signed; {name}.key.pem stays here.")


@party.command()
@click.argument("folder", metavar="DIR")
@click.argument("request", metavar="REQUEST")
@DAYS
def sign(folder: str, request: str, days: int) -> None:
    """Sign REQUEST by the authority in DIR, which is made if it is not there."""
    from privacy.secure import certificates as made

    if not (Path(folder) / f"{made.AUTHORITY}.pem").exists():
        made.make_authority(folder, days)
    click.echo(f"{made.sign(folder, request, days)} is signed; it goes back with {made.AUTHORITY}.pem.")


@click.group(short_help="Deduplicate, count, mix and score together.")
def secure() -> None:
    """Compute with other owners without showing them text: every party runs the same verb with the same JOB file.

    Who learns what is said in the docstrings of privacy/secure.
    """


def _verb(kind: str, purpose: str) -> None:
    @secure.command(kind, help=purpose)
    @click.argument("job", metavar="JOB")
    @CONFIG
    @LISTEN
    @JSON
    def verb(job: str, config: str, listen: str | None, as_json: bool) -> None:
        report = _take_part(job, config, listen, kind)
        print_json(report) if as_json else click.echo(_told(report))


_verb("dedup", "Find which documents to drop because an owner before this one, or this one, has one like them.")
_verb("count", "Count documents or bytes over all owners.")
_verb("mix", "Find mixture weights from the counts of all owners.")
_verb("score", "Score an owner's documents by another's model, under encryption.")


def _take_part(job: str, config: str, listen: str | None, kind: str = "") -> dict[str, Any]:
    from privacy.secure.run import run
    from privacy.secure.settings import load_job, load_party
    from transforms.errors import RecipeError

    agreed, own = load_job(job), load_party(config)
    if kind and agreed.kind != kind:
        raise RecipeError(f"{job}: is a job of kind `{agreed.kind}`: run `corpusmill secure {agreed.kind}`.")
    if listen:
        own = own.model_copy(update={"listen": listen})
    return run(agreed, own, _files(own.data))


def _files(data: str) -> list[str]:
    """The shard files of a dataset's newest snapshot, of a folder, of a glob, or the file itself."""
    if not data:
        return []
    from pipelines.snapshot import Dataset, snapshot_numbers
    from transforms.errors import SourceError

    path = Path(data)
    if path.is_dir():
        if snapshot_numbers(data):
            return Dataset(data).files()
        found = sorted(
            p for p in path.rglob("*") if p.suffix in (".parquet", ".arrow") and not p.name.startswith((".", "_"))
        )
    elif path.is_file():
        found = [path]
    else:
        found = sorted(path.parent.glob(path.name))
    if not found:
        raise SourceError(f"{data}: no dataset, and no Parquet or Arrow file. Check `data` of the party's settings.")
    return [str(p) for p in found]


def _told(report: dict[str, Any]) -> str:
    lines = [f"{report['job']}: {report['kind']}, {report['party']} as {report['role']}"]
    dropped = report.get("dropped")
    if isinstance(dropped, dict):
        lines.append("to drop   " + ", ".join(f"{owner} {n:,}" for owner, n in dropped.items()))
    elif dropped is not None:
        lines.append(f"to drop   {dropped:,} of {report['documents']:,} documents")
    if "owners" in report:
        lines.append(f"counted   {report['total']:,} over {', '.join(report['owners'])}")
    if "encryption" in report:
        lines.append("encrypted " + ", ".join(f"{k} {v}" for k, v in report["encryption"].items()))
    sent = report["sent"]
    lines.append(f"sent      {sum(sent['messages'].values()):,} messages, {sent['bytes']:,} bytes")
    if "result" in report:
        lines.append(f"result    {report['result']}")
    if report["kind"] == "dedup" and "result" in report:
        lines.append(f"Next: corpusmill forget DIR --ids {report['result']}")
    return "\n".join(lines)
