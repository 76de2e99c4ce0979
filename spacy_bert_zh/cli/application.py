"""The application, and what holds for every command, wherever it is hung into."""

import os
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from spacy_bert_zh import __version__
from spacy_bert_zh.cli.console import adapt_console
from spacy_bert_zh.cli.ending import boundary

# Threads of OpenMP that spin while they wait make small networks up to 40 times slower, and
# this must be set before torch is loaded.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")


class Commands(TyperGroup):
    """All commands: they print on any console and end with one line."""

    def make_context(self, *args: Any, **kwargs: Any) -> Any:
        """Called with the command line, before anything is printed."""
        adapt_console()
        return super().make_context(*args, **kwargs)

    def invoke(self, ctx: Any) -> Any:
        """Run the command that the command line names."""
        with boundary(_named(ctx)):
            return super().invoke(ctx)


def _named(ctx: Any) -> str:
    # Before it has been found, only there; typer and click have renamed it.
    rest = getattr(ctx, "_protected_args", None) or getattr(ctx, "protected_args", [])
    return next(iter([*rest, *ctx.args]), "The command")


app = typer.Typer(
    cls=Commands,
    help="Chinese BERT text classification for spaCy: corpus in, installable pipeline out.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
command = app.command


def _print_version(asked: bool) -> None:
    if asked:
        typer.echo(f"spacy_bert_zh {__version__}")
        raise typer.Exit


@app.callback()
def main(
    version: Annotated[
        bool,
        typer.Option(
            "--version", help="Print the version.", callback=_print_version, is_eager=True
        ),
    ] = False,
) -> None:
    """Chinese BERT text classification for spaCy."""
