"""Trees measured: by level, along the paths, and where answers contradict the tree."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import spacy
from spacy.training import Corpus

from spacy_bert_zh.errors import BertZhError
from spacy_bert_zh.evaluate import Predictions, evaluate
from spacy_bert_zh.evaluate.metrics import measure
from spacy_bert_zh.evaluate.report import OPEN_NODES, describe_nodes, render_report
from spacy_bert_zh.evaluate.trees import measure_tree
from tests.conftest import run_cli, teach

PARENTS = {"b": "a", "c": "b"}


def said(gold: list[list[int]], scores: list[list[float]]) -> Predictions:
    values = np.asarray(scores)
    return Predictions(
        labels=["a", "b", "c", "d"],
        exclusive=False,
        gold=np.asarray(gold),
        predicted=(values >= 0.5).astype(int),
        scores=values,
        known=np.ones(values.shape, bool),
        excerpts=["好"] * len(values),
        lengths=np.ones(len(values), int),
    )


def test_figures_are_those_one_would_count() -> None:
    predictions = said(
        [[1, 1, 1, 0], [1, 1, 0, 0], [0, 0, 0, 1], [1, 0, 0, 0]],
        [
            [0.9, 0.8, 0.7, 0.1],  # right
            [0.2, 0.9, 0.6, 0.1],  # b and c without a: with those above them, one too many
            [0.1, 0.2, 0.1, 0.9],  # right, but b scores more than a
            [0.4, 0.1, 0.1, 0.6],  # wrong
        ],
    )
    found = measure_tree(predictions, PARENTS, measure(predictions)["classes"])
    # Given with all above: 3 + 3 + 1 + 1, of which 3 + 2 + 1 hold; 3 + 2 + 1 + 1 hold in all.
    assert found["hierarchical"] == pytest.approx(
        {"precision": 6 / 8, "recall": 6 / 7, "f1": 12 / 15}
    )
    assert found["exact_path"] == 0.5
    assert found["violations"] == {"scores": 2, "decisions": 1, "texts": 2}
    assert [part["labels"] for part in found["levels"]] == [2, 1, 1]
    assert found["leaves"]["labels"] == 2
    assert found["leaves"]["macro"]["f1"] == pytest.approx((2 / 3 + 2 / 3) / 2)
    assert [(node["label"], node["depth"]) for node in found["nodes"]] == [
        ("a", 0),
        ("b", 1),
        ("c", 2),
        ("d", 0),
    ]
    low, high = found["intervals"]["hierarchical_f1"]
    assert 0 <= low < 0.8 < high <= 1


def test_labels_fold_under_those_above_them() -> None:
    classes = {
        label: {"f1": f1, "support": support}
        for label, f1, support in (("a", 0.9, 9), ("b", 0.8, 5), ("c", 0.0, 0), ("d", 0.7, 2))
    }
    levels = (("a", 0), ("b", 1), ("c", 2), ("d", 0))
    tree = {"nodes": [{"label": label, "depth": depth} for label, depth in levels]}
    found = describe_nodes({"tree": tree, "classes": classes})
    assert [(one["below"], one["weakest"], one["ends"]) for one in found] == [
        (2, "b", 0),  # no text has c
        (1, "c", 0),
        (0, None, 2),
        (0, None, 0),
    ]


@pytest.mark.parametrize("leaves", [OPEN_NODES - 20, OPEN_NODES + 200])
def test_small_trees_are_open_and_large_ones_folded(leaves: int) -> None:
    labels = ["体育", *(f"体育/{number}" for number in range(leaves))]
    gold = np.eye(leaves + 1, dtype=int)
    gold[:, 0] = 1
    given = said([], [])
    predictions = replace(
        given,
        labels=labels,
        gold=gold,
        predicted=gold,
        scores=gold.astype(float),
        known=gold >= 0,
        excerpts=["好"] * len(gold),
        lengths=np.ones(len(gold), int),
    )
    metrics = {**measure(predictions), "corpus": {"name": "dev", "texts": len(gold)}}
    told = ("name", "version", "component", "factory", "reads", "thresholds")
    metrics["pipeline"] = {**dict.fromkeys(told), "exclusive": False, "labels": labels}
    metrics["pipeline"] |= {"threshold": 0.5, "own_threshold": 0.5}
    parents = dict.fromkeys(labels[1:], "体育")
    metrics["tree"] = measure_tree(predictions, parents, metrics["classes"])
    page = render_report(metrics, predictions)
    tree = page[page.index('<div class="tree">') : page.index("<h2>Classes</h2>")]
    assert tree.count("<details") == tree.count("</details>") == 1
    assert ("<details open>" in tree) == (leaves < OPEN_NODES)
    assert all(f">{label}<" in tree for label in labels)


def test_a_taxonomy_of_other_labels_is_refused() -> None:
    predictions = replace(said([[1, 0, 0, 0]], [[0.9, 0.1, 0.1, 0.1]]))
    with pytest.raises(BertZhError, match="taxonomy is of other labels"):
        measure_tree(predictions, {"x": "y"}, measure(predictions)["classes"])


def test_a_tree_is_measured_and_shown(hierarchical: Path, trees: Path, tmp_path: Path) -> None:
    done = run_cli("evaluate", hierarchical, trees / "corpus" / "dev", tmp_path / "out")
    assert "hierarchical" in done.stdout and "0 scores, 0 decisions" in done.stdout
    tree = json.loads((tmp_path / "out" / "metrics.json").read_text("utf-8"))["tree"]
    assert tree["violations"] == {"scores": 0, "decisions": 0, "texts": 0}
    page = (tmp_path / "out" / "report.html").read_text("utf-8")
    assert "<h2>Tree</h2>" in page and "exact path" in page
    with pytest.raises(BertZhError, match="has learnt a tree, leave it out"):
        evaluate(
            hierarchical,
            trees / "corpus" / "dev",
            tmp_path / "out",
            taxonomy=trees / "corpus" / "taxonomy.json",
        )


def test_gold_that_names_the_lowest_labels_alone_means_those_above(
    hierarchical: Path, trees: Path, tmp_path: Path
) -> None:
    from spacy.tokens import DocBin

    whole = evaluate(hierarchical, trees / "corpus" / "dev", tmp_path / "whole")
    parents = json.loads((trees / "corpus" / "taxonomy.json").read_text("utf-8"))
    docs = [example.reference for example in Corpus(trees / "corpus" / "dev")(spacy.blank("zh"))]
    for doc in docs:
        lowest = [label for label in parents if doc.cats[label]]
        if lowest:
            doc.cats = {label: doc.cats[label] for label in parents}
    DocBin(docs=docs).to_disk(tmp_path / "leaves.spacy")
    leaves = evaluate(hierarchical, tmp_path / "leaves.spacy", tmp_path / "leaves")
    assert leaves["tree"]["violations"]["decisions"] == 0
    assert leaves["tree"]["hierarchical"]["recall"] == whole["tree"]["hierarchical"]["recall"]


def test_a_flat_pipeline_is_measured_by_a_taxonomy(
    trees: Path, trained: Path, tmp_path: Path
) -> None:
    nlp = spacy.blank("zh")
    model = {
        "@architectures": "spacy_bert_zh.NgramTextCat.v1",
        "exclusive_classes": False,
        "linear_model": {"@architectures": "spacy_bert_zh.NgramLinear.v1", "length": 1024},
    }
    nlp.add_pipe("bert_textcat_multilabel", config={"model": model})
    teach(nlp, list(Corpus(trees / "corpus" / "train")(nlp)), 2)
    nlp.to_disk(tmp_path / "flat")
    dev, taxonomy = trees / "corpus" / "dev", trees / "corpus" / "taxonomy.json"
    metrics = evaluate(tmp_path / "flat", dev, tmp_path / "out", taxonomy=taxonomy)
    parents = json.loads(taxonomy.read_text("utf-8"))
    docs = [nlp(example.text) for example in Corpus(dev)(nlp)]
    counted = sum(doc.cats[child] > doc.cats[p] for doc in docs for child, p in parents.items())
    assert metrics["tree"]["violations"]["scores"] == counted
    assert "tree" not in evaluate(tmp_path / "flat", dev, tmp_path / "out")
    with pytest.raises(BertZhError, match="gives exactly one label, none with its parent"):
        evaluate(trained, dev, tmp_path / "out", taxonomy=taxonomy)
