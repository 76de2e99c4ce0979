"""Labels that are a tree: every row gets all labels above its own."""

import json
from pathlib import Path
from typing import TYPE_CHECKING

from spacy_bert_zh.convert.naming import listed
from spacy_bert_zh.convert.options import Options
from spacy_bert_zh.convert.spool import Spool
from spacy_bert_zh.errors import BertZhError

if TYPE_CHECKING:
    from spacy_bert_zh.textcat import Taxonomy


def close_labels(spool: Spool, options: Options) -> "Taxonomy | None":
    """Give the rows of a spool all labels above their own, if the options say what a tree is.

    Raises:
        BertZhError: The taxonomy is no tree, or lacks a label; no label has the separator, or one
            name is a leaf here and has labels under it there.
    """
    if options.taxonomy is None and options.level_separator is None:
        return None
    from spacy_bert_zh.textcat import read_taxonomy, split_labels  # brings spaCy along

    labels = {label for names, _ in spool.counts("rows", "labels") for label in json.loads(names)}
    if options.taxonomy is not None:
        tree = read_taxonomy(options.taxonomy)
        _check_known(labels - tree.labels, options.taxonomy)
    else:
        tree = split_labels(labels, str(options.level_separator))
        if not tree.parents:
            raise BertZhError(
                f"--level-separator: no label has '{options.level_separator}' in it, "
                f"e.g. {listed(sorted(labels), 3)}"
            )
    spool.change_labels(tree.closed)
    return tree


def _check_known(unknown: set[str], taxonomy: Path) -> None:
    if unknown:
        raise BertZhError(
            f"{taxonomy} lacks the label {listed(sorted(unknown))} of the corpus: add a line with "
            "its parent, or with the label alone if it is at the top, or rename it with "
            "--label-names"
        )


def describe(tree: "Taxonomy", labels: list[str]) -> str:
    """A tree in words."""
    parents = tree.among(labels)
    tops, leaves = set(labels) - parents.keys(), set(labels) - set(parents.values())
    levels = max(len(tree.path(label)) for label in labels)
    return (
        f"the labels are a tree of {levels} levels, {len(tops):,} at the top and {len(leaves):,} "
        "leaves: every row has all labels above its own (taxonomy.json)"
    )


def write_taxonomy(tree: "Taxonomy", labels: list[str], folder: Path) -> None:
    """Write the parents of labels where the config of a training looks for them."""
    text = json.dumps(tree.among(labels), ensure_ascii=False, indent=2)
    (folder / "taxonomy.json").write_text(text + "\n", "utf-8")
