"""What heads and neurons of a BERT matter for its answers, and a narrower one of those that do."""

from collections.abc import Iterable
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray
from spacy.language import Language
from spacy.tokens import Doc
from spacy.training import Example
from spacy.util import minibatch

from spacy_bert_zh.checkpoint import Checkpoint, prune
from spacy_bert_zh.checkpoint.prune import Kept
from spacy_bert_zh.loading import shims_of

Scores = list[tuple[NDArray[np.float64], NDArray[np.float64]]]
"""Of each layer what its heads matter, (heads,), and its inner neurons, (neurons,)."""
_BATCH = 32


def find_importance(nlp: Language, pipe: Any, docs: Iterable[Doc]) -> Scores:
    """Importance of heads and neurons: |gradient × activation|, summed over the pieces of texts.

    To a first order it is what the loss would change by without them (Michel et al. 2019, arXiv
    1905.10650, eq. 2; Molchanov et al. 2017, arXiv 1611.06440, eq. 8, as used for width by
    DynaBERT, Hou et al. 2020, arXiv 2004.04037, section 3.1).

    Args:
        nlp: A pipeline; it is good for nothing else afterwards, as it keeps the gradients.
        pipe: Its text classifier, in torch.
        docs: Texts with their labels, such as it learnt from.
    """
    (shim,) = shims_of(pipe.model)
    layers = shim.network.bert.encoder.layer
    found: Scores = []
    handles = []
    for layer in layers:
        heads, neurons = np.zeros(layer.heads), np.zeros(layer.output.dense.in_features)
        found.append((heads, neurons))
        for part, sums in (
            (layer.attention.output.dense, heads),
            (layer.output.dense, neurons),
        ):
            handles.append(part.register_forward_pre_hook(partial(_watch, sums)))
    try:
        for some in minibatch(docs, _BATCH):
            pipe.update([Example(nlp.make_doc(doc.text), doc) for doc in some], drop=0.0)
    finally:
        for handle in handles:
            handle.remove()
    return found


def _watch(sums: NDArray[np.float64], part: Any, given: tuple[Any, ...]) -> None:
    rows = given[0]  # (pieces, heads · width) or (pieces, neurons)

    def add(gradient: Any) -> None:
        products = (rows.detach() * gradient).view(len(rows), len(sums), -1).sum(-1)
        sums[:] += products.abs().sum(0).double().cpu().numpy()

    if rows.requires_grad:
        rows.register_hook(add)


def narrow(checkpoint: Checkpoint, importance: Scores, share: float) -> Checkpoint:
    """A BERT with that share of its heads and inner neurons, those that matter most in each layer.

    Args:
        checkpoint: The whole.
        importance: Of its parts, see `find_importance`.
        share: From 0 to 1; at least one head stays.
    """
    return prune(checkpoint, [Kept(*(_best(part, share) for part in one)) for one in importance])


def _best(scores: NDArray[np.float64], share: float) -> NDArray[np.int64]:
    count = max(1, round(share * len(scores)))
    return np.sort(np.argsort(-scores, kind="stable")[:count])
