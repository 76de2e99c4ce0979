"""The command `pretrain`."""

from pathlib import Path
from typing import Annotated, Any

import typer

from spacy_bert_zh.cli.application import command
from spacy_bert_zh.cli.options import takes
from spacy_bert_zh.pretrain.options import BY_PRESET, Options


@command()
@takes(Options, undecided=BY_PRESET)
def pretrain(
    corpus: Annotated[Path, typer.Argument(help="File (also .gz, .xz) or folder of raw text.")],
    output: Annotated[Path, typer.Argument(help="Checkpoint folder to make.")],
    preset: Annotated[str, typer.Option(help="Size: nano, mini, small or base.")] = "nano",
    restart: Annotated[bool, typer.Option(help="Don't go on from a cut-off run.")] = False,
    **options: Any,
) -> None:
    """Pretrain a BERT on raw text; goes on where it was cut off. Also under torchrun."""
    from spacy_bert_zh.pretrain import make_options
    from spacy_bert_zh.pretrain import pretrain as run

    typer.echo(run(corpus, output, make_options(preset, **options), restart))
