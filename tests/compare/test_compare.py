"""Comparisons of real pipelines: what they say, what they are refused for, what is written."""

import json
from pathlib import Path

import numpy as np
import pytest
import spacy
from spacy.training import Example
from typer.testing import CliRunner

from spacy_bert_zh.cli import app
from spacy_bert_zh.compare import compare
from spacy_bert_zh.errors import BertZhError
from spacy_bert_zh.evaluate import mcnemar, predict
from spacy_bert_zh.loading import find_textcat, load_pipeline
from tests.evaluate.tiny import ATTACK, LABELS, UNSEEN, Page, make_rows, train, write_shard


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Pipelines that learnt little and more, one of several labels, and a corpus."""
    made = tmp_path_factory.mktemp("compare")
    nlp = train("textcat")
    nlp.to_disk(made / "little")
    examples = [
        Example.from_dict(nlp.make_doc(text), {"cats": cats})
        for text, cats in make_rows(2, True, 200)
    ]
    optimizer = nlp.resume_training()
    for _ in range(10):
        nlp.update(examples, sgd=optimizer)
    nlp.to_disk(made / "more")
    train("textcat_multilabel").to_disk(made / "several")
    other = spacy.blank("zh")
    other.add_pipe("textcat")
    other.get_pipe("textcat").add_label("房产")
    other.get_pipe("textcat").add_label(LABELS[0])
    other.initialize()
    other.to_disk(made / "labels")
    attack = (ATTACK, {LABELS[0]: 1.0, LABELS[1]: 0.0, LABELS[2]: 0.0, UNSEEN: 0.0})
    write_shard(made / "dev.spacy", [*make_rows(3, True, 300), attack])
    return made


def test_it_says_which_is_better_and_by_how_much(folder: Path, tmp_path: Path) -> None:
    corpus = folder / "dev.spacy"
    found = compare(folder / "little", [folder / "more"], corpus, tmp_path / "out")
    (pair,) = found["pairs"]
    said = []
    for name in ("little", "more"):
        nlp = load_pipeline(folder / name)
        one = predict(nlp, find_textcat(nlp, None), corpus)
        said.append((one.gold == one.predicted).all(axis=1))
    assert pair["lost"] == np.sum(said[0] & ~said[1])
    assert pair["gained"] == np.sum(said[1] & ~said[0])
    assert pair["p_holm"] == pair["p_value"] == mcnemar(pair["lost"], pair["gained"]) < 0.05
    difference = pair["accuracy"]["difference"]
    assert difference == pytest.approx(said[1].mean() - said[0].mean()) and difference > 0
    low, high = pair["accuracy"]["interval"]
    assert 0 < low < difference < high
    assert pair["says"] == (
        f"The second is better by {100 * difference:.1f} points of accuracy "
        f"(95 %: {100 * low:.1f} to {100 * high:.1f})"
    )
    rows = [one["text"] - 1 for one in pair["differing"]]
    assert rows == np.flatnonzero(said[0] != said[1]).tolist()
    assert all((one["true"] == one[one["right"]]) for one in pair["differing"])


def test_the_other_way_round_it_is_the_same(folder: Path, tmp_path: Path) -> None:
    found = compare(folder / "more", [folder / "little"], folder / "dev.spacy", tmp_path / "out")
    assert found["pairs"][0]["says"].startswith("The first is better by ")


def test_no_difference_tells_what_could_have_been_seen(folder: Path, tmp_path: Path) -> None:
    found = compare(folder / "more", [folder / "more"], folder / "dev.spacy", tmp_path / "out")
    (pair,) = found["pairs"]
    assert (pair["lost"], pair["gained"], pair["differing"]) == (0, 0, [])
    assert pair["p_value"] == 1.0
    expected = "No difference shown: this corpus could have shown one of 2.6 points of accuracy"
    assert pair["says"] == expected


def test_several_are_compared_with_the_first_and_corrected(folder: Path, tmp_path: Path) -> None:
    arguments = [str(folder / name) for name in ("little", "more", "little")]
    options = ["--corpus", str(folder / "dev.spacy"), "--output", str(tmp_path / "out")]
    done = CliRunner().invoke(app, ["compare", *arguments, *options])
    assert done.exit_code == 0, done.output
    found = json.loads((tmp_path / "out" / "comparison.json").read_text("utf-8"))
    better, same = found["pairs"]
    assert better["p_holm"] == pytest.approx(2 * better["p_value"])
    assert better["says"] in done.output and same["says"] in done.output
    assert "(Holm: " in done.output
    html = (tmp_path / "out" / "comparison.html").read_text("utf-8")
    page = Page(html)
    assert not page.tags & {"script", "link", "img", "iframe"}
    assert better["says"] in page.text and LABELS[1] in page.text
    again = CliRunner().invoke(app, ["compare", *arguments, *options])
    assert again.exit_code == 0, again.output
    assert (tmp_path / "out" / "comparison.html").read_text("utf-8") == html


def test_texts_may_have_several_labels(folder: Path, tmp_path: Path) -> None:
    corpus = write_shard(tmp_path / "dev.spacy", make_rows(1, False))
    found = compare(folder / "several", [folder / "several"], corpus, tmp_path / "out")
    assert not found["exclusive"] and 0 < found["pairs"][0]["macro_f1"]["first"] < 1


@pytest.mark.parametrize(
    ("other", "message"),
    [
        ("several", "one gives exactly one label to a text, the other any number"),
        ("labels", "only one of them has the labels .*房产|not trained on"),
    ],
)
def test_what_can_not_be_compared(folder: Path, other: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(BertZhError, match=message):
        compare(folder / "little", [folder / other], folder / "dev.spacy", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_an_output_of_others_is_kept(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(BertZhError, match=r"notes\.txt"):
        compare(folder / "little", [folder / "more"], folder / "dev.spacy", tmp_path)
    with pytest.raises(BertZhError, match="Nothing to compare with"):
        compare(folder / "little", [], folder / "dev.spacy", tmp_path / "out")
