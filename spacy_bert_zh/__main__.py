"""``python -m spacy_bert_zh``: the same commands as ``spacy bert-zh``."""

import sys
from collections.abc import Iterable

from spacy_bert_zh.cli import app


def unquoted(arguments: Iterable[str]) -> list[str]:
    """Arguments without the quotation marks that weasel leaves around them on Windows."""
    return [
        argument[1:-1] if len(argument) > 1 and argument[0] == argument[-1] == '"' else argument
        for argument in arguments
    ]


if __name__ == "__main__":
    arguments = unquoted(sys.argv[1:]) if sys.platform == "win32" else sys.argv[1:]
    app(arguments, prog_name="python -m spacy_bert_zh")
