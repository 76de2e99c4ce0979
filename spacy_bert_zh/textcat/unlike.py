"""How unlike the training texts a text is, by its character n-grams alone.

Each n-gram speaks for or against a text: it has log odds, those of finding it in Chinese of some
other kind rather than in the training texts. A text is strange if one such kind explains it better
than the training texts do (likelihood ratios against a background, Ren et al. 2019, arXiv
1906.02845, eq. 2; n-grams as in naive Bayes). No network is asked, so every engine says the same.
"""

from collections.abc import Iterable, Iterator, Sequence
from functools import cache
from itertools import islice
from typing import Any

import numpy as np
from numpy.typing import NDArray
from spacy.tokens import Doc
from thinc.api import Model, to_numpy

from spacy_bert_zh.pieces import ASSETS, texts_of
from spacy_bert_zh.textcat.halves import last_layer
from spacy_bert_zh.textcat.hashing import ngram_rows

NGRAM_SIZE, ROWS = 2, 2**15
"""N-grams of one to so many characters, hashed into so many rows."""
ODDS = "odds"
"""The parameter that keeps them; shape (rows, kinds)."""

Array = NDArray[np.float64]
_BATCH = 1000


def strangeness(model: Model[list[Doc], Any], docs: Sequence[Doc]) -> Array | None:
    """How unlike the training texts documents are, if the model knows; shape (documents,).

    About 0 for such as those of the training, and 1 for one standard deviation above.
    """
    node = last_layer(model)
    if ODDS not in node.param_names:
        return None
    return weigh(to_numpy(node.get_param(ODDS)), texts_of(docs)).max(axis=1)


def remember_odds(model: Model[list[Doc], Any], odds: Any) -> None:
    """Keep log odds of n-grams with a model, see `find_odds`."""
    last_layer(model).set_param(ODDS, model.ops.asarray2f(odds))


def find_odds(texts: Iterable[str], sample: Sequence[str]) -> NDArray[np.float32]:
    """Find the log odds of n-grams.

    Args:
        texts: All of the training.
        sample: Some of them, whose scores shall be 0 on average, with a standard deviation of 1.

    Returns:
        Shape (rows, kinds).
    """
    backgrounds = _backgrounds()
    odds = _logs(backgrounds).T - _logs(count(texts, NGRAM_SIZE, backgrounds.shape[1]))[:, None]
    lengths = weigh(np.ones((len(odds), 1)), sample)
    odds -= weigh(odds, sample).sum(axis=0) / max(float(lengths.sum()), 1.0)
    spread = weigh(odds, sample).std(axis=0)
    return (odds / np.where(spread > 0, spread, 1.0)).astype(np.float32)


def weigh(odds: NDArray[Any], texts: Sequence[str]) -> Array:
    """Sums of log odds, over the root of the number of n-grams, so that long texts vary no more.

    Args:
        odds: Shape (rows, kinds).
        texts: The texts.

    Returns:
        Shape (texts, kinds); 0 for an empty text.
    """
    sums, numbers = np.zeros((len(texts), odds.shape[1])), np.zeros(len(texts))
    for owners, rows in _places(texts, NGRAM_SIZE, len(odds)):
        numbers += np.bincount(owners, minlength=len(texts))
        for kind in range(odds.shape[1]):
            sums[:, kind] += np.bincount(owners, odds[rows, kind], minlength=len(texts))
    return sums / np.sqrt(np.maximum(numbers, 1.0))[:, None]


def count(texts: Iterable[str], ngram_size: int, rows: int) -> NDArray[np.int64]:
    """How often each row's n-grams occur in texts; shape (rows,)."""
    counts, rest = np.zeros(rows, dtype=np.int64), iter(texts)
    while some := list(islice(rest, _BATCH)):
        for _, places in _places(some, ngram_size, rows):
            counts += np.bincount(places, minlength=rows)
    return counts


def _places(
    texts: Sequence[str], ngram_size: int, rows: int
) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int64]]]:
    """For each size: of all n-grams the text and the row."""
    folded = [text.casefold() for text in texts]
    owners = np.repeat(np.arange(len(folded)), [len(text) for text in folded])
    for size, places in ngram_rows("".join(folded), ngram_size, rows):
        first = owners[: len(places)]
        inside = first == owners[size - 1 :]
        yield first[inside], places[inside]


def _logs(counts: NDArray[Any]) -> Array:
    """Log probabilities of rows; each has one occurrence more than was seen (Laplace)."""
    more = counts + 1.0
    return np.log(more / more.sum(axis=-1, keepdims=True))


@cache
def _backgrounds() -> NDArray[np.int64]:
    """What `recipes/background.py` counted; shape (kinds, rows)."""
    from safetensors.numpy import load_file

    return load_file(ASSETS / "background" / "ngrams.safetensors")["counts"].astype(np.int64)
