"""Texts → word pieces, windows and batches, without an engine."""

from spacy_bert_zh.pieces.encoder import (
    ASSETS,
    EMBEDDED,
    MAX_BATCH_PIECES,
    MAX_WINDOWS,
    Batch,
    Documents,
    Encoded,
    PieceEncoder,
    Reading,
    batches,
    mean_over_windows,
    pad,
    shared_pieces,
    texts_of,
    windows_of,
)
from spacy_bert_zh.pieces.texts import text_of
from spacy_bert_zh.pieces.windows import (
    describe_reading,
    find_backbone,
    pieces_read,
    sections_of,
)

__all__ = [
    "ASSETS",
    "EMBEDDED",
    "MAX_BATCH_PIECES",
    "MAX_WINDOWS",
    "Batch",
    "Documents",
    "Encoded",
    "PieceEncoder",
    "Reading",
    "batches",
    "describe_reading",
    "find_backbone",
    "mean_over_windows",
    "pad",
    "pieces_read",
    "sections_of",
    "shared_pieces",
    "text_of",
    "texts_of",
    "windows_of",
]
