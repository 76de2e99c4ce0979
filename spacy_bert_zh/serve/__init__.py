"""A trained pipeline behind HTTP; see docs/serving.md."""

from collections.abc import Sequence

from spacy_bert_zh.errors import missing_extra
from spacy_bert_zh.serve.settings import Limits

__all__ = ["Limits", "serve"]


def serve(
    pipelines: Sequence[str],
    host: str = "127.0.0.1",
    port: int = 8000,
    limits: Limits | None = None,
) -> None:
    """Answer HTTP requests with trained pipelines until SIGTERM or SIGINT.

    SIGHUP loads the pipelines again. If the environment has SPACY_BERT_ZH_API_KEY, requests for
    a classification must bring it.

    Args:
        pipelines: Each the folder of a trained pipeline or the name of an installed one, after
            ``NAME=`` if it isn't to be called by its own name. The first is the default.
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
