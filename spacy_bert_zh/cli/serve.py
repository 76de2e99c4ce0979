"""The command `serve`."""

from typing import Annotated

import typer

from spacy_bert_zh.cli.application import command


@command()
def serve(
    pipelines: Annotated[list[str], typer.Argument(help="[NAME=]FOLDER_OR_PACKAGE, one or more.")],
    host: Annotated[str, typer.Option(help="Address to listen at.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port to listen at; 0 takes a free one.")] = 8000,
    max_batch: Annotated[int, typer.Option(help="Texts computed at once, at most.")] = 32,
    max_wait: Annotated[float, typer.Option(help="Seconds that a text waits for others.")] = 0.003,
    max_queue: Annotated[int, typer.Option(help="Texts that wait, at most.")] = 1024,
    max_texts: Annotated[int, typer.Option(help="Texts of a request, at most.")] = 256,
    max_length: Annotated[int, typer.Option(help="Characters of a text, at most.")] = 20_000,
    deadline: Annotated[float, typer.Option(help="Seconds until a request is given up.")] = 10.0,
    ray: Annotated[bool, typer.Option("--ray", help="On Ray; see docs/scale.md.")] = False,
    replicas: Annotated[str, typer.Option(help="--ray: how many; MIN-MAX, by load.")] = "1",
) -> None:
    """Answer HTTP requests with trained pipelines; see docs/serving.md."""
    from spacy_bert_zh.serve import Limits, serve_on_ray
    from spacy_bert_zh.serve import serve as run

    limits = Limits(
        max_batch=max_batch,
        max_wait=max_wait,
        max_queue=max_queue,
        max_texts=max_texts,
        max_length=max_length,
        deadline=deadline,
    )
    if ray:
        serve_on_ray(pipelines, host, port, limits, replicas)
    else:
        run(pipelines, host, port, limits)
