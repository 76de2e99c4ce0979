"""Trees of labels: read, refused where they are none, and what they make of scores."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from spacy_bert_zh.errors import BertZhError
from spacy_bert_zh.textcat import Taxonomy, Tree, read_taxonomy, split_labels


@st.composite
def forests(draw: st.DrawFn) -> tuple[Tree, NDArray[np.float64]]:
    """Labels in any order, each under an earlier one or at the top, and scores of some texts."""
    count = draw(st.integers(1, 9))
    parents = {}
    for number in range(1, count):
        above = draw(st.integers(-1, number - 1))
        if above >= 0:
            parents[f"类{number}"] = f"类{above}"
    labels = draw(st.permutations([f"类{number}" for number in range(count)]))
    rows = draw(st.integers(1, 4))
    # Few values, so that many are equal.
    values = draw(st.lists(st.integers(0, 6), min_size=rows * count, max_size=rows * count))
    return Tree(labels, parents), np.asarray(values, float).reshape(rows, count) / 6


def below(tree: Tree, label: str) -> list[int]:
    taxonomy = Taxonomy(tree.parents)
    return [i for i, other in enumerate(tree.labels) if label in taxonomy.path(other)]


@given(forests())
def test_a_label_has_the_highest_score_of_all_below_it(
    drawn: tuple[Tree, NDArray[np.float64]],
) -> None:
    tree, scores = drawn
    raised = tree.raised(scores)
    for column, label in enumerate(tree.labels):
        np.testing.assert_array_equal(raised[:, column], scores[:, below(tree, label)].max(1))
    assert not tree.violations(raised).any()
    np.testing.assert_array_equal(scores[:, tree.table()].max(2), raised)
    np.testing.assert_array_equal(tree.raised(raised), raised)


@given(forests(), st.floats(0, 1))
def test_one_path_goes_down_from_the_top_as_far_as_labels_are_given(
    drawn: tuple[Tree, NDArray[np.float64]], threshold: float
) -> None:
    tree, scores = drawn
    raised = tree.raised(scores)
    paths = tree.one_path(raised, raised >= threshold)
    taxonomy = Taxonomy(tree.parents)
    for kept, row in zip(paths, raised, strict=True):
        labels = {tree.labels[column] for column in np.flatnonzero(kept)}
        assert bool(labels) == (row.max() >= threshold)
        if labels:
            deepest = max(labels, key=lambda label: len(taxonomy.path(label)))
            assert labels == set(taxonomy.path(deepest))
            assert row[kept].min() >= threshold
            # It ends where nothing below is given.
            children = [c for c, parent in tree.parents.items() if parent == deepest]
            assert all(row[tree.labels.index(child)] < threshold for child in children)


@given(forests())
def test_violations_are_labels_above_their_parents(
    drawn: tuple[Tree, NDArray[np.float64]],
) -> None:
    tree, scores = drawn
    column = tree.labels.index
    expected = sum(
        row[column(child)] > row[column(parent)]
        for row in scores
        for child, parent in tree.parents.items()
    )
    assert tree.violations(scores).sum() == expected


def test_separators_say_what_lies_above() -> None:
    tree = split_labels(["体育-足球-中超", "体育-篮球", "娱乐"], "-")
    assert tree.parents == {
        "体育-足球": "体育",
        "体育-足球-中超": "体育-足球",
        "体育-篮球": "体育",
    }
    assert tree.closed(["体育-足球-中超"]) == {"体育", "体育-足球", "体育-足球-中超"}


@pytest.mark.parametrize(
    ("labels", "said"),
    [
        (["新闻/体育", "体育/足球"], "'体育' is the end of '新闻/体育', but has labels under it"),
        (["体育//足球"], "the label '体育//足球' has an empty level between its '/'"),
        (["/足球"], "an empty level"),
    ],
)
def test_labels_that_are_no_tree_are_refused(labels: list[str], said: str) -> None:
    with pytest.raises(BertZhError, match=said):
        split_labels(labels)


def test_a_table_of_child_and_parent_is_read(tmp_path: Path) -> None:
    path = tmp_path / "taxonomy.tsv"
    path.write_text("足球\t体育\r\n\n中超 \t 足球\n其他\n", "utf-8-sig")
    tree = read_taxonomy(path)
    assert tree.parents == {"足球": "体育", "中超": "足球"}
    assert tree.labels == {"足球", "体育", "中超", "其他"}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("".join(f"{i}\t{i + 1}\n" for i in range(200)), "more than 100 levels above '0'"),
        ("".join(f"{i + 1}\t{i}\n" for i in range(200)), "more than 100 levels above '101'"),
        ("a\tb\nb\tc\nc\ta\n", "goes round in a circle: a → b → c → a"),
        ("a\ta\n", "goes round in a circle: a → a"),
        ("x\ta\na\tb\nb\ta\n", "in a circle: a → b → a"),
        ("a\tb\na\tc\n", "'a' has two parents, 'b' in line 1 and 'c' in line 2"),
        ("a\tb\tc\n", "line 1 is no child and parent"),
        ("\ta\n", "line 1 is no child and parent"),
        ("a\nb\n", "names no child with a parent"),
        ("", "names no child with a parent"),
    ],
)
def test_a_table_that_is_no_tree_is_refused_in_a_line(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "taxonomy.tsv"
    path.write_text(text, "utf-8")
    with pytest.raises(BertZhError) as raised:
        read_taxonomy(path)
    assert said in str(raised.value) and str(path) in str(raised.value)
    assert "\n" not in str(raised.value)


def test_json_is_read_as_convert_writes_it(tmp_path: Path) -> None:
    path = tmp_path / "taxonomy.json"
    path.write_text('{"足球": "体育", "其他": ""}', "utf-8")
    assert read_taxonomy(path).labels == {"足球", "体育", "其他"}
    path.write_text('{"足球": ["体育"]}', "utf-8")
    with pytest.raises(BertZhError, match="one parent for each label"):
        read_taxonomy(path)
    with pytest.raises(BertZhError, match=r"nowhere\.tsv is missing"):
        read_taxonomy(tmp_path / "nowhere.tsv")
