"""The documentation: complete, and what it says about commands is what they say."""

import html
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from typer.main import get_command

from spacy_bert_zh.cli import app
from tests.conftest import REPOSITORY

DOCS = REPOSITORY / "docs"
LINK = re.compile(r"\]\(([^)#:]+)(?:#[^)]*)?\)")


def pages() -> list[Path]:
    return sorted(DOCS.rglob("*.md"))


def names_in(nav: object) -> set[str]:
    if isinstance(nav, str):
        return {nav}
    inside = nav.values() if isinstance(nav, dict) else nav
    assert not isinstance(inside, str)
    return {name for part in inside for name in names_in(part)}  # type: ignore[attr-defined]


class _Names(yaml.SafeLoader):
    """Reads YAML that names functions of Python, and takes none of them."""


_Names.add_multi_constructor("tag:yaml.org,2002:python/", lambda *_: None)


def test_every_page_is_on_the_site() -> None:
    nav = yaml.load((REPOSITORY / "mkdocs.yml").read_text("utf-8"), _Names)["nav"]
    assert names_in(nav) == {str(page.relative_to(DOCS)) for page in pages()}


def test_the_page_of_commands_is_theirs(tmp_path: Path) -> None:
    """`python -m typer spacy_bert_zh.cli utils docs` makes it; entities are characters in it."""
    words = ["spacy_bert_zh.cli", "utils", "docs", "--name", "spacy-bert-zh", "--output"]
    subprocess.run([sys.executable, "-m", "typer", *words, tmp_path / "made.md"], check=True)
    made = html.unescape((tmp_path / "made.md").read_text("utf-8"))
    assert (DOCS / "commands.md").read_text("utf-8") == made


def test_every_command_and_option_is_on_it() -> None:
    page = (DOCS / "commands.md").read_text("utf-8")
    for name, command in get_command(app).commands.items():  # type: ignore[attr-defined]
        part = page.split(f"## `spacy-bert-zh {name}`")[1].split("\n## ")[0]
        for parameter in command.params:
            if parameter.param_type_name == "option":
                assert f"`{parameter.opts[-1]}" in part or parameter.opts[-1] in part, name


def test_every_registered_name_is_on_the_site() -> None:
    setup = (REPOSITORY / "setup.py").read_text("utf-8")
    page = (DOCS / "components.md").read_text("utf-8")
    names = re.findall(r'"(spacy_bert_zh\.\w+\.v\d+|bert_(?!zh)\w+) = ', setup)
    assert len(names) == 23
    assert all(f"`{name}`" in page for name in names)


@pytest.mark.parametrize("name", ["README.md", "README.zh.md", "CONTRIBUTING.md", "CHANGELOG.md"])
def test_links_lead_somewhere(name: str) -> None:
    found = LINK.findall((REPOSITORY / name).read_text("utf-8"))
    assert found and all((REPOSITORY / link).exists() for link in found)


def test_the_tutorials_are_there_in_both_languages() -> None:
    english, chinese = (
        {page.name for page in (folder / "tutorials").glob("*.md")}
        for folder in (DOCS, DOCS / "zh")
    )
    assert english == chinese and len(english) == 7


def test_both_readmes_open_with_the_two_lines() -> None:
    english, chinese = (
        (REPOSITORY / name).read_text("utf-8").splitlines()[2:4]
        for name in ("README.md", "README.zh.md")
    )
    assert english == chinese
