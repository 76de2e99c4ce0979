"""BERT checkpoints and tokenizers: found, checked, read and written, without an engine."""

from spacy_bert_zh.checkpoint.folder import (
    Checkpoint,
    find_settings,
    find_tokenizer,
    holds_graph,
    load_checkpoint,
    pack,
    unpack,
)
from spacy_bert_zh.checkpoint.prune import prune, whole_heads
from spacy_bert_zh.checkpoint.saving import (
    SPECIAL,
    pieces_of,
    save_checkpoint,
    write_lines,
    write_tokenizer,
)
from spacy_bert_zh.checkpoint.shapes import (
    attended_width,
    check_shapes,
    embedded_width,
    expected_shapes,
    network_settings,
    relative_projections,
)
from spacy_bert_zh.checkpoint.structure import Structure, plain, structure
from spacy_bert_zh.checkpoint.tensors import Tensor, check_finite, list_tensors
from spacy_bert_zh.checkpoint.tokenizer import load_tokenizer, read_tokenizer
from spacy_bert_zh.checkpoint.trim import cut_positions, trim, trim_to

__all__ = [
    "SPECIAL",
    "Checkpoint",
    "Structure",
    "Tensor",
    "attended_width",
    "check_finite",
    "check_shapes",
    "cut_positions",
    "embedded_width",
    "expected_shapes",
    "find_settings",
    "find_tokenizer",
    "holds_graph",
    "list_tensors",
    "load_checkpoint",
    "load_tokenizer",
    "network_settings",
    "pack",
    "pieces_of",
    "plain",
    "prune",
    "read_tokenizer",
    "relative_projections",
    "save_checkpoint",
    "structure",
    "trim",
    "trim_to",
    "unpack",
    "whole_heads",
    "write_lines",
    "write_tokenizer",
]
