"""The mean of several runs' weights: as large and as fast as one of them."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from spacy.language import Language

from spacy_bert_zh.ensemble.runs import Run, check_same, micro_f1, put
from spacy_bert_zh.evaluate import predict
from spacy_bert_zh.loading import Network, Parts
from spacy_bert_zh.textcat import aligned


def cook(runs: Sequence[Run], dev: Path) -> tuple[Language, float, list[float]]:
    """Average the weights of the runs whose share makes it better.

    A greedy soup (Wortsman et al. 2022, arXiv 2203.05482, recipe 1): the best run first, then
    each of the others that doesn't lower the score of the mean.

    Args:
        runs: From one checkpoint, of one config: other seeds, rates or lengths.
        dev: The texts that choose.

    Returns:
        The pipeline, its score, and the share of each run.

    Raises:
        BertZhError: They can't be averaged.
    """
    check_same(
        runs,
        ("settings of the backbone", lambda run: run.parts.settings),
        ("word pieces", lambda run: run.parts.checkpoint.tokenizer.to_str()),
        ("sizes", lambda run: _shapes(run.parts)),
        ("n-grams", lambda run: run.parts.ngrams and run.parts.ngrams[1:3]),
    )
    order = np.argsort([-run.score for run in runs], kind="stable").tolist()
    best = runs[order[0]]
    taken, reached = order[:1], best.score
    for number in order[1:]:
        put(best.pipe, average([runs[one].parts for one in [*taken, number]]))
        if (score := micro_f1(predict(best.nlp, best.pipe, dev))) >= reached:
            taken, reached = [*taken, number], score
    put(best.pipe, average([runs[one].parts for one in taken]))
    shares = [(number in taken) / len(taken) for number in range(len(runs))]
    return best.nlp, reached, shares


def average(parts: Sequence[Parts]) -> Parts:
    """The mean of weights, each run's for as much as any other's."""
    first = parts[0]
    weights = {
        name: _mean([one.checkpoint.weights[name] for one in parts])
        for name in first.checkpoint.weights
    }
    tables = aligned([one.ngrams for one in parts if one.ngrams is not None])
    return replace(
        first,
        networks=(Network(replace(first.checkpoint, weights=weights), first.settings),),
        weights=_mean([one.weights for one in parts]),
        bias=_mean([one.bias for one in parts]),
        ngrams=tables[0]._replace(weights=_mean([table.weights for table in tables]))
        if tables
        else None,
    )


def _mean(arrays: Sequence[NDArray[Any]]) -> NDArray[Any]:
    mean: NDArray[Any] = np.stack(arrays).mean(axis=0, dtype=np.float64)
    return mean.astype(np.float32)


def _shapes(parts: Parts) -> dict[str, tuple[int, ...]]:
    return {name: array.shape for name, array in parts.checkpoint.weights.items()}
