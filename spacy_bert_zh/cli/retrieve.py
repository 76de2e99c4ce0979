"""The commands of `retrieve`: build, ask, evaluate."""

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from spacy_bert_zh.cli.application import app
from spacy_bert_zh.cli.options import takes
from spacy_bert_zh.retrieve.options import Options

retrieve = typer.Typer(
    help="Search a corpus, or find the answer to a question: by words, by vectors or by both.",
    no_args_is_help=True,
)
app.add_typer(retrieve, name="retrieve")

Folder = Annotated[Path, typer.Argument(help="What 'retrieve build' made.")]


@retrieve.command()
@takes(Options)
def build(
    table: Annotated[Path, typer.Argument(help="Corpus, or questions with their answers.")],
    output: Annotated[Path, typer.Argument(help="Folder to make.")],
    pipeline: Annotated[
        str | None, typer.Option(help="A trained pipeline whose vectors are compared as well.")
    ] = None,
    gpu_id: Annotated[
        int, typer.Option("--gpu-id", "-g", help="GPU id, or -1 for the CPU", min=-1)
    ] = -1,
    component: Annotated[str | None, typer.Option(help="Which component makes vectors.")] = None,
    **options: Any,
) -> None:
    """Make a folder in which the rows of a table can be searched."""
    from spacy_bert_zh.retrieve import build as run

    made = Options(**options)
    found = run(table, output, made, pipeline=pipeline, gpu_id=gpu_id, component=component)
    for what, why in (("empty", "rows without text"), ("twice", "rows that were there already")):
        if found[what]:
            typer.echo(f"ℹ {found[what]:,} {why} are left out")
    if "score" in found:
        typer.echo(
            f"ℹ answers from a confidence of {found['score']:.3f}: {found['answered']:.0%} of the "
            "questions get one"
        )
    typer.echo(f"✔ {output} ({found['entries']:,} entries, {found['texts']:,} texts)")


@retrieve.command()
def ask(
    folder: Folder,
    questions: Annotated[list[str], typer.Argument(help="What to search for.")],
    top: Annotated[int, typer.Option(help="So many entries at most.")] = 5,
    by: Annotated[
        str | None, typer.Option(help="words, vectors or both; else both where there are vectors.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="JSON lines, one a question.")] = False,
) -> None:
    """Find what fits questions best."""
    from spacy_bert_zh.retrieve import Retriever

    found = Retriever.load(folder).search_all(questions, top, by)  # type: ignore[arg-type]
    for question, one in zip(questions, found, strict=True):
        if as_json:
            said = {"question": question, **one.as_dict()}
            typer.echo(json.dumps(said, ensure_ascii=False))
            continue
        sure = "" if one.confidence is None else f" (confidence {one.confidence:.3f})"
        none = one.known is False or not one.hits
        typer.echo(f"{question}{sure}{': none of these' if none and one.hits else ''}")
        if not one.hits:
            typer.echo("   nothing found")
        for place, hit in enumerate(one.hits, 1):
            answer = f" → {hit.entry.answer}" if hit.entry.answer else ""
            typer.echo(f"{place:>4}. {hit.score:.4f}  {hit.entry.text}{answer}")


@retrieve.command()
def evaluate(
    folder: Folder,
    questions: Annotated[Path, typer.Argument(help="Questions with what should be found.")],
    output: Annotated[Path, typer.Argument(help="JSON file to write.")],
    text_column: Annotated[str, typer.Option(help="Of the questions; else detected.")] = "",
    expected_column: Annotated[
        str, typer.Option(help="Of the text or answer that should be found; empty for none.")
    ] = "expected",
) -> None:
    """Measure recall, MRR and nDCG of words, of vectors and of both on questions."""
    from spacy_bert_zh.markdown import render_table
    from spacy_bert_zh.retrieve import evaluate_retriever as run

    columns = {"text_column": text_column, "expected_column": expected_column}
    found = run(folder, questions, output, **columns)
    names = list(found["by"]["words"])
    rows = [
        [by, *(figures[name]["value"] for name in names)] for by, figures in found["by"].items()
    ]
    typer.echo(render_table(["", *names], rows))
    for by, figures in found["by"].items():
        low, high = figures["recall@1"]["interval"]
        against = f", against words p = {figures['p']:.2g}" if "p" in figures else ""
        typer.echo(f"ℹ recall@1 of {by}: {low:.3f} to {high:.3f}{against}")
    if said := found.get("refusal"):
        typer.echo(f"ℹ {said['answered']:.0%} answered, {said['right'] or 0:.1%} of that rightly")
    typer.echo(f"✔ {output} ({found['questions']:,} questions)")
