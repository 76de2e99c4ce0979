"""``python -m spacy_bert_zh``: the same commands as ``spacy bert-zh``."""

import signal
import sys
from collections.abc import Iterable


def unquoted(arguments: Iterable[str]) -> list[str]:
    """Arguments without the quotation marks that weasel leaves around them on Windows."""
    return [
        argument[1:-1] if len(argument) > 1 and argument[0] == argument[-1] == '"' else argument
        for argument in arguments
    ]


if __name__ == "__main__":
    # Until a command runs, Ctrl-C needs no traceback through the imports.
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    from spacy_bert_zh.cli import app

    arguments = unquoted(sys.argv[1:]) if sys.platform == "win32" else sys.argv[1:]
    app(arguments, prog_name="python -m spacy_bert_zh")
