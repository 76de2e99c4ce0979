"""The command `serve`."""

from typing import Annotated, Any

import typer

from spacy_bert_zh.cli.application import command
from spacy_bert_zh.cli.options import takes
from spacy_bert_zh.serve.settings import Limits


@command()
@takes(Limits)
def serve(
    pipelines: Annotated[
        list[str],
        typer.Argument(help="[NAME=]FOLDER_OR_PACKAGE, or what 'retrieve build' made."),
    ],
    host: Annotated[str, typer.Option(help="Address to listen at.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port to listen at; 0 takes a free one.")] = 8000,
    ray: Annotated[bool, typer.Option("--ray", help="On Ray; see docs/scale.md.")] = False,
    replicas: Annotated[str, typer.Option(help="--ray: how many; MIN-MAX, by load.")] = "1",
    **limits: Any,
) -> None:
    """Answer HTTP requests with trained pipelines; see docs/serving.md."""
    from spacy_bert_zh.serve import serve as run
    from spacy_bert_zh.serve import serve_on_ray

    if ray:
        serve_on_ray(pipelines, host, port, Limits(**limits), replicas)
    else:
        run(pipelines, host, port, Limits(**limits))
