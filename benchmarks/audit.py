"""Whether `audit` finds wrong labels, where a tenth are changed to a class confused with theirs.

    python benchmarks/audit.py CORPUS/train CORPUS/dev
    python benchmarks/audit.py CORPUS/train CORPUS/dev --vectors

The classes are drawn from an out-of-fold confusion matrix of the clean labels, in proportion. What
is regained is the accuracy on dev of a linear SVM, once the likeliest rows have their labels back;
beside it what it would be, had as many changed labels come back that were drawn by chance.
"""

import time
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.metrics import average_precision_score
from sklearn.svm import LinearSVC

from spacy_bert_zh.audit import Options
from spacy_bert_zh.audit.scores import judge, make_features
from spacy_bert_zh.audit.wrong import rank
from spacy_bert_zh.folds import Rows, near_groups, read_rows

FOLDS = 5


def main(
    train: Annotated[Path, typer.Argument(help="As `convert` writes it; labels exclude others.")],
    dev: Annotated[Path, typer.Argument(help="Texts to measure the regained accuracy on.")],
    share: Annotated[float, typer.Option(help="Of the labels that are changed.")] = 0.1,
    reviewed: Annotated[float, typer.Option(help="Of the rows, the likeliest first.")] = 0.12,
    limit: Annotated[int, typer.Option(help="Rows at most; 0 takes all.")] = 0,
    vectors: Annotated[bool, typer.Option(help="Score by the BERT's vectors, too.")] = False,
    seed: int = 0,
) -> None:
    """Print a table in Markdown."""
    clean, judged = read_rows(train, FOLDS), read_rows(dev, FOLDS)
    if limit:
        clean = replace(clean, texts=clean.texts[:limit], gold=clean.gold[:limit])
    dirty, changed = _spoil(clean, share, seed)
    began = time.monotonic()
    sure, _ = _rank(dirty, vectors)
    seconds = time.monotonic() - began
    first = np.argsort(-sure)[: int(reviewed * len(sure))]
    mended = dirty.gold.copy()
    mended[first] = clean.gold[first]
    found = changed[first].sum()
    drawn = np.random.default_rng(seed).permutation(np.flatnonzero(changed))[:found]
    lucky = dirty.gold.copy()
    lucky[drawn] = clean.gold[drawn]
    before, spoilt, after, by_chance = (
        _accuracy(clean, gold, judged) for gold in (clean.gold, dirty.gold, mended, lucky)
    )
    print(f"{len(sure):,} rows, {changed.sum():,} labels changed\n\n| | |\n| --- | ---: |")
    print(f"| area under precision-recall | {average_precision_score(changed, sure):.3f} |")
    print(f"| of these among the first {reviewed:.0%} | {found / changed.sum():.1%} |")
    print(f"| accuracy clean, spoilt, mended | {before:.4f}, {spoilt:.4f}, {after:.4f} |")
    print(f"| regained | {(after - spoilt) / (before - spoilt):.1%} |")
    print(f"| … by as many changed labels | {(by_chance - spoilt) / (before - spoilt):.1%} |")
    print(f"| seconds for duplicates, folds and scores | {seconds:.0f} |", flush=True)


def _rank(rows: Rows, vectors: bool = False) -> tuple[np.ndarray, np.ndarray]:
    groups = near_groups(rows.texts)
    scores = judge(rows, make_features(rows.texts), groups, Options(vectors=vectors, folds=FOLDS))
    return rank(rows.gold, scores, rows.exclusive)[0], scores


def _spoil(rows: Rows, share: float, seed: int) -> tuple[Rows, np.ndarray]:
    """Change labels; the rows, and which of them were changed."""
    random, own = np.random.default_rng(seed), rows.gold.argmax(axis=1)
    confused = np.zeros((len(rows.labels),) * 2)
    np.add.at(confused, (own, _rank(rows)[1].argmax(axis=1)), 1)
    np.fill_diagonal(confused, 0)
    changed = random.random(len(own)) < share
    for row in np.flatnonzero(changed):
        odds = confused[own[row]]
        own[row] = random.choice(len(odds), p=odds / odds.sum())
    return replace(rows, gold=np.eye(len(rows.labels), dtype=bool)[own]), changed


def _accuracy(rows: Rows, gold: np.ndarray, judged: Rows) -> float:
    vectors = TfidfVectorizer(analyzer="char", ngram_range=(1, 3), sublinear_tf=True, min_df=2)
    model = LinearSVC(C=0.3).fit(vectors.fit_transform(rows.texts), gold.argmax(axis=1))
    said = model.predict(vectors.transform(judged.texts))
    return float((said == judged.gold.argmax(axis=1)).mean())


if __name__ == "__main__":
    typer.run(main)
