"""The command line. Exit codes: 0 done, 3 nothing new, 75 locked, 78 bad recipe, 2 wrong usage, 130 interrupted,
143 training stopped by SIGTERM, 1 failed.

Starting up imports click and nothing else; each verb imports what it needs when it runs.
"""

from __future__ import annotations

import contextlib
import os
import shlex
import signal
import sys
import threading
from collections.abc import Sequence
from typing import Any, NoReturn

import click

from pipelines.commands import author, build, cluster, live, look, privacy, read, secure, selftrain, tokens, train
from transforms.errors import CorpusmillError, EngineError

INTERRUPTED = 130


class Verbs(click.Group):
    """The group of all verbs. It turns every error into one message and an exit code."""

    debug = False

    def list_commands(self, ctx: click.Context) -> list[str]:
        """In the order of work, not of the alphabet."""
        return list(self.commands)

    def main(  # type: ignore[override]
        self, args: Sequence[str] | None = None, prog_name: str | None = None, **extra: Any
    ) -> NoReturn:
        """Run the verb in `args` and leave the process with its code."""
        given = list(sys.argv[1:] if args is None else args)
        self.debug = False
        code = 1
        try:
            with _Interrupts() as interrupts:
                try:
                    found = super().main(given, prog_name or "corpusmill", **{**extra, "standalone_mode": False})
                    code = found if isinstance(found, int) else 0
                except Exception:
                    if interrupts.seen:  # a runner wraps what passes through it, an interrupt too
                        raise KeyboardInterrupt from None
                    raise
        except click.ClickException as error:
            error.show()
            code = error.exit_code
        except (KeyboardInterrupt, click.Abort):
            click.echo("Interrupted. Finished shards are kept: the same command goes on from there.", err=True)
            code = INTERRUPTED
        except CorpusmillError as error:
            if self.debug:
                raise
            code = error.exit_code
            click.echo(str(error), err=True)
            if isinstance(error, EngineError):
                click.echo(_trace_hint(given), err=True)
        except Exception as error:
            if self.debug:
                raise
            said = " ".join(str(error).split())
            click.echo(f"{type(error).__name__}: {said[:500]}" if said else type(error).__name__, err=True)
            click.echo(_trace_hint(given), err=True)
        _leave(code)


class _Interrupts:
    """Remembers the first Ctrl-C, and leaves the process at the second."""

    def __init__(self) -> None:
        self.seen = False
        self._before: Any = None

    def __enter__(self) -> _Interrupts:
        if threading.current_thread() is threading.main_thread():
            self._before = signal.signal(signal.SIGINT, self._interrupt)
        return self

    def __exit__(self, *error: object) -> None:
        if self._before is not None:
            signal.signal(signal.SIGINT, self._before)

    def _interrupt(self, *_: object) -> None:
        if self.seen:
            os._exit(INTERRUPTED)
        self.seen = True
        raise KeyboardInterrupt


def _trace_hint(args: list[str]) -> str:
    return f"This is a defect of corpusmill or of what it runs on. The traceback: corpusmill --debug {shlex.join(args)}"


def _leave(code: int) -> NoReturn:
    """Leave at once where worker threads still run: files appear whole or not at all, so nothing is lost by it."""
    others = [t for t in threading.enumerate() if t is not threading.main_thread() and not t.daemon]
    if code == INTERRUPTED and others:
        with contextlib.suppress(OSError):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(code)
    sys.exit(code)


def _version(ctx: click.Context, _: click.Parameter, value: bool) -> None:
    if value and not ctx.resilient_parsing:
        from importlib.metadata import PackageNotFoundError, version

        try:
            click.echo(f"corpusmill {version('corpusmill')}")
        except PackageNotFoundError:
            click.echo("corpusmill from a source tree, not installed")
        ctx.exit()


@click.group(cls=Verbs, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.option("--debug", is_flag=True, help="Show the traceback of an error.")
@click.option("--version", is_flag=True, is_eager=True, expose_value=False, callback=_version, help="Show the version.")
def cli(debug: bool) -> None:
    """Prepare text corpora for language models: from raw shards to clean, deduplicated, versioned snapshots."""
    group = click.get_current_context().command
    if isinstance(group, Verbs):
        group.debug = debug


for verb in (
    author.init,
    author.check,
    build.plan,
    build.run,
    cluster.submit,
    cluster.commit,
    read.log,
    read.show,
    read.diff,
    read.why,
    read.verify,
    look.look,
    tokens.tokenizer,
    tokens.export,
    live.history,
    live.rollback,
    live.forget,
    live.gc,
    live.schedule,
    train.train,
    train.evaluate,
    train.generate,
    train.chat,
    train.export_model,
    selftrain.selftrain,
    privacy.privacy,
    secure.party,
    secure.secure,
    author.schema,
):
    cli.add_command(verb)


def main() -> NoReturn:
    """The console script."""
    cli.main()


if __name__ == "__main__":
    main()
