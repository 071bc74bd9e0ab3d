"""The command line. Exit codes: 0 done, 3 nothing new, 75 locked, 78 bad recipe, 2 wrong usage, 130 interrupted,
143 stopped by SIGTERM, 1 failed.

Starting up imports click and nothing else; `commands.table` names the module of each verb, which is imported when it runs.
"""

from __future__ import annotations

import contextlib
import io
import os
import shlex
import signal
import sys
import threading
from collections.abc import Sequence
from typing import Any, NoReturn

import click

from corpusmill.pipelines.commands.table import VERBS, load
from corpusmill.pipelines.wording import say
from corpusmill.transforms.errors import CorpusmillError, EngineError

INTERRUPTED, TERMINATED = 130, 143


class Verbs(click.Group):
    """The group of all verbs. It turns every error into one message and an exit code."""

    debug = False

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The verbs in the order of work."""
        return list(VERBS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command of a verb, whose module is imported now."""
        return load(cmd_name)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the verbs with their lines from the table, without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl([(verb, line) for verb, (_, line) in VERBS.items()])

    def main(  # type: ignore[override]
        self, args: Sequence[str] | None = None, prog_name: str | None = None, **extra: Any
    ) -> NoReturn:
        """Run the verb in `args` and leave the process with its code."""
        given = list(sys.argv[1:] if args is None else args)
        self.debug = False
        code = 1
        signals = _Signals()
        try:
            with signals:
                try:
                    result = super().main(given, prog_name or "corpusmill", **{**extra, "standalone_mode": False})
                    code = result if isinstance(result, int) else 0
                except Exception:
                    if signals.seen:  # runners wrap what passes through them, an interrupt too
                        raise KeyboardInterrupt from None
                    raise
                if args is None:
                    signals.ignore_until_exit(code)
        except click.ClickException as error:
            message = io.StringIO()
            error.show(message)
            say(message.getvalue(), err=True, nl=False)
            code = error.exit_code
        except (KeyboardInterrupt, click.Abort):
            cause = "Stopped by SIGTERM" if signals.terminated else "Interrupted"
            say(f"{cause}. Finished shards are kept: the same command goes on from there.", err=True)
            code = TERMINATED if signals.terminated else INTERRUPTED
        except CorpusmillError as error:
            if self.debug:
                raise
            code = error.exit_code
            say(str(error), err=True)
            if isinstance(error, EngineError):
                say(_trace_hint(given), err=True)
        except Exception as error:
            if self.debug:
                raise
            from corpusmill.pipelines.dataset.system_errors import message_for

            known, text = message_for(error), " ".join(str(error).split())
            say(known or (f"{type(error).__name__}: {text[:500]}" if text else type(error).__name__), err=True)
            say(_trace_hint(given, known is None), err=True)
        _leave(code)


class _Signals:
    """Turns Ctrl-C and SIGTERM into KeyboardInterrupt. A second signal ends the process at once.

    SIGTERM is left alone where somebody else handles it. A signal that comes after the verb is done changes nothing: the
    process leaves with the verb's own code.
    """

    def __init__(self) -> None:
        self.seen = self.terminated = False
        self._before: Any = None
        self._handles_term = False

    def __enter__(self) -> _Signals:
        if threading.current_thread() is threading.main_thread():
            self._before = signal.signal(signal.SIGINT, self._interrupt)
            self._handles_term = signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
            if self._handles_term:
                signal.signal(signal.SIGTERM, self._terminate)
        return self

    def ignore_until_exit(self, code: int) -> None:
        """Call this just before the process leaves with `code`. Other threads are waited for, unless a signal comes."""
        handled = [signal.SIGINT] if self._before is not None else []
        handled += [signal.SIGTERM] if self._handles_term else []
        for number in handled:
            # the interpreter resets its own handlers while it shuts down; SIG_IGN stays
            signal.signal(number, (lambda *_: os._exit(code)) if _has_threads() else signal.SIG_IGN)
        self._before, self._handles_term = None, False

    def __exit__(self, *error: object) -> None:
        if self._before is not None:
            signal.signal(signal.SIGINT, self._before)
        if self._handles_term:
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
    blame = "This is a defect of corpusmill or of what it runs on. " if defect else ""
    return f"{blame}The traceback: corpusmill --debug {shlex.join(args)}"


def _has_threads() -> bool:
    """Whether there are threads that the process would wait for."""
    return any(t is not threading.main_thread() and not t.daemon for t in threading.enumerate())


def _leave(code: int) -> NoReturn:
    """Exit. After an interrupt, worker threads are not waited for: files appear whole or not at all, so nothing is lost."""
    if code in (INTERRUPTED, TERMINATED) and _has_threads():
        with contextlib.suppress(OSError):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(code)
    sys.exit(code)


def _version(ctx: click.Context, _: click.Parameter, value: bool) -> None:
    if value and not ctx.resilient_parsing:
        from importlib.metadata import PackageNotFoundError, version

        try:
            say(f"corpusmill {version('corpusmill')}")
        except PackageNotFoundError:
            say("corpusmill from a source tree, not installed")
        ctx.exit()


@click.group(cls=Verbs, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.option("--debug", is_flag=True, help="Show the traceback of an error.")
@click.option("--version", is_flag=True, is_eager=True, expose_value=False, callback=_version, help="Show the version.")
def cli(debug: bool) -> None:
    """Prepare text corpora for language models: from raw shards to clean, deduplicated, versioned snapshots.

    Exit codes: 0 done, 3 nothing new, 2 wrong usage, 75 another process writes the dataset, 78 the recipe has mistakes,
    130 interrupted, 143 stopped by SIGTERM, 1 failed.
    """
    group = click.get_current_context().command
    if isinstance(group, Verbs):
        group.debug = debug


def main() -> NoReturn:
    """The console script."""
    cli.main()


if __name__ == "__main__":
    main()
