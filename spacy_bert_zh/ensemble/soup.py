"""The mean of several runs' weights."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from spacy.pipeline import TextCategorizer

from spacy_bert_zh.errors import BertZhError
from spacy_bert_zh.loading.pipeline import Parts
from spacy_bert_zh.textcat.head import set_plain_weights


def check_alike(names: Sequence[str], parts: Sequence[Parts]) -> None:
    """Whether the weights of pipelines can be averaged.

    Raises:
        BertZhError: They have other labels, pieces, sizes or halves; it names the first that has.
    """
    first = parts[0]
    for name, other in zip(names[1:], parts[1:], strict=True):
        for what, here, there in (
            ("labels", first.labels, other.labels),
            ("settings of the backbone", first.settings, other.settings),
            ("word pieces", *(one.checkpoint.tokenizer.to_str() for one in (first, other))),
            ("sizes", _shapes(first), _shapes(other)),
            ("size of n-grams", first.ngram_size, other.ngram_size),
        ):
            if here != there:
                raise BertZhError(
                    f"{name} has other {what} than {names[0]}: only runs of one config from one "
                    "checkpoint can be averaged"
                )


def average(parts: Sequence[Parts]) -> Parts:
    """The mean of weights, each run's for as much as any other's."""
    first = parts[0]
    weights = {
        name: _mean([one.checkpoint.weights[name] for one in parts])
        for name in first.checkpoint.weights
    }
    tables = [one.ngrams for one in parts if one.ngrams is not None]
    return replace(
        first,
        checkpoint=replace(first.checkpoint, weights=weights),
        weights=_mean([one.weights for one in parts]),
        bias=_mean([one.bias for one in parts]),
        ngrams=_mean(tables) if tables else None,
    )


def put(pipe: TextCategorizer, parts: Parts) -> None:
    """Give a text classifier other weights.

    Args:
        pipe: One of those that the parts were taken from.
        parts: See `loading.take_apart`.
    """
    model: Any = pipe.model
    model.get_ref("backbone").shims[0].fill(parts.checkpoint)
    set_plain_weights(model.get_ref("output_layer"), parts.weights, parts.bias)
    if parts.ngrams is not None:
        table = parts.ngrams / float(model.attrs["linear_rate"])
        model.layers[2].set_param("W", model.ops.asarray2f(table))


def _mean(arrays: Sequence[NDArray[Any]]) -> NDArray[Any]:
    mean: NDArray[Any] = np.stack(arrays).mean(axis=0, dtype=np.float64)
    return mean.astype(np.float32)


def _shapes(parts: Parts) -> dict[str, tuple[int, ...]]:
    shapes = {name: array.shape for name, array in parts.checkpoint.weights.items()}
    return shapes if parts.ngrams is None else {**shapes, "n-grams": parts.ngrams.shape}
