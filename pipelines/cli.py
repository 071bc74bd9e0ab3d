"""The command line. Exit codes: 0 done, 3 nothing new, 75 locked, 78 bad recipe, 2 wrong usage, 130 interrupted,
143 stopped by SIGTERM, 1 failed.

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

from corpusmill.pipelines.commands import (
    author,
    build,
    cluster,
    live,
    look,
    privacy,
    read,
    secure,
    selftrain,
    tokens,
    train,
)
from corpusmill.transforms.errors import CorpusmillError, EngineError

INTERRUPTED, TERMINATED = 130, 143


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
        interrupts = _Interrupts()
        try:
            with interrupts:
                try:
                    found = super().main(given, prog_name or "corpusmill", **{**extra, "standalone_mode": False})
                    code = found if isinstance(found, int) else 0
                except Exception:
                    if interrupts.seen:  # a runner wraps what passes through it, an interrupt too
                        raise KeyboardInterrupt from None
                    raise
                if args is None:
                    interrupts.end(code)
        except click.ClickException as error:
            error.show()
            code = error.exit_code
        except (KeyboardInterrupt, click.Abort):
            said = "Stopped by SIGTERM" if interrupts.terminated else "Interrupted"
            click.echo(f"{said}. Finished shards are kept: the same command goes on from there.", err=True)
            code = TERMINATED if interrupts.terminated else INTERRUPTED
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
            from corpusmill.pipelines.dataset.system_errors import message_for

            known, said = message_for(error), " ".join(str(error).split())
            click.echo(known or (f"{type(error).__name__}: {said[:500]}" if said else type(error).__name__), err=True)
            click.echo(_trace_hint(given, known is None), err=True)
        _leave(code)


class _Interrupts:
    """Remembers the first Ctrl-C, and leaves the process at the second; a SIGTERM that nobody else waits for is one, too.
    One that comes when the verb is done changes nothing any more: the process leaves with the verb's own code."""

    def __init__(self) -> None:
        self.seen = self.terminated = False
        self._before: Any = None
        self._mine = False

    def __enter__(self) -> _Interrupts:
        if threading.current_thread() is threading.main_thread():
            self._before = signal.signal(signal.SIGINT, self._interrupt)
            self._mine = signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
            if self._mine:
                signal.signal(signal.SIGTERM, self._terminate)
        return self

    def end(self, code: int) -> None:
        """The process is about to leave with this code: threads that still run are waited for, unless a signal comes."""
        mine = [*([signal.SIGINT] if self._before is not None else []), *([signal.SIGTERM] if self._mine else [])]
        for number in mine:
            # the interpreter takes down what it was told to call, and only then itself; what is ignored stays so
            signal.signal(number, (lambda *_: os._exit(code)) if _threads() else signal.SIG_IGN)
        self._before, self._mine = None, False

    def __exit__(self, *error: object) -> None:
        if self._before is not None:
            signal.signal(signal.SIGINT, self._before)
        if self._mine:
            signal.signal(signal.SIGTERM, signal.SIG_DFL)

    def _terminate(self, *_: object) -> None:
        self.terminated = True
        self._interrupt()

    def _interrupt(self, *_: object) -> None:
        if self.seen:
            os._exit(TERMINATED if self.terminated else INTERRUPTED)
        self.seen = True
        raise KeyboardInterrupt


def _trace_hint(args: list[str], defect: bool = True) -> str:
    says = "This is a defect of corpusmill or of what it runs on. " if defect else ""
    return f"{says}The traceback: corpusmill --debug {shlex.join(args)}"


def _threads() -> bool:
    """Whether there are threads that the process would wait for."""
    return any(t is not threading.main_thread() and not t.daemon for t in threading.enumerate())


def _leave(code: int) -> NoReturn:
    """Leave at once where worker threads still run: files appear whole or not at all, so nothing is lost by it."""
    if code in (INTERRUPTED, TERMINATED) and _threads():
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
