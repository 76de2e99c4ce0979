"""What runs inside `nlp`: the components, their architectures and their loss."""

from spacy_bert_zh.textcat.architectures import (
    build_bert_text_cat_ensemble_v1,
    build_bert_text_cat_ensemble_v2,
    build_bert_text_cat_v1,
    build_bert_text_cat_v2,
)
from spacy_bert_zh.textcat.component import make_bert_textcat, make_bert_textcat_multilabel
from spacy_bert_zh.textcat.head import draw, plain_weights
from spacy_bert_zh.textcat.ngrams import build_ngram_linear_v1

__all__ = [
    "build_bert_text_cat_ensemble_v1",
    "build_bert_text_cat_ensemble_v2",
    "build_bert_text_cat_v1",
    "build_bert_text_cat_v2",
    "build_ngram_linear_v1",
    "draw",
    "make_bert_textcat",
    "make_bert_textcat_multilabel",
    "plain_weights",
]
