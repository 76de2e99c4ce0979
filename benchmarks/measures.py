"""How good answers are, for `accuracy.py`: measures are scikit-learn's."""

from pathlib import Path
from typing import Any

import numpy as np
import spacy
from numpy.typing import NDArray
from spacy.tokens import Doc

from spacy_bert_zh import evaluate
from spacy_bert_zh.files.docbins import read_docbin
from spacy_bert_zh.loading import find_textcat, load_pipeline
from spacy_bert_zh.trust.options import F1, Aim
from spacy_bert_zh.trust.scaling import fit_temperature
from spacy_bert_zh.trust.thresholds import find_thresholds

Array = NDArray[Any]


def measure_svm(train: Path, test: Path, exclusive: bool) -> dict[str, float]:
    """A linear SVM on TF-IDF of one to three characters."""
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.multiclass import OneVsRestClassifier
    from sklearn.pipeline import make_pipeline
    from sklearn.svm import LinearSVC

    features = TfidfVectorizer(analyzer="char", ngram_range=(1, 3), sublinear_tf=True)
    svm = LinearSVC() if exclusive else OneVsRestClassifier(LinearSVC())
    model = make_pipeline(features, svm)
    (texts, truth), (others, gold) = pairs(train), pairs(test)
    model.fit(texts, truth.argmax(1) if exclusive else truth)
    found = model.decision_function(others)
    if not exclusive:
        return decided(1 / (1 + np.exp(-found)), gold)
    if found.ndim == 1:
        found = np.stack([-found, found], axis=1)
    return scores_of(gold, one_hot(found))


def measure_frozen(train: Path, test: Path, checkpoint: Path) -> dict[str, float]:
    """A logistic regression on a checkpoint's mean vectors, its strength by cross-validation."""
    from sklearn.linear_model import LogisticRegressionCV
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    from spacy_bert_zh.backbones.torch.backbone import build_torch_backbone_v1

    backbone = build_torch_backbone_v1(str(checkpoint))
    backbone.initialize()
    nlp = spacy.blank("zh")
    (vectors, truth), (others, gold) = (
        (backbone.predict([nlp.make_doc(text) for text in texts]), labels.argmax(1))
        for texts, labels in (pairs(train), pairs(test))
    )
    regression = LogisticRegressionCV(Cs=[1e-4, 1e-3, 1e-2, 1e-1, 1.0], cv=3, max_iter=300)
    model = make_pipeline(StandardScaler(), regression).fit(vectors, truth)
    right = one_hot(np.eye(int(truth.max()) + 1)[gold])
    given = one_hot(np.eye(right.shape[1])[model.predict(others)])
    return scores_of(right, given)


def measure_pipeline(pipeline: Path, test: Path, exclusive: bool) -> dict[str, float]:
    """A trained pipeline."""
    scores, gold = predict(pipeline, test)
    if exclusive:
        return {
            **scores_of(gold, one_hot(scores)),
            "ece": calibration_error(scores, gold),
            "ece_calibrated": calibrated_error(scores, gold),
        }
    return decided(scores, gold)


def predict(pipeline: Path, corpus: Path) -> tuple[Array, Array]:
    """Scores and truths of a converted split, both of shape (texts, labels)."""
    nlp = load_pipeline(pipeline)
    found = evaluate.predict(nlp, find_textcat(nlp, None), corpus)
    return found.scores, found.gold > 0


def scores_of(gold: Array, given: Array) -> dict[str, float]:
    """Accuracy (all labels of a text right) and macro F1."""
    from sklearn.metrics import accuracy_score, f1_score

    macro = f1_score(gold, given, average="macro", zero_division=0)
    return {"accuracy": float(accuracy_score(gold, given)), "macro_f1": float(macro)}


def calibration_error(scores: Array, gold: Array, bins: int = 15) -> float:
    """Expected calibration error of the best label (Guo et al. 2017, eq. 3), 15 equal bins."""
    surest, right = scores.max(1), gold[np.arange(len(gold)), scores.argmax(1)] > 0
    places = np.minimum((surest * bins).astype(int), bins - 1)
    gaps = [abs(surest[places == b].sum() - right[places == b].sum()) for b in range(bins)]
    return float(sum(gaps) / len(scores))


def calibrated_error(scores: Array, gold: Array, splits: int = 20) -> float:
    """The same after `calibrate`: fitted to a random half of the texts, measured on the other."""
    errors = []
    for seed in range(splits):
        order = np.random.default_rng(seed).permutation(len(scores))
        own, others = np.array_split(order, 2)
        temperature = fit_temperature(scores[own], gold[own])
        powers = np.exp(np.log(np.maximum(scores[others], 1e-38)) / temperature)
        errors.append(calibration_error(powers / powers.sum(1, keepdims=True), gold[others]))
    return float(np.mean(errors))


def decided(scores: Array, gold: Array, splits: int = 20) -> dict[str, float]:
    """Labels that don't exclude each other, given by thresholds that `calibrate` finds for F1.

    Each half of the texts is decided by the thresholds of the other; "macro_f1_half" has 0.5.
    """
    known = np.ones(gold.shape)
    found = []
    for seed in range(splits):
        halves = np.array_split(np.random.default_rng(seed).permutation(len(scores)), 2)
        given = np.zeros(gold.shape, dtype=bool)
        for own, others in (halves, halves[::-1]):
            cuts = find_thresholds(scores[own], gold[own], known[own], Aim(F1))
            given[others] = scores[others] >= cuts
        found.append(scores_of(gold, given))
    means = {key: float(np.mean([one[key] for one in found])) for key in found[0]}
    return {**means, "macro_f1_half": scores_of(gold, scores >= 0.5)["macro_f1"]}


def pairs(folder: Path) -> tuple[list[str], Array]:
    """Texts of a converted split, and their labels; shape (texts, labels)."""
    docs, labels = read_docs(folder), labels_of(folder)
    rows = [[doc.cats.get(label, 0.0) for label in labels] for doc in docs]
    return [doc.text for doc in docs], np.asarray(rows) > 0.5


def labels_of(folder: Path) -> list[str]:
    """The labels of a converted split."""
    return sorted(read_docs(folder)[0].cats)


def one_hot(scores: Array) -> Array:
    """True for the first of the highest values in each row."""
    return np.asarray(np.arange(scores.shape[1]) == scores.argmax(1)[:, None])


def read_docs(folder: Path) -> list[Doc]:
    """The documents of a converted split."""
    vocab = spacy.blank("zh").vocab
    files = sorted(folder.glob("*.spacy"))
    return [doc for file in files for doc in read_docbin(file, vocab)]


def label_of(doc: Doc) -> str:
    """The one label of a document."""
    return max(doc.cats, key=doc.cats.__getitem__)
