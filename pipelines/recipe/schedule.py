"""When a recipe runs: its `schedule:` section, and the files that make six schedulers run it.

    schedule: {cron: "30 2 * * *", timezone: Europe/Berlin, retries: 3, timeout: 6h}

The exported files treat exit codes 0 and 3 (nothing new) as success. 75 (another process writes the dataset) and other failures
are tried again. 78 (bad recipe) and 2 (wrong usage) are not, because they would fail again. Cloud Run knows one kind of failure
only, so the container tries again by itself. A run reads everything that is new since the last snapshot, so one run after several
missed nights is enough: `catch_up` asks for one.
"""

from __future__ import annotations

import re
import shlex
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args

from pydantic import BaseModel, ConfigDict, Field, field_validator

from corpusmill.transforms import storage
from corpusmill.transforms.errors import RecipeError

if TYPE_CHECKING:
    from corpusmill.pipelines.recipe.model import Recipe

Target = Literal["cron", "systemd", "kubernetes", "cloud-scheduler", "airflow", "dagster"]
TARGETS: tuple[str, ...] = get_args(Target)

_FIELDS = (("minute", 0, 59), ("hour", 0, 23), ("day of the month", 1, 31), ("month", 1, 12), ("day of the week", 0, 7))
_MONTHS = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"]
_DAYS = ["sun", "mon", "tue", "wed", "thu", "fri", "sat"]
_NICKNAMES = {
    "@hourly": "0 * * * *",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@weekly": "0 0 * * 0",
    "@monthly": "0 0 1 * *",
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
}
_LONGEST = (31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)
"""Days of each month, at most."""
_BROKEN = re.compile(r"[\x00-\x1f\x7f\x85\u2028\u2029\ud800-\udfff]")
_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


