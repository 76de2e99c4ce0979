"""A `Retriever` made of entries, by words and by vectors."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from spacy_bert_zh.loading import load_pipeline
from spacy_bert_zh.retrieve import lists
from spacy_bert_zh.retrieve.component import BertRetriever
from spacy_bert_zh.retrieve.folder import find_encoder
from spacy_bert_zh.retrieve.retriever import Encoder, Entry, Retriever
from spacy_bert_zh.retrieve.words import Words
from spacy_bert_zh.textcat.space import Space, find_whitening


def make_retriever(
    entries: Sequence[Entry], pipeline: str | Path | None = None, component: str | None = None
) -> Retriever:
    """A `Retriever` of entries, by words and, with a pipeline, by vectors.

    Vectors that were learnt to be compared are compared as they are. Those of a classifier are
    whitened first, since few directions have most of their variance (Su et al. 2021, arXiv
    2103.15316).

    Raises:
        BertZhError: The pipeline can't be used.
    """
    texts = [text for entry in entries for text in entry.texts]
    words = Words.build(texts)
    if pipeline is None:
        return Retriever(list(entries), words)
    nlp = load_pipeline(pipeline)
    encoder = Encoder(nlp, find_encoder(nlp, component))
    vectors = encoder.vectors(texts)
    width = vectors.shape[1]
    mean, whiten = np.zeros(width, dtype=np.float32), np.eye(width, dtype=np.float32)
    if not isinstance(encoder.pipe, BertRetriever):
        mean, whiten = vectors.mean(axis=0, dtype=np.float64).astype(np.float32), _whiten(vectors)
    none = Space(mean, whiten, np.zeros((0, width), dtype=np.float16))
    if len(texts) > lists.EXACT:
        return Retriever(list(entries), words, lists.Lists.build(none, vectors), encoder)
    space = replace(none, vectors=none.project(vectors).astype(np.float16))
    return Retriever(list(entries), words, space, encoder)


def _whiten(vectors: Any) -> Any:
    # Of a million, a tenth tells as much.
    vectors = vectors[:: 1 + len(vectors) // lists.EXACT]
    with np.errstate(divide="ignore", invalid="ignore"):
        found = find_whitening(vectors, np.ones((len(vectors), 1)))
    # A single text, or the same one again and again, tells nothing of how texts vary.
    return found if np.isfinite(found).all() else np.eye(vectors.shape[1], dtype=np.float32)
