"""What holds for the command line as a whole."""

import pytest
from typer.testing import CliRunner

from spacy_bert_zh import __version__
from spacy_bert_zh.cli import app


def test_the_version() -> None:
    result = CliRunner().invoke(app, ["--version"])
    assert (result.exit_code, result.output) == (0, f"spacy_bert_zh {__version__}\n")


@pytest.mark.parametrize("words", [[], ["convert"], ["serve"]])
def test_help_has_a_short_name(words: list[str]) -> None:
    short, long = (CliRunner().invoke(app, [*words, name]) for name in ("-h", "--help"))
    assert short.exit_code == long.exit_code == 0
    assert "Usage" in short.output and short.output == long.output
