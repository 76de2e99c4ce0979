"""What an exit inside the network would bring beside the cascade: labels without the last layers.

    python benchmarks/exits.py PIPELINE CORPUS

After FastBERT (Liu et al. 2020, arXiv 2004.02178), simulated: a logistic regression on the mean
vectors of each layer answers where the margin of its two best logits is large, alone or with the
n-grams' logits added; elsewhere the whole ensemble does. One half of dev finds the least margin
from which no more than 1 - agree of all texts get another label; figures are of the other half.
"""

import os
import random
from collections.abc import Sequence
from itertools import islice
from pathlib import Path
from typing import Annotated, Any

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("USE_TF", "0")

import numpy as np
import spacy
import torch
import typer
from numpy.typing import NDArray
from spacy.tokens import Doc

from spacy_bert_zh.evaluate import read_shards
from spacy_bert_zh.loading import find_textcat, load_pipeline, shims_of
from spacy_bert_zh.textcat.cascade import halves, margins

BATCH, TAUGHT = 128, 8_000
Floats = NDArray[np.float32]


def main(
    pipeline: Annotated[str, typer.Argument(help="A trained ensemble with a torch backbone.")],
    corpus: Annotated[Path, typer.Argument(help="Folder that convert made.")],
    agree: Annotated[float, typer.Option(help="Share of all texts that keeps its label.")] = 0.995,
) -> None:
    """Print for each exit how many texts leave there, their labels, the accuracy."""
    from sklearn.linear_model import LogisticRegression

    pipe: Any = find_textcat(load_pipeline(pipeline), None)
    labels = list(pipe.labels)
    train = draw(list(islice(read_shards(spacy.blank("zh"), corpus / "train"), 60_000)))[:TAUGHT]
    dev = draw(list(read_shards(spacy.blank("zh"), corpus / "dev")))
    fitting, measuring = dev[::2], dev[1::2]
    gold = np.array([labels.index(max(doc.cats, key=doc.cats.__getitem__)) for doc in measuring])
    (own, whole), (measured, answers) = (split(pipe, docs) for docs in (fitting, measuring))
    exits = {"n-grams": (own, measured)}
    seen = [layers_of(pipe, docs) for docs in (train, fitting, measuring)]
    truths = [labels.index(max(doc.cats, key=doc.cats.__getitem__)) for doc in train]
    for layer in range(seen[0].shape[1]):
        mean, spread = seen[0][:, layer].mean(axis=0), seen[0][:, layer].std(axis=0)
        taught, *others = ((one[:, layer] - mean) / spread for one in seen)
        model = LogisticRegression(C=0.1, max_iter=200).fit(taught, truths)
        found = [model.decision_function(one).astype(np.float32) for one in others]
        exits[f"layer {layer + 1}"] = found[0], found[1]
        exits[f"layer {layer + 1} and n-grams"] = found[0] + own, found[1] + measured
    print(f"{len(gold):,} texts, whole: {(answers.argmax(1) == gold).mean():.4f}\n")
    print(
        "| exit | alone | leave there | same labels | accuracy |\n| --- | --- | --- | --- | --- |"
    )
    for name, (fits, says) in exits.items():
        sure = margins(says) >= least_margin(fits, whole, agree)
        given = np.where(sure, says.argmax(1), answers.argmax(1))
        cells = (says.argmax(1) == gold, sure, given == answers.argmax(1), given == gold)
        print(f"| {name} | {' | '.join(f'{cell.mean():.4f}' for cell in cells)} |")


def draw(docs: list[Doc]) -> list[Doc]:
    """In an order by chance, always the same one."""
    random.Random(0).shuffle(docs)
    return docs


def split(pipe: Any, docs: list[Doc]) -> tuple[Floats, Floats]:
    """Logits of the n-grams, and of the whole; (texts, labels) each."""
    parts = [halves(pipe.model, docs[i : i + BATCH]) for i in range(0, len(docs), BATCH)]
    linear, full = zip(*parts, strict=True)
    return np.concatenate(linear), np.concatenate(full)


def layers_of(pipe: Any, docs: list[Doc]) -> Floats:
    """Mean vectors of each layer; (texts, layers, width)."""
    (shim,) = shims_of(pipe.model)
    shim.network.eval()
    found = [_layers(shim, docs[i : i + BATCH]) for i in range(0, len(docs), BATCH)]
    return np.concatenate(found)


def _layers(shim: Any, docs: list[Doc]) -> Floats:
    layers = shim.network.bert.encoder.layer
    seen: list[list[torch.Tensor]] = [[] for _ in layers]
    hooks = [
        layer.register_forward_hook(lambda part, given, rows, own=own: own.append(rows))
        for layer, own in zip(layers, seen, strict=True)
    ]
    encoded = shim.encode(docs, False)
    with torch.inference_mode():
        shim.network(encoded)
    for hook in hooks:
        hook.remove()
    return np.stack([_means(encoded, rows) for rows in seen], axis=1)


def _means(encoded: Any, hidden: Sequence[torch.Tensor]) -> Floats:
    """Of the pieces of each window, then of the windows of each text; (texts, width)."""
    pooled = []
    for batch, rows in zip(encoded.batches, hidden, strict=True):
        lengths = torch.from_numpy(batch.lengths)
        owners = torch.repeat_interleave(lengths)
        sums = torch.zeros(len(batch), rows.shape[1]).index_add(0, owners, rows)
        pooled.append(sums / lengths[:, None])
    windows, owners = torch.cat(pooled)[encoded.windows], torch.from_numpy(encoded.docs)
    sums = torch.zeros(encoded.size, windows.shape[1]).index_add(0, owners, windows)
    return np.asarray(sums / torch.bincount(owners, minlength=encoded.size)[:, None])


def least_margin(logits: Floats, whole: Floats, agree: float) -> float:
    """The least margin from which on few enough labels differ, among all texts."""
    margin = margins(logits)
    order = np.argsort(-margin)
    differing = np.cumsum((logits.argmax(1) != whole.argmax(1))[order])
    kept = np.flatnonzero(differing <= (1 - agree) * len(logits))
    return float(margin[order][kept.max()]) if len(kept) else np.inf


if __name__ == "__main__":
    typer.run(main)