class Schedule(BaseModel):
    """When the recipe runs, and what happens if a run fails or was missed."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    cron: str = Field(
        min_length=1,
        description="five fields: minute, hour, day of the month, month, day of the week; or @daily, @weekly and so on",
    )
    timezone: str = Field("UTC", description="IANA name of the time zone that `cron` is meant in, as Europe/Berlin")
    retries: int = Field(3, ge=0, le=20, description="how often a failed run is tried again")
    retry_delay: str = Field("10m", description="time before a run is tried again: a number and s, m, h or d")
    timeout: str = Field(
        "12h", description="a run that takes longer is stopped; the next one goes on from what it finished"
    )
    catch_up: bool = Field(True, description="run once when the machine comes back after a run was missed")

    @field_validator("cron")
    @classmethod
    def _cron(cls, value: str) -> str:
        parse_cron(value)
        return value

    @field_validator("timezone")
    @classmethod
    def _timezone(cls, value: str) -> str:
        from zoneinfo import ZoneInfo

        try:
            ZoneInfo(value)
        except (OSError, ValueError, KeyError) as error:
            raise ValueError(f"there is no time zone {value!r}; write an IANA name, as Europe/Berlin") from error
        return value

    @field_validator("retry_delay", "timeout")
    @classmethod
    def _time(cls, value: str) -> str:
        seconds(value)
        return value


def seconds(text: str) -> int:
    """Seconds of a span such as 90s, 10m, 6h, 1d.

    >>> seconds("1h")
    3600
    """
    m = re.fullmatch(r"([1-9]\d{0,8})([smhd])", text)
    if m is None:
        raise ValueError(f"{text!r} is no span of time; write a number and s, m, h or d, as 90s, 10m, 6h")
    return int(m[1]) * _UNITS[m[2]]


@dataclass(frozen=True)
class Cron:
    """A parsed cron expression: the values of each field, None where it is `*`. Days of the week count from Sunday, 0."""

    minutes: tuple[int, ...] | None
    hours: tuple[int, ...] | None
    days: tuple[int, ...] | None
    months: tuple[int, ...] | None
    weekdays: tuple[int, ...] | None


def parse_cron(text: str) -> Cron:
    """A cron expression as its values.

    >>> parse_cron("*/20 2 * * mon-fri").minutes
    (0, 20, 40)
    """
    parts = _NICKNAMES.get(text.strip().lower(), text).split()
    if len(parts) != 5:
        raise ValueError(
            f"{text!r} has {len(parts)} fields; write five: minute, hour, day of the month, month, day of the week, "
            'as "30 2 * * *"'
        )
    values = [_field(part, *about) for part, about in zip(parts, _FIELDS, strict=True)]
    days, months = values[2], values[3]
    week = None if values[4] is None else tuple(sorted({d % 7 for d in values[4]}))
    if days and week and "*" in parts[2] + parts[4]:
        raise ValueError(
            f"{text!r} restricts the days of the month and of the week, one of them by `*/`: for cron that is a day of both kinds, "
            "for other schedulers one of either kind. Write the days out, as 1,3,5, which is either for all of them"
        )
    if days and months and not week and all(min(days) > _LONGEST[m - 1] for m in months):
        raise ValueError(f"{text!r} never comes: no month {parts[3]} has a day {parts[2]}")
    return Cron(values[0], values[1], days, months, week)


def _field(text: str, what: str, low: int, high: int) -> tuple[int, ...] | None:
    if text == "*":
        return None
    names = _MONTHS if what == "month" else _DAYS if what == "day of the week" else []
    numbers: set[int] = set()
    for part in text.lower().split(","):
        m = re.fullmatch(r"(\*|\w+)(?:-(\w+))?(?:/(\d+))?", part)
        step = int(m[3] or 1) if m else 0
        if m is None or step < 1 or (m[1] == "*" and m[2]):
            raise ValueError(
                f"{what} {text!r} is not a cron field; write a number, a range 1-5, a list 1,3 or a step */15"
            )
        first = low if m[1] == "*" else _number(m[1], what, names, low, high)
        last = high if m[1] == "*" or (m[3] and not m[2]) else first
        last = _number(m[2], what, names, low, high) if m[2] else last
        if last < first:
            raise ValueError(f"{what} {text!r} runs backwards; write the smaller number first")
        numbers.update(range(first, last + 1, step))
    return None if "*" in text and len(numbers) == high - low + 1 else tuple(sorted(numbers))


def _number(text: str, what: str, names: list[str], low: int, high: int) -> int:
    if text in names:
        return names.index(text) + low
    if not text.isdecimal() or not low <= int(text) <= high:
        raise ValueError(f"{what} {text!r} is not from {low} to {high}")
    return int(text)


def calendars(cron: str, timezone: str) -> list[str]:
    """A cron expression as systemd's OnCalendar. Where cron restricts both kinds of day, either will do: two lines.

    >>> calendars("30 2 * * 1-5", "Europe/Berlin")
    ['Mon,Tue,Wed,Thu,Fri *-*-* 02:30:00 Europe/Berlin']
    """
    parsed = parse_cron(cron)

    def listed(values: tuple[int, ...] | None) -> str:
        return "*" if values is None else ",".join(f"{v:02d}" for v in values)

    time = f"{listed(parsed.hours)}:{listed(parsed.minutes)}:00"
    month = listed(parsed.months)
    week = "" if parsed.weekdays is None else ",".join(_DAYS[d].capitalize() for d in parsed.weekdays) + " "
    lines = [f"*-{month}-{listed(parsed.days)} {time} {timezone}"] if parsed.days or not week else []
    return lines + ([f"{week}*-{month}-* {time} {timezone}"] if week else [])


def five_fields(cron: str) -> str:
    """The expression without nicknames, names and the 7 for Sunday, in which schedulers differ.

    >>> five_fields("@daily"), five_fields("0 3 * jan sun")
    ('0 0 * * *', '0 3 * 1 0')
    """
    c = parse_cron(cron)
    fields = (c.minutes, c.hours, c.days, c.months, c.weekdays)
    return " ".join("*" if v is None else ",".join(map(str, v)) for v in fields)


def command() -> list[str]:
    """The command line of this installation."""
    script = Path(sys.executable).parent / "corpusmill"
    return [str(script)] if script.exists() else [sys.executable, "-m", "corpusmill.pipelines.cli"]


@dataclass(frozen=True)
class Places:
    """What only the user knows of where it will run."""

    image: str = ""
    claim: str = ""
    project: str = ""
    region: str = ""
    service_account: str = ""


_FILES: dict[str, list[tuple[str, str]]] = {
    "cron": [("script.sh.j2", "{}.sh"), ("crontab.j2", "{}.crontab")],
    "systemd": [("script.sh.j2", "{}.sh"), ("systemd.service.j2", "{}.service"), ("systemd.timer.j2", "{}.timer")],
    "kubernetes": [("kubernetes.yaml.j2", "{}-cronjob.yaml")],
    "cloud-scheduler": [("cloud-run-job.yaml.j2", "{}-job.yaml"), ("cloud-scheduler.sh.j2", "{}-schedule.sh")],
    "airflow": [("airflow.py.j2", "{}_airflow.py")],
    "dagster": [("dagster.py.j2", "{}_dagster.py")],
}
_NEEDS: dict[str, tuple[str, ...]] = {
    "kubernetes": ("image", "claim"),
    "cloud-scheduler": ("image", "project", "region", "service_account"),
}


@dataclass(frozen=True)
class Resources:
    """What a run needs: cpu: cores; memory: as Kubernetes writes it, `2Gi`."""

    cpu: int
    memory: str


def export(
    recipe: Recipe,
    file: str | Path,
    target: str,
    places: Places,
    out: str | Path = ".",
    resources: Resources | None = None,
) -> dict[str, str]:
    """Name -> content of the files that make `target` run the recipe in `file`.

    Args:
        recipe: what will run.
        file: where it lies.
        target: one of TARGETS.
        places: what only the user knows.
        out: the folder that the files will lie in.
        resources: for Kubernetes, Cloud Run and Airflow; None where they are not known.

    Raises:
        RecipeError: the recipe has no `schedule`, an option that the target needs is missing, a path has control characters,
            or a container would not find a file of this machine.
    """
    import jinja2

    if recipe.schedule is None:
        raise RecipeError(f'{file}: has no section `schedule`; add one, as in `schedule: {{cron: "30 2 * * *"}}`')
    lacking = [n for n in _NEEDS.get(target, ()) if not getattr(places, n)]
    if lacking:
        options = ", ".join(f"--{n.replace('_', '-')}" for n in lacking)
        raise RecipeError(f"--to {target} needs {options} as well")
    if foreign := _unreachable(recipe, target, Path(file).resolve().parent):
        raise RecipeError(foreign)
    folder = Path(__file__).parent / "schedules"
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(folder), undefined=jinja2.StrictUndefined, keep_trailing_newline=True,
        trim_blocks=True, lstrip_blocks=True,
    )  # fmt: skip
    environment.filters |= {"sh": shlex.quote, "py": repr, "unit": _unit_quoted, "label": _label, "raw": _untemplated}
    # YAML reads no pair of surrogates, in which JSON would write a character beyond 16 bits
    environment.policies["json.dumps_kwargs"] = {"ensure_ascii": False}
    path = Path(file).resolve()
    schedule = recipe.schedule
    name = f"corpusmill-{recipe.name}"
    script = str((Path(out) / f"{name}.sh").resolve())
    if broken := next((p for p in (str(path), script) if _BROKEN.search(p)), None):
        raise RecipeError(
            f"{broken!r}: a path with line breaks, control characters or what is no UTF-8 cannot stand in a scheduler's file; "
            "rename the folder or the file"
        )
    about: dict[str, Any] = {
        "name": name,
        "target": target,
        "identifier": re.sub(r"\W", "_", name),
        "dataset": recipe.name,
        "recipe": str(path),
        "folder": str(path.parent),
        "output": storage.absolute(recipe.dataset),
        "command": command(),
        "schedule": schedule,
        "cron": five_fields(schedule.cron),
        "calendars": calendars(schedule.cron, schedule.timezone),
        "timeout": seconds(schedule.timeout),
        "retry_delay": seconds(schedule.retry_delay),
        "places": places,
        "script": script,
        "resources": resources,
        # a container sees all cores of its machine, and memory goes with the workers
        "workers": f"--workers {resources.cpu} " if resources else "",
    }
    names = _FILES[target]
    stem = re.sub(r"\W", "_", name) if target in ("airflow", "dagster") else name
    return {pattern.format(stem): environment.get_template(t).render(about) for t, pattern in names}


def _unreachable(recipe: Recipe, target: str, folder: Path) -> str:
    """What a container would look for in vain: for Kubernetes, files outside the mounted folder; for Cloud Run, any of a disk."""
    if target not in ("kubernetes", "cloud-scheduler"):
        return ""
    given = [(f"source {s.name}", [s.path] if isinstance(s.path, str) else s.path) for s in recipe.sources if s.path]
    for what, path in [*((what, p) for what, many in given for p in many), ("output.path", recipe.dataset)]:
        if not storage.is_local(path):
            continue
        if target == "cloud-scheduler":
            return f"{what}: {path} is on this machine, and Cloud Run keeps no files; name an address such as gs://bucket/folder"
        whole = Path(storage.absolute(str(folder / path)))
        if folder not in (whole, *whole.parents):
            return f"{what}: {path} is outside {folder}, the folder that the volume claim holds; move it there, or name an address"
    return ""


def _unit_quoted(text: str) -> str:
    """A word of a systemd command line."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%").replace("$", "$$")
    return f'"{escaped}"'


def _untemplated(text: str) -> str:
    """A text that Airflow's templates leave as it is."""
    return text.replace("{", "{{ '{' }}") if re.search("{[{%#]", text) else text


def _label(text: str) -> str:
    """A name as Kubernetes allows it: lower case, digits and hyphens, at most 52 characters for a CronJob."""
    return re.sub(r"[^a-z0-9]+", "-", text.lower())[:52].strip("-")
