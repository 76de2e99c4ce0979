"""Trees of labels by their names: which label lies under which, from a table or from separators."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from spacy_bert_zh.errors import BertZhError
from spacy_bert_zh.untrusted import read_json, read_text, shorten_text

SEPARATOR = "/"
"""Between the levels of a label, unless told otherwise."""
MOST_LEVELS = 100


@dataclass(frozen=True)
class Taxonomy:
    """Which label lies under which; a label without a parent is at the top.

    Attributes:
        parents: The parent of each label that has one.
        alone: Further labels, at the top and with none under them.

    Raises:
        BertZhError: A label is its own ancestor, or has more than `MOST_LEVELS` above it.

    Examples:
        >>> tree = Taxonomy({"体育/足球": "体育", "体育/足球/中超": "体育/足球"})
        >>> tree.path("体育/足球/中超")
        ['体育', '体育/足球', '体育/足球/中超']
    """

    parents: Mapping[str, str]
    alone: frozenset[str] = frozenset()

    def __post_init__(self) -> None:
        depths: dict[str, int] = {}
        for label in self.parents:
            seen = [label]
            while seen[-1] in self.parents and seen[-1] not in depths:
                parent = self.parents[seen[-1]]
                if parent in seen:
                    ring = " → ".join(map(shorten_text, [*seen[seen.index(parent) :][:5], parent]))
                    raise BertZhError(
                        f"the taxonomy goes round in a circle: {ring}; a label can't lie under "
                        "itself"
                    )
                seen.append(parent)
                self._check_depth(label, len(seen))
            above = depths.get(seen[-1], 0)
            depths |= {node: above + number for number, node in enumerate(reversed(seen))}
            self._check_depth(label, depths[label])

    @staticmethod
    def _check_depth(label: str, depth: int) -> None:
        if depth > MOST_LEVELS:
            raise BertZhError(
                f"the taxonomy has more than {MOST_LEVELS} levels above '{shorten_text(label)}': "
                "that is no tree of labels"
            )

    @property
    def labels(self) -> set[str]:
        """All labels."""
        return {*self.parents, *self.parents.values(), *self.alone}

    def path(self, label: str) -> list[str]:
        """A label with all above it, from the top."""
        found = [label]
        while found[-1] in self.parents:
            found.append(self.parents[found[-1]])
        return found[::-1]

    def closed(self, labels: Iterable[str]) -> set[str]:
        """Labels and all above them."""
        return {node for label in labels for node in self.path(label)}

    def among(self, labels: Iterable[str]) -> dict[str, str]:
        """The parents of these labels and of all above them."""
        nodes = sorted(self.closed(labels))
        return {node: self.parents[node] for node in nodes if node in self.parents}


def split_labels(labels: Iterable[str], separator: str = SEPARATOR) -> Taxonomy:
    """The tree that labels such as "体育/足球" are of.

    Args:
        labels: They keep their names; the label above "体育/足球" is "体育".
        separator: Between the levels.

    Raises:
        BertZhError: A level has no name, or one name is that of a leaf in one place and has labels
            under it in another.

    Examples:
        >>> split_labels(["体育/足球", "娱乐"]).parents
        {'体育/足球': '体育'}
    """
    parents: dict[str, str] = {}
    for label in labels:
        levels = label.split(separator)
        if not all(level.strip() for level in levels):
            raise BertZhError(f"the label '{label}' has an empty level between its '{separator}'")
        paths = [separator.join(levels[:depth]) for depth in range(1, len(levels) + 1)]
        parents |= dict(zip(paths[1:], paths[:-1], strict=True))
    _check_names(parents, separator)
    return Taxonomy(parents)


def _check_names(parents: Mapping[str, str], separator: str) -> None:
    """Nobody could tell what a name means that is a class here and a group of classes there."""
    inner = {parent.rpartition(separator)[2]: parent for parent in parents.values()}
    for label in sorted(parents.keys() - set(parents.values())):
        name = label.rpartition(separator)[2]
        if name in inner:
            raise BertZhError(
                f"'{name}' is the end of '{label}', but has labels under it in '{inner[name]}': "
                "give one of them another name (convert: --label-names)"
            )


def read_taxonomy(path: Path) -> Taxonomy:
    """Read a table of child and parent with a tab between them, or JSON as `convert` writes it.

    A label at the top without any under it stands alone in its line; in JSON its parent is "".

    Args:
        path: A file in UTF-8; one whose name ends in ``.json`` is an object, child to parent.

    Raises:
        BertZhError: A line is no pair, a label has two parents or is its own ancestor.
    """
    try:
        pairs = _read_json(path) if path.suffix == ".json" else _read_table(path)
        parents = {child: parent for child, parent in pairs.items() if parent}
        if not parents:
            raise BertZhError("it names no child with a parent")
        return Taxonomy(parents, frozenset(pairs.keys() - parents.keys()))
    except BertZhError as error:
        message = str(error)
        raise BertZhError(message if str(path) in message else f"{path}: {message}") from None


def _read_json(path: Path) -> dict[str, str]:
    found = read_json(path)
    if not all(isinstance(parent, str) for parent in found.values()):
        raise BertZhError("it must name one parent for each label: {child: parent}")
    return found


def _read_table(path: Path) -> dict[str, str]:
    parents: dict[str, str] = {}
    places: dict[str, int] = {}
    for number, line in enumerate(read_text(path).splitlines(), 1):
        if not line.strip():
            continue
        child, *rest = (part.strip() for part in line.split("\t"))
        parent = rest[0] if rest else ""
        if not child or len(rest) > 1:
            raise BertZhError(
                f"line {number} is no child and parent with a tab between them: '{line[:50]}'"
            )
        if parents.get(child, parent) != parent:
            raise BertZhError(
                f"'{child}' has two parents, '{parents[child]}' in line {places[child]} and "
                f"'{parent}' in line {number}: in a tree it has one"
            )
        parents[child], places[child] = parent, number
    return parents
