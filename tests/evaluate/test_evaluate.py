"""Evaluation of real pipelines: the scores of spaCy, any threshold, what is refused."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import spacy
from spacy.scorer import Scorer
from spacy.tokens import Doc
from spacy.training import Corpus, Example

from spacy_bert_zh.errors import BertZhError
from spacy_bert_zh.evaluate import print_table
from spacy_bert_zh.evaluate.flow import evaluate
from spacy_bert_zh.evaluate.metrics import measure
from spacy_bert_zh.evaluate.predictions import Predictions
from spacy_bert_zh.loading import find_textcat, given_labels, thresholds_of
from tests.evaluate.tiny import FACTORIES, LABELS, UNSEEN, Page, write_shard


def assert_same(metrics: dict[str, Any], scores: dict[str, Any]) -> None:
    """Our measures are those of spaCy's scorer, macro averages those of labels with a text."""
    short = {"p": "precision", "r": "recall", "f": "f1"}
    for key, ours in short.items():
        expected = scores[f"cats_micro_{key}"]
        assert metrics["averages"]["micro"][ours] == pytest.approx(expected, abs=1e-6)
        rows = scores["cats_f_per_type"].items()
        present = [row[key] for label, row in rows if label not in metrics["absent"]]
        macro = metrics["averages"]["macro"][ours]
        assert macro == (pytest.approx(np.mean(present), abs=1e-6) if present else None)
    for label, expected in scores["cats_f_per_type"].items():
        row = metrics["classes"][label]
        assert {key: row[ours] for key, ours in short.items()} == pytest.approx(expected, abs=1e-6)
    for label, expected in scores["cats_auc_per_type"].items():
        if expected is not None:  # spaCy has none where the corpus is soft
            assert metrics["classes"][label]["roc_auc"] == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("factory", FACTORIES)
def test_the_scores_are_those_of_spacy_evaluate(
    pipelines: dict[str, Path],
    corpora: dict[str, Path],
    factory: str,
    tmp_path: Path,
    recwarn: pytest.WarningsRecorder,
) -> None:
    metrics = evaluate(pipelines[factory], corpora[factory], tmp_path)
    assert not [w for w in recwarn if issubclass(w.category, UserWarning)]
    nlp = spacy.load(pipelines[factory])
    assert_same(metrics, nlp.evaluate(list(Corpus(corpora[factory])(nlp))))
    assert 0.4 < metrics["averages"]["macro"]["f1"] < 0.95  # neither trivial nor perfect
    assert metrics["absent"] == [UNSEEN]
    assert metrics["classes"][UNSEEN]["roc_auc"] is None
    assert metrics["corpus"] == {"name": factory, "texts": 61}


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize(
    ("exclusive", "labels"), [(True, 2), (True, 5), (False, 1), (False, 2), (False, 5)]
)
@pytest.mark.parametrize("texts", [1, 2, 40])
def test_any_predictions_score_as_in_spacy(exclusive: bool, labels: int, texts: int) -> None:
    draw = np.random.default_rng([labels, texts])
    names = [f"类{i}" for i in range(labels)]
    scores = draw.random((texts, labels)).round(2)
    if exclusive:
        gold = np.eye(labels, dtype=int)[draw.integers(labels, size=texts)]
        predicted = np.eye(labels, dtype=int)[scores.argmax(axis=1)]
    else:
        gold, predicted = draw.integers(2, size=(texts, labels)), (scores >= 0.5).astype(int)
    predictions = Predictions(
        labels=names,
        exclusive=exclusive,
        gold=gold,
        predicted=predicted,
        scores=scores,
        known=np.ones_like(gold, dtype=bool),
        excerpts=[""] * texts,
        lengths=np.arange(texts) + 1,
    )
    vocab = spacy.blank("zh").vocab
    examples = [Example(Doc(vocab), Doc(vocab)) for _ in range(texts)]
    for example, score, truth in zip(examples, scores.tolist(), gold.tolist(), strict=True):
        example.predicted.cats = dict(zip(names, score, strict=True))
        example.reference.cats = dict(zip(names, map(float, truth), strict=True))
    metrics = measure(predictions)
    expected = Scorer.score_cats(examples, "cats", labels=names, multi_label=not exclusive)
    assert_same(metrics, expected)
    assert metrics["accuracy"] == np.mean((gold == predicted).all(axis=1))
    assert sum(one["texts"] for one in metrics["lengths"]) == texts


