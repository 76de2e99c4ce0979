"""The commands. Each only names its options and calls the function of the same name."""

import functools
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer

from spacy_bert_zh.errors import BertZhError

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
