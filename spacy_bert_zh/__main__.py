"""``python -m spacy_bert_zh``: the same commands as ``spacy bert-zh``."""

from spacy_bert_zh.cli import app

if __name__ == "__main__":
    app(prog_name="python -m spacy_bert_zh")
