"""The application, and what holds for every command: the one boundary for errors."""

import functools
import os
import sys
from collections.abc import Callable
from typing import Any

import typer

from spacy_bert_zh.errors import BertZhError

# Threads of OpenMP that spin while they wait make small networks up to 40 times slower, and
# this must be set before torch is loaded.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")

app = typer.Typer(
    help="Chinese BERT text classification for spaCy: corpus in, installable pipeline out.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)


def command(**options: Any) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Register a command that shows a `BertZhError` as one line and exits with 1."""

    def register(function: Callable[..., None]) -> Callable[..., None]:
        @functools.wraps(function)
        def run(*args: Any, **kwargs: Any) -> None:
            try:
                function(*args, **kwargs)
            except BertZhError as error:
                typer.secho(f"✘ {error}", fg=typer.colors.RED, err=True)
                sys.exit(1)

        return app.command(**options)(run)

    return register


@app.callback()
def main() -> None:
    """Chinese BERT text classification for spaCy."""
