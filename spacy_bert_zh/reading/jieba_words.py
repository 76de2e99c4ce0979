"""jieba's words, without its cache and its noise."""

import os
import warnings
from typing import Any

from spacy_bert_zh.errors import missing_extra


def word_cutter(extra: str, purpose: str) -> Any:
    """A `jieba.Tokenizer` of its own.

    It keeps no cache: jieba's lies at a known place in the shared temporary folder, where anyone
    may have put another one.

    Args:
        extra: What installs jieba.
        purpose: What needs it.

    Raises:
        BertZhError: jieba is not installed.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # it imports the deprecated pkg_resources
            import jieba
    except ImportError:
        raise missing_extra("jieba", extra, purpose) from None
    jieba.setLogLevel("CRITICAL")  # a cache that it can't write is no error
    words = jieba.Tokenizer()
    words.tmp_dir = os.devnull
    return words
