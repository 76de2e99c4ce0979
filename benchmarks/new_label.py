"""Every label once as one that was never learnt: how well 20 of its texts tell it.

    python benchmarks/new_label.py CORPUS WORK

To train without each label takes hours, so the encoder is the BERT that ships, as it is, and what
is learnt of the other labels are a logistic regression on its vectors and a linear SVM on n-grams.
The ways to tell the new label: "means" is what `index` does; "cosines" to the means; "n-grams" are
means of TF-IDF; "both" adds means and n-grams, each by its spread. The limit is always that of
`index`: it may take 1 % of the known texts. "At one point" is the recall where the others lose
exactly one point, which compares ways whatever their limits.
"""

import json
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import spacy
import typer

from spacy_bert_zh.evaluate import find_vectors, read_shards
from spacy_bert_zh.markdown import render_table
from spacy_bert_zh.textcat.claims import SPARED
from spacy_bert_zh.textcat.space import unit
from spacy_bert_zh.trust.novelty import fit_gaussians

TEXTS, DRAWS, INDEXED = 20, 3, 8_000
TRAIN, DEV, FITTED = 15_000, 6_000, 6_000
WAYS = ("means", "cosines", "n-grams", "both")


def read(corpus: Path, part: str, count: int, work: Path) -> tuple[list[str], Any, Any]:
    """Texts, labels and vectors; these are kept in WORK."""
    from spacy_bert_zh.retrieve.component import BertRetriever

    nlp = spacy.blank("zh")
    docs = list(read_shards(nlp, corpus / part))
    random.Random(0).shuffle(docs)
    texts = [doc.text for doc in docs[:count]]
    labels = np.asarray([max(doc.cats, key=doc.cats.__getitem__) for doc in docs[:count]])
    kept = work / f"{corpus.name}-{part}.npy"
    if not kept.exists():
        pipe = nlp.add_pipe("bert_retriever")
        assert isinstance(pipe, BertRetriever)
        pipe.model.initialize()
        np.save(kept, find_vectors(nlp, pipe, texts).astype(np.float16))
    return texts, labels, np.load(kept).astype(np.float32)


def gains(rows: Any, table: Any, own: Any, means: Any, ngrams: Any) -> dict[str, Any]:
    """By how much texts are nearer to the new label than to any other, by way.

    Args:
        rows: Whitened vectors; shape (texts, width).
        table: Their TF-IDF; sparse (texts, n-grams).
        own: Means of the new label: of vectors, (1, width), and of TF-IDF, (1, n-grams).
        means: Of the others; shape (labels, width).
        ngrams: The same of TF-IDF; shape (labels, n-grams).
    """

    def squares(centres: Any) -> Any:
        return (centres**2).sum(axis=1) - 2 * rows @ centres.T

    cosines = unit(rows)
    return {
        "means": squares(means).min(axis=1) - squares(own[0])[:, 0],
        "cosines": (cosines @ unit(own[0]).T)[:, 0] - (cosines @ unit(means).T).max(axis=1),
        "n-grams": (table @ unit(own[1]).T)[:, 0] - (table @ unit(ngrams).T).max(axis=1),
    }


def measure(train: Any, dev: Any, held: str) -> Iterator[dict[str, Any]]:
    """One label held out: recall of it and what the others lose, by way and draw."""
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression
    from sklearn.svm import LinearSVC

    (texts, labels, vectors), (dev_texts, gold, dev_vectors) = train, dev
    known = np.flatnonzero(labels != held)
    rest = sorted(set(labels[known]))
    tfidf = TfidfVectorizer(analyzer="char", ngram_range=(1, 3), min_df=2, sublinear_tf=True)
    table, dev_table = tfidf.fit_transform(texts), tfidf.transform(dev_texts)
    truth = np.stack([labels[known] == name for name in rest], axis=1)
    centre = vectors[known].mean(axis=0)
    whiten = fit_gaussians(vectors[known], truth).whiten
    rows, dev_rows = ((one - centre) @ whiten for one in (vectors, dev_vectors))
    some = known[:FITTED]
    network = LogisticRegression(C=0.05, max_iter=60).fit(rows[some], labels[some])
    linear = LinearSVC(C=0.3).fit(table[known], labels[known])
    logits = network.predict_log_proba(dev_rows) + 3 * linear.decision_function(dev_table)
    right = network.classes_[logits.argmax(axis=1)] == gold
    others, indexed = gold != held, known[:INDEXED]
    parts = [indexed[labels[indexed] == name] for name in rest]
    means = np.stack([rows[part].mean(axis=0) for part in parts])
    ngrams = np.stack([np.asarray(table[part].mean(axis=0))[0] for part in parts])
    for draw in range(DRAWS):
        rng = np.random.default_rng(draw)
        new = rng.choice(np.flatnonzero(labels == held), TEXTS, replace=False)
        own = rows[new].mean(axis=0)[None], np.asarray(table[new].mean(axis=0))
        before = gains(rows[indexed], table[indexed], own, means, ngrams)
        now = gains(dev_rows, dev_table, own, means, ngrams)
        for found, scale in ((before, before), (now, before)):
            found["both"] = sum(found[way] / scale[way].std() for way in ("means", "n-grams"))
        for way in WAYS:
            taken = now[way] >= np.quantile(before[way], 1 - SPARED)
            point = np.sort(now[way][others & right])[::-1][int(0.01 * others.sum())]
            yield {
                "way": way,
                "recall": taken[~others].mean(),
                "lost": (right & taken)[others].mean(),
                "at one point": (now[way][~others] > point).mean(),
                "accuracy": right[others].mean(),
            }


def main(
    corpus: Annotated[Path, typer.Argument(help="A converted corpus with train and dev.")],
    work: Annotated[Path, typer.Argument(help="Folder for vectors.")],
    labels: Annotated[str, typer.Option(help="Which, between commas; all if empty.")] = "",
) -> None:
    """Measure every label and way, then print the table."""
    work.mkdir(parents=True, exist_ok=True)
    train, dev = (read(corpus, part, size, work) for part, size in (("train", TRAIN), ("dev", DEV)))
    known, cells = json.loads((corpus / "labels.json").read_text("utf-8")), []
    names = labels.split(",") if labels else known
    for held in names:
        found = list(measure(train, dev, held))
        for way in WAYS:
            own = [one for one in found if one["way"] == way]
            mean = {key: np.mean([one[key] for one in own]) for key in own[0] if key != "way"}
            cells.append({"label": held, "way": way, **mean})
    head = ["label", *(f"{way}: recall, lost, at one point" for way in WAYS)]
    lines = []
    for held in (*names, "mean"):
        line = [held]
        for way in WAYS:
            own = [one for one in cells if one["way"] == way and held in (one["label"], "mean")]
            recall, lost, point = (
                np.mean([one[key] for one in own]) for key in ("recall", "lost", "at one point")
            )
            line.append(f"{recall:.2f}, {100 * lost:.1f}, {point:.2f}")
        lines.append(line)
    print(f"accuracy of the others: {np.mean([one['accuracy'] for one in cells]):.3f}")
    print(render_table(head, lines))


if __name__ == "__main__":
    typer.run(main)
