"""A cascade fitted to a corpus; see `fit_cascade`."""

from pathlib import Path
from typing import Any

import numpy as np
from spacy.language import Language
from spacy.util import minibatch

from spacy_bert_zh.compress.fitting import fit_cascade
from spacy_bert_zh.errors import BertZhError
from spacy_bert_zh.evaluate import read_as_classified
from spacy_bert_zh.textcat.cascade import halves, margins

BATCH = 256


def set_cascade(nlp: Language, pipe: Any, corpus: Path, agree: float) -> tuple[int, float]:
    """Let the n-grams of an ensemble answer alone where they are sure.

    Args:
        nlp: A pipeline.
        pipe: Its text classifier, without a cascade.
        corpus: Texts that nothing was trained on.
        agree: Share of texts that keep their label, with a confidence of 95 %.

    Returns:
        How many texts there are, and the share that reaches the network.

    Raises:
        BertZhError: The texts are too few, or the n-grams never sure enough.
    """
    batches = minibatch(read_as_classified(nlp, corpus), BATCH)
    parts = [halves(pipe.model, list(docs)) for docs in batches]
    linear, full = (np.concatenate(half) for half in zip(*parts, strict=True))
    pipe.cascade = fit_cascade(linear, full, agree)
    if pipe.cascade is None:
        raise BertZhError(
            f"The n-grams of '{pipe.name}' are never sure enough on {corpus} for --agree {agree:g}"
            ": ask for less, or give more texts"
        )
    return len(linear), float((margins(linear) < pipe.cascade.margin).mean())
