"""A trained pipeline behind HTTP; see docs/serving.md."""

from collections.abc import Sequence

from spacy_bert_zh.errors import missing_extra
from spacy_bert_zh.serve.settings import Limits

__all__ = ["Limits", "serve", "serve_on_ray"]


def serve(
    pipelines: Sequence[str],
    host: str = "127.0.0.1",
    port: int = 8000,
    limits: Limits | None = None,
) -> None:
    """Answer HTTP requests with trained pipelines, or by search, until SIGTERM or SIGINT.

    SIGHUP loads the pipelines again. If the environment has SPACY_BERT_ZH_API_KEY, requests for
    an answer must bring it.

    Args:
        pipelines: Each the folder of a trained pipeline or the name of an installed one, after
            ``NAME=`` if it isn't to be called by its own name. The first is the default. A folder
            that `retrieve build` made is searched.
        host: Address to listen at.
        port: Port to listen at; 0 takes a free one, which the log names.
        limits: What is accepted, and how long anything may take.

    Raises:
        BertZhError: A package is missing, a pipeline can't be loaded or can't classify, two have
            the same name, or the address is taken.
    """
    try:
        from spacy_bert_zh.serve.server import run
    except ImportError as error:
        raise missing_extra(error.name or "fastapi", "serve", "serve") from None
    run(pipelines, host, port, limits or Limits())


def serve_on_ray(
    pipelines: Sequence[str],
    host: str = "127.0.0.1",
    port: int = 8000,
    limits: Limits | None = None,
    replicas: str = "1",
) -> None:
    """Do the same with Ray Serve, on the cluster that RAY_ADDRESS names or else here.

    Args:
        pipelines: As for `serve`; folders are those of the nodes.
        host: Address to listen at, of each node.
        port: Port to listen at.
        limits: Of each replica.
        replicas: Processes that each have all pipelines: a number, or MIN-MAX to have as many as
            the load needs.

    Raises:
        BertZhError: As `serve`, or Ray can't be had.
    """
    try:
        from spacy_bert_zh.serve.deployment import run
    except ImportError as error:
        raise missing_extra(error.name or "ray", "ray", "serve --ray") from None
    run(pipelines, host, port, limits or Limits(), replicas)
