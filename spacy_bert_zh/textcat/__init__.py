"""What runs inside `nlp`: the components, their architectures and their loss."""

from spacy_bert_zh.textcat.architectures import (
    build_bert_text_cat_ensemble_v1,
    build_bert_text_cat_ensemble_v2,
    build_bert_text_cat_ensemble_v3,
    build_bert_text_cat_ensemble_v4,
    build_bert_text_cat_v1,
    build_bert_text_cat_v2,
)
from spacy_bert_zh.textcat.base import BertTextCat
from spacy_bert_zh.textcat.cascade import NGRAMS, Cascade, ngram_bias
from spacy_bert_zh.textcat.component import make_bert_textcat, make_bert_textcat_multilabel
from spacy_bert_zh.textcat.decision import (
    DECISION,
    Abstention,
    Novelty,
    Rules,
    Sets,
    confidence,
    evidence,
    given_of,
    rank,
    thresholds_of,
)
from spacy_bert_zh.textcat.halves import rescale
from spacy_bert_zh.textcat.hashing import NgramTable, aligned, ngram_features, ngram_rows
from spacy_bert_zh.textcat.head import draw, plain_weights
from spacy_bert_zh.textcat.hierarchical import make_bert_textcat_hierarchical
from spacy_bert_zh.textcat.loss import Objective
from spacy_bert_zh.textcat.neighbours import NEIGHBOURS, Entry, Mixing, Near, Neighbours
from spacy_bert_zh.textcat.networks import shims_of
from spacy_bert_zh.textcat.ngrams import (
    build_ngram_linear_v1,
    build_ngram_linear_v2,
    build_ngram_text_cat_v1,
    hashing_of,
    quantize_table,
    set_table,
    table_of,
    weights_of,
)
from spacy_bert_zh.textcat.taxonomy import Taxonomy, read_taxonomy, split_labels
from spacy_bert_zh.textcat.tree import Tree
from spacy_bert_zh.textcat.unlike import find_odds, remember_odds, strangeness

__all__ = [
    "DECISION",
    "NEIGHBOURS",
    "NGRAMS",
    "Abstention",
    "BertTextCat",
    "Cascade",
    "Entry",
    "Mixing",
    "Near",
    "Neighbours",
    "NgramTable",
    "Novelty",
    "Objective",
    "Rules",
    "Sets",
    "Taxonomy",
    "Tree",
    "aligned",
    "build_bert_text_cat_ensemble_v1",
    "build_bert_text_cat_ensemble_v2",
    "build_bert_text_cat_ensemble_v3",
    "build_bert_text_cat_ensemble_v4",
    "build_bert_text_cat_v1",
    "build_bert_text_cat_v2",
    "build_ngram_linear_v1",
    "build_ngram_linear_v2",
    "build_ngram_text_cat_v1",
    "confidence",
    "draw",
    "evidence",
    "find_odds",
    "given_of",
    "hashing_of",
    "make_bert_textcat",
    "make_bert_textcat_hierarchical",
    "make_bert_textcat_multilabel",
    "ngram_bias",
    "ngram_features",
    "ngram_rows",
    "plain_weights",
    "quantize_table",
    "rank",
    "read_taxonomy",
    "remember_odds",
    "rescale",
    "set_table",
    "shims_of",
    "split_labels",
    "strangeness",
    "table_of",
    "thresholds_of",
    "weights_of",
]
