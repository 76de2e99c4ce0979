"""Adds our commands to spaCy's own command line as ``spacy bert-zh …``."""

from spacy.cli._util import app as spacy_app

from spacy_bert_zh.cli import app

spacy_app.add_typer(app, name="bert-zh")
