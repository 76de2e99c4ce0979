"""The command `explain`."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from spacy_bert_zh.cli.application import command


@command()
def explain(
    pipeline: Annotated[str, typer.Argument(help="Folder or package name of a pipeline.")],
    texts: Annotated[list[str] | None, typer.Argument(help="Texts to explain.")] = None,
    file: Annotated[Path | None, typer.Option(help="More texts, one a line, in UTF-8.")] = None,
    label: Annotated[
        list[str] | None, typer.Option(help="Label to explain, may be repeated; else those given.")
    ] = None,
    against: Annotated[str | None, typer.Option(help="Explain why not this label.")] = None,
    samples: Annotated[
        int, typer.Option(help="Permutations for Shapley values, such as 25.", min=0)
    ] = 0,
    search: Annotated[
        bool, typer.Option("--search", help="Search for the order of words.")
    ] = False,
    evidence_by: Annotated[
        Literal["similarity", "influence"],
        typer.Option(help="Which texts of the pipeline's index are shown."),
    ] = "similarity",
    html: Annotated[Path | None, typer.Option(help="Page to make.")] = None,
    json: Annotated[bool, typer.Option("--json", help="A line of JSON for each text.")] = False,
    rate: Annotated[
        Path | None, typer.Option(help="Corpus to rate, and to find labels' words in.")
    ] = None,
    most: Annotated[int, typer.Option(help="Texts of that corpus, drawn.", min=1)] = 500,
    component: Annotated[str | None, typer.Option(help="Which text classifier.")] = None,
) -> None:
    """Show which words a text's labels come from, and how far to believe that."""
    from spacy_bert_zh.explain.command import run

    run(
        pipeline,
        texts or [],
        file=file,
        labels=label or [],
        against=against,
        samples=samples,
        search=search,
        evidence_by=evidence_by,
        html=html,
        as_json=json,
        corpus=rate,
        most=most,
        component=component,
    )