def test_labels_without_a_text_are_left_out_of_the_macro_average_and_said(
    pipelines: dict[str, Path],
    corpora: dict[str, Path],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    metrics = evaluate(pipelines["textcat"], corpora["textcat"], tmp_path)
    present = [metrics["classes"][label]["f1"] for label in LABELS]
    assert metrics["averages"]["macro"]["f1"] == pytest.approx(np.mean(present))
    print_table(metrics)
    said = "1 of 4 labels have no text here and are left out of the macro average"
    assert said in " ".join(capsys.readouterr().out.split())
    page = Page((tmp_path / "report.html").read_text("utf-8"))
    assert f"{said}: {UNSEEN}" in " ".join(page.text.split())


@pytest.mark.parametrize("threshold", [0.0, 0.2, 0.9, 1.0])
def test_another_threshold_decides_and_is_shown(
    threshold: float, pipelines: dict[str, Path], corpora: dict[str, Path], tmp_path: Path
) -> None:
    folder, corpus = pipelines["textcat_multilabel"], corpora["textcat_multilabel"]
    metrics = evaluate(folder, corpus, tmp_path, threshold=threshold)
    assert metrics["pipeline"]["threshold"] == threshold
    assert metrics["pipeline"]["own_threshold"] == 0.4
    page = Page((tmp_path / "report.html").read_text("utf-8"))
    said = f"from the score {threshold} (the pipeline's own threshold is 0.4)"
    assert said in " ".join(page.text.split())
    nlp = spacy.load(folder)
    for label in LABELS:
        docs = [nlp(doc.text) for doc in (e.reference for e in Corpus(corpus)(nlp))][:60]
        given = sum(doc.cats[label] >= threshold for doc in docs)
        row = metrics["classes"][label]
        assert given <= row["tp"] + row["fp"] <= given + 1  # one text more, partly labelled


def test_a_label_s_own_threshold_decides_alike_wherever_labels_are_given(
    pipelines: dict[str, Path],
    corpora: dict[str, Path],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    nlp = spacy.load(pipelines["textcat_multilabel"])
    pipe = find_textcat(nlp, None)
    pipe.cfg["thresholds"] = {LABELS[0]: 0.0, LABELS[1]: 1.0}
    assert thresholds_of(pipe) == {LABELS[0]: 0.0, LABELS[1]: 1.0, LABELS[2]: 0.4, UNSEEN: 0.4}
    cats = {LABELS[0]: 0.1, LABELS[1]: 0.9, LABELS[2]: 0.4, UNSEEN: 0.3}
    assert given_labels(nlp, cats) == [LABELS[0], LABELS[2]]
    nlp.to_disk(tmp_path / "own")
    corpus = corpora["textcat_multilabel"]
    metrics = evaluate(tmp_path / "own", corpus, tmp_path / "out")
    rows = metrics["classes"]
    assert rows[LABELS[0]]["fn"] == 0 and rows[LABELS[1]]["tp"] + rows[LABELS[1]]["fp"] == 0
    half = evaluate(tmp_path / "own", corpus, tmp_path / "half", threshold=0.5)
    expected = {f"{name}_f1": half["averages"][name]["f1"] for name in ("macro", "micro")}
    assert metrics["at_half"] == pytest.approx(expected) and "at_half" not in half
    print_table(metrics)
    said = f"with 0.5 for all: macro F1 {expected['macro_f1']:.4f}"
    assert said in " ".join(capsys.readouterr().out.split())
    page = Page((tmp_path / "out" / "report.html").read_text("utf-8"))
    assert "a label is given from the score of its own." in " ".join(page.text.split())


@pytest.mark.parametrize(
    ("factory", "threshold", "message"),
    [
        ("textcat", 0.3, "--threshold 0.3: the labels of 'textcat' exclude each other"),
        ("textcat_multilabel", 1.5, "--threshold 1.5: a score is between 0 and 1"),
        ("textcat_multilabel", float("nan"), "--threshold nan: a score"),
    ],
)
def test_thresholds_that_mean_nothing(
    factory: str,
    threshold: float,
    message: str,
    pipelines: dict[str, Path],
    corpora: dict[str, Path],
    tmp_path: Path,
) -> None:
    with pytest.raises(BertZhError, match=message):
        evaluate(pipelines[factory], corpora[factory], tmp_path / "out", threshold=threshold)
    assert not (tmp_path / "out").exists()


def test_one_of_several_components(
    pipelines: dict[str, Path], corpora: dict[str, Path], tmp_path: Path
) -> None:
    corpus = corpora["textcat"]
    with pytest.raises(BertZhError, match="--component textcat or textcat_multilabel"):
        evaluate(pipelines["both"], corpus, tmp_path)
    chosen = evaluate(pipelines["both"], corpus, tmp_path, component="textcat_multilabel")
    assert not chosen["pipeline"]["exclusive"] and chosen["pipeline"]["threshold"] == 0.4
    assert chosen["confusion"] is None


def test_a_damaged_shard_is_named(
    pipelines: dict[str, Path], corpora: dict[str, Path], tmp_path: Path
) -> None:
    shard = tmp_path / "corpus" / "00000.spacy"
    shard.parent.mkdir()
    source = corpora["textcat"]
    whole = next(source.rglob("*.spacy")) if source.is_dir() else source
    shard.write_bytes(whole.read_bytes()[:200])
    with pytest.raises(BertZhError, match=r"00000\.spacy is damaged"):
        evaluate(pipelines["textcat"], shard.parent, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_bad_pipelines(
    pipelines: dict[str, Path], corpora: dict[str, Path], tmp_path: Path
) -> None:
    corpus = corpora["textcat"]
    with pytest.raises(BertZhError, match="zh_nowhere"):
        evaluate("zh_nowhere", corpus, tmp_path)
    with pytest.raises(BertZhError, match=r"lacks config\.cfg"):
        evaluate(corpus, corpus, tmp_path)
    with pytest.raises(BertZhError, match="its components: none"):
        evaluate(pipelines["none"], corpus, tmp_path)
    with pytest.raises(BertZhError, match="'ner'; its components: textcat"):
        evaluate(pipelines["textcat"], corpus, tmp_path, component="ner")


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([], "holds no text"),
        ([("球队", {})], "1 of 1 texts .* don't have exactly one label"),
        ([("球队", {"财经": 0.0})], "1 of 1 texts"),
        ([("球队", {"财经": 1.0}), ("芯片", {"财经": 1.0, "体育": 1.0})], "1 of 2 texts"),
        ([("球队", {"财经": 1.0, "游戏": 0.0, "房产": 1.0})], "not trained on: 房产, 游戏"),
    ],
)
def test_bad_corpora(
    pipelines: dict[str, Path],
    rows: list[tuple[str, dict[str, float]]],
    message: str,
    tmp_path: Path,
) -> None:
    corpus = write_shard(tmp_path / "dev.spacy", rows)
    with pytest.raises(BertZhError, match=message):
        evaluate(pipelines["textcat"], corpus, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_no_corpus(pipelines: dict[str, Path], tmp_path: Path) -> None:
    for corpus in (tmp_path, tmp_path / "missing.spacy", Path(__file__)):
        with pytest.raises(BertZhError, match=r"No \.spacy file at .*convert"):
            evaluate(pipelines["textcat"], corpus, tmp_path / "out")
