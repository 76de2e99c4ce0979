"""A smaller vocabulary: the same scores to the bit; what is cut into characters."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import spacy
from spacy.language import Language

from spacy_bert_zh.compress.vocabulary import cut_vocabulary
from spacy_bert_zh.errors import BertZhError
from spacy_bert_zh.loading import load_pipeline, shims_of
from tests.compress.pipelines import TEXTS, ensemble
from tests.conftest import make_examples, pipe_of


def scores(nlp: Language, texts: list[str]) -> Any:
    return np.asarray([list(doc.cats.values()) for doc in nlp.pipe(texts)])


@pytest.fixture
def nlp() -> Language:
    return ensemble()


def test_scores_stay_to_the_bit(nlp: Language, tmp_path: Path) -> None:
    before = scores(nlp, TEXTS)
    ((pieces, kept),) = cut_vocabulary(pipe_of(nlp), TEXTS)
    assert kept < pieces / 10
    np.testing.assert_array_equal(scores(nlp, TEXTS), before)
    nlp.to_disk(tmp_path / "small")
    small = load_pipeline(tmp_path / "small")
    np.testing.assert_array_equal(scores(small, TEXTS), before)
    (shim,) = shims_of(pipe_of(small).model)
    assert shim.config["max_position_embeddings"] == shim.settings.max_length
    losses = small.update(make_examples(small, 8, 3), sgd=small.resume_training())
    assert np.isfinite(losses["bert_textcat"])


def test_rare_words_fall_back_to_characters(nlp: Language) -> None:
    texts = ["味道不错"] * 3 + ["味道", "不错", "味", "道", "不", "错"]
    (shim,) = shims_of(pipe_of(nlp).model)
    assert "味道" in shim.encoder.tokenizer.encode("味道不错").tokens
    cut_vocabulary(pipe_of(nlp), texts, least=5)
    assert shim.encoder.tokenizer.encode("味道不错").tokens == ["味", "道", "不", "错"]
    assert shim.encoder.tokenizer.encode("鼋").ids == [shim.encoder.tokenizer.token_to_id("[UNK]")]


def test_without_a_bert_it_says_so() -> None:
    nlp = spacy.blank("zh")
    nlp.add_pipe("textcat").add_label("a")
    with pytest.raises(BertZhError, match="has no BERT of its own"):
        cut_vocabulary(nlp.get_pipe("textcat"), TEXTS)
