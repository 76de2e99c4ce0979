"""Options made of dataclasses: named, described and typed as their fields are."""

import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import typer
from typer.main import get_command
from typer.testing import CliRunner

from spacy_bert_zh.cli import app
from spacy_bert_zh.cli.options import takes


@dataclass
class Base:
    """What is the same for several.

    Args:
        format: The format,
            on two lines.
    """

    format: str


@dataclass
class Made(Base):
    """One of every kind.

    Args:
        count: A number.
        names: Some names.
        shares: Some numbers.
        paths: Some files.
        sure: Yes or no.
        size: A number that others know.
        hidden: No option.
    """

    count: int = 3
    names: tuple[str, ...] = ()
    shares: tuple[float, ...] | None = None
    paths: tuple[Path, ...] = ()
    sure: bool | None = None
    size: int = 5
    hidden: int = 0


def build(given: dict[str, Any]) -> typer.Typer:
    """A command that tells what it was given."""
    made = typer.Typer()

    @made.command()
    @takes(Made, without=["hidden"], undecided=["size"])
    def command(last: int = 1, **options: Any) -> None:
        given.update(options, last=last)

    return made


def run(*words: str) -> dict[str, Any]:
    given: dict[str, Any] = {}
    result = CliRunner().invoke(build(given), words)
    assert result.exit_code == 0, result.output
    return given


def test_options_that_are_not_given() -> None:
    unset = {"shares": None, "sure": None, "size": None}
    given = run("-f", "csv")
    assert not given.pop("paths")
    assert given == {"format": "csv", "count": 3, "names": "", "last": 1, **unset}


def test_options_that_are_given() -> None:
    words = "--format csv --count 4 --names a,b --shares 1,2 --no-sure --size 6 --last 2"
    given = run(*words.split(), "--paths", "a", "--paths", "b")
    texts = {"format": "csv", "names": "a,b", "shares": "1,2"}
    numbers = {"count": 4, "size": 6, "last": 2, "sure": False}
    assert given == {**texts, **numbers, "paths": [Path("a"), Path("b")]}


def test_the_help_is_the_docstring_s() -> None:
    helps = {parameter.name: parameter.help for parameter in get_command(build({})).params}
    assert helps["format"] == "The format, on two lines." and helps["sure"] == "Yes or no."
    assert "hidden" not in helps


def test_every_parameter_of_every_command_has_a_help() -> None:
    for name, command in get_command(app).commands.items():  # type: ignore[attr-defined]
        assert all(parameter.help for parameter in command.params), name


def test_the_command_line_starts_without_what_the_commands_need() -> None:
    code = "import sys, spacy_bert_zh.cli; print(*{name.split('.')[0] for name in sys.modules})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    heavy = {"numpy", "spacy", "thinc", "tokenizers", "pydantic"}
    assert not heavy & set(done.stdout.split())
