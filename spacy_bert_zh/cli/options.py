"""The fields of a dataclass as options of a command, each with what the docstring says of it."""

import inspect
import re
from collections.abc import Callable, Collection
from dataclasses import MISSING, Field, fields
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, TypeVar, get_args, get_origin

import typer

from spacy_bert_zh.reading.options import option

Command = TypeVar("Command", bound=Callable[..., None])
# Names that aren't made of the field's.
NAMES = {
    "format": ("--format", "-f"),
    "code": ("--code", "-c"),
    "label_first": (option("label_first"),),
}
_ENTRY = re.compile(r"^ {4}(\w+): (.+(?:\n {8}.+)*)", re.MULTILINE)


def takes(
    made: type[Any], *, without: Collection[str] = (), undecided: Collection[str] = ()
) -> Callable[[Command], Command]:
    """Let a command take the fields of a dataclass as options, in place of its ``**options``.

    A tuple is one text between commas on the command line, empty where that is the default; but
    for paths, which are given one by one.

    Args:
        made: The dataclass; the docstrings of it and its bases say what each field means.
        without: Fields that are no options.
        undecided: Fields that are None where they aren't given: others know their defaults.
    """
    helps = _helps(made)
    generated = [
        _parameter(field, helps.get(field.name, ""), field.name in undecided)
        for field in fields(made)
        if field.name not in without
    ]

    def decorate(command: Command) -> Command:
        *own, _ = inspect.signature(command).parameters.values()
        # What must be given stands first, as Python wants it.
        every = sorted([*own, *generated], key=lambda one: one.default is not one.empty)
        command.__signature__ = inspect.Signature(every)  # type: ignore[attr-defined]
        return command

    return decorate


def _parameter(field: Field[Any], help: str, undecided: bool) -> inspect.Parameter:
    kind: Any = field.type
    default = None if undecided else field.default
    known = [one for one in get_args(kind) if one is not NoneType]
    if isinstance(kind, UnionType):  # with None
        kind = known[0]
    if get_origin(kind) is tuple:
        paths = get_args(kind)[0] is Path
        kind, default = (list[Path], None) if paths else (str, None if default is None else "")
    optional = kind | None if default is None else kind
    return inspect.Parameter(
        field.name,
        inspect.Parameter.POSITIONAL_OR_KEYWORD,
        default=inspect.Parameter.empty if default is MISSING else default,
        annotation=Annotated[optional, typer.Option(*NAMES.get(field.name, ()), help=help)],
    )


def _helps(made: type[Any]) -> dict[str, str]:
    docstrings = [inspect.cleandoc(one.__doc__ or "") for one in reversed(made.__mro__)]
    entries = [entry for docstring in docstrings for entry in _ENTRY.findall(docstring)]
    return {name: " ".join(text.split()) for name, text in entries}
