"""The commands: each file only names options and calls the function of the same name."""

from spacy_bert_zh.cli import (  # noqa: F401
    convert,
    evaluate,
    export,
    package,
    pretrain,
    score,
    serve,
    train,
)
from spacy_bert_zh.cli.application import app

__all__ = ["app"]
