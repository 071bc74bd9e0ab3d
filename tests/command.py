"""The command line, called in this process."""

import json
from typing import Any

from click.testing import CliRunner, Result

from corpusmill.pipelines.cli import cli


def invoke(*args: object, said: str | None = None) -> Result:
    """The result of `corpusmill ARGS`: exit_code, stdout, stderr. said: standard input."""
    return CliRunner().invoke(cli, [str(a) for a in args], input=said)


def invoke_json(*args: object) -> Any:
    """What `corpusmill ARGS --json` prints, which must go well."""
    done = invoke(*args, "--json")
    assert done.exit_code == 0, done.output
    return json.loads(done.stdout)
