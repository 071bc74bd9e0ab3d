"""The verb browse: a dataset in a browser on this machine."""

from __future__ import annotations

import click

from corpusmill.pipelines.wording import say


@click.command()
@click.argument("datasets", metavar="DIR...", nargs=-1, required=True)
@click.option("--port", type=click.IntRange(0, 65535), default=0, metavar="N", help="Port; default: any that is free.")
@click.option("--open/--no-open", "opens", default=True, show_default=True, help="Open the page in a browser.")
def browse(datasets: tuple[str, ...], port: int, opens: bool) -> None:
    """Search, filter, sort and compare the documents of DIR in a browser. Ctrl-C ends it.

    The server listens on 127.0.0.1 alone, answers who has the address with its token, and only reads. Needs
    `pip install 'corpusmill[browse]'`.
    """
    from corpusmill.pipelines.browse.server import serve

    serve(list(datasets), port, opens, say)
