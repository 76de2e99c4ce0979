"""The command `pretrain`."""

from pathlib import Path
from typing import Annotated

import typer

from spacy_bert_zh.cli.application import command
from spacy_bert_zh.cli.options import Delimiter, Encoding, Escape, Quotes, Sheet


@command()
def pretrain(
    corpus: Annotated[Path, typer.Argument(help="File (also .gz, .xz) or folder of raw text.")],
    output: Annotated[Path, typer.Argument(help="Checkpoint folder to make.")],
    preset: Annotated[str, typer.Option(help="Size: nano, mini, small or base.")] = "nano",
    format: Annotated[
        str, typer.Option("--format", "-f", help="text, jsonl, ccnet, sogou, or any of convert's.")
    ] = "text",
    encoding: Encoding = None,
    delimiter: Delimiter = None,
    quotes: Quotes = None,
    escape: Escape = None,
    sheet: Sheet = None,
    text_columns: Annotated[str, typer.Option(help="One or more, between commas.")] = "",
    checkpoint: Annotated[Path | None, typer.Option(help="Go on from this checkpoint.")] = None,
    teacher: Annotated[Path | None, typer.Option(help="Learn from this checkpoint.")] = None,
    teacher_prefix: Annotated[str, typer.Option(help="E.g. 'query: ', for E5.")] = "",
    vocabulary: Annotated[Path | None, typer.Option(help="Else one is trained.")] = None,
    vocab_size: Annotated[int | None, typer.Option(help="Pieces in all.")] = None,
    words: Annotated[bool, typer.Option(help="Frequent words are pieces too.")] = False,
    layers: Annotated[int | None, typer.Option(help="Instead of the preset's.")] = None,
    hidden_size: Annotated[int | None, typer.Option(help="Instead of the preset's.")] = None,
    heads: Annotated[int | None, typer.Option(help="Instead of the preset's.")] = None,
    max_positions: Annotated[int | None, typer.Option(help="Longest text, in pieces.")] = None,
    length: Annotated[int | None, typer.Option(help="Pieces of a training row.")] = None,
    batch_size: Annotated[int | None, typer.Option(help="Rows of a step.")] = None,
    steps: Annotated[int | None, typer.Option(help="Steps of training.")] = None,
    optimizer: Annotated[str | None, typer.Option(help="adamw or muon.")] = None,
    learn_rate: Annotated[float | None, typer.Option(help="At its highest.")] = None,
    dropout: Annotated[float | None, typer.Option(help="While pretraining.")] = None,
    mask_rate: Annotated[float | None, typer.Option(help="Share of pieces to predict.")] = None,
    ngrams: Annotated[str, typer.Option(help="Shares of 1, 2, … words masked at once.")] = "",
    similar: Annotated[list[Path] | None, typer.Option(help="Files of similar characters.")] = None,
    exclude: Annotated[list[Path] | None, typer.Option(help="Converted texts to avoid.")] = None,
    held_out: Annotated[float | None, typer.Option(help="Share of texts to measure on.")] = None,
    seed: Annotated[int, typer.Option(help="Of every random choice.")] = 0,
    precision: Annotated[str, typer.Option(help="auto, bf16 or fp32.")] = "auto",
    compile: Annotated[bool | None, typer.Option(help="torch.compile; else on a GPU.")] = None,
    workers: Annotated[int | None, typer.Option(help="Processes that prepare data.")] = None,
    save_every: Annotated[int | None, typer.Option(help="Steps between checkpoints.")] = None,
    log_every: Annotated[int | None, typer.Option(help="Steps between metrics.")] = None,
    half: Annotated[bool, typer.Option(help="Save the weights as float16.")] = False,
    restart: Annotated[bool, typer.Option(help="Don't go on from a cut-off run.")] = False,
) -> None:
    """Pretrain a BERT on raw text; goes on where it was cut off. Also under torchrun."""
    options = {**locals(), "similar": tuple(similar or ()), "exclude": tuple(exclude or ())}
    from spacy_bert_zh.pretrain import make_options
    from spacy_bert_zh.pretrain import pretrain as run

    for name in ("corpus", "output", "restart"):
        del options[name]
    typer.echo(run(corpus, output, make_options(**options), restart))
