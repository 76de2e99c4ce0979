"""``python -m spacy_bert_zh``: the same commands as ``spacy bert-zh``."""

import signal

if __name__ == "__main__":
    # Until a command runs, Ctrl-C needs no traceback through the imports.
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    from spacy_bert_zh.cli import app

    app(prog_name="python -m spacy_bert_zh")
