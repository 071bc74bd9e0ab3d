"""The verb schedule: writes the files that make a scheduler run a recipe."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from corpusmill.pipelines.commands import RECIPE, SET
from corpusmill.pipelines.wording import say

if TYPE_CHECKING:
    from corpusmill.pipelines.recipe.model import Recipe
    from corpusmill.pipelines.recipe.schedule import Resources


@click.group()
def schedule() -> None:
    """Run a recipe by a scheduler, as its section `schedule` says."""


def _resources(recipe: Recipe) -> Resources | None:
    """Cores and memory by `corpusmill plan`; None where the sources cannot be read from this machine."""
    from corpusmill.pipelines.engine.plan import make
    from corpusmill.pipelines.recipe.schedule import Resources
    from corpusmill.transforms.errors import CorpusmillError

    workers = 4
    try:
        memory = make(recipe, workers=workers).to_dict()["memory"]
    except (CorpusmillError, OSError):
        say("The sources cannot be read from here, so the files name no memory; set it by `corpusmill plan`.", err=True)
        return None
    return Resources(workers, f"{-(-int(memory) // (1 << 30)) + 1}Gi")


@schedule.command()
@RECIPE
@SET
@click.option(
    "--to",
    "target",
    required=True,
    type=click.Choice(["cron", "systemd", "kubernetes", "cloud-scheduler", "airflow", "dagster"]),
    help="The scheduler.",
)
@click.option("--out", metavar="DIR", help="Write the files there; default: print them.")
@click.option("--image", default="", metavar="NAME", help="kubernetes, cloud-scheduler: image that has corpusmill.")
@click.option("--claim", default="", metavar="NAME", help="kubernetes: volume claim that has the recipe's folder.")
@click.option("--project", default="", metavar="ID", help="cloud-scheduler: project.")
@click.option("--region", default="", metavar="NAME", help="cloud-scheduler: region.")
@click.option("--service-account", default="", metavar="EMAIL", help="cloud-scheduler: account that runs it.")
def export(
    recipe: str,
    overrides: tuple[str, ...],
    target: str,
    out: str | None,
    image: str,
    claim: str,
    project: str,
    region: str,
    service_account: str,
) -> None:
    """Write the files that make a scheduler run RECIPE. Exit code 3 counts as success there, and 75 is tried again."""
    from corpusmill.pipelines.recipe import schedule as schedules
    from corpusmill.pipelines.recipe.model import load
    from corpusmill.transforms.errors import DatasetError

    places = schedules.Places(image, claim, project, region, service_account)
    loaded = load(recipe, overrides, check_paths=False)
    needs = _resources(loaded) if target in ("kubernetes", "cloud-scheduler", "airflow") else None
    files = schedules.export(loaded, recipe, target, places, out or ".", needs)
    for name, content in files.items():
        if out is None:
            say(f"# ---- {name}\n{content}" if len(files) > 1 else content, nl=False)
            continue
        path = Path(out) / name
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(content, encoding="utf-8")
            if name.endswith(".sh"):
                path.chmod(0o755)
        except OSError as error:
            raise DatasetError(f"{path}: cannot be written: {error.strerror}; name another folder") from None
        say(f"{path} is written.")
