"""Coarse weights: few values, which pack smaller and still say nearly the same."""

import zlib
from pathlib import Path

import numpy as np

from spacy_bert_zh.compress.rounding import LEVELS, WORD_LEVELS, WORDS, coarsen, round_weights
from spacy_bert_zh.loading import load_pipeline, shims_of
from spacy_bert_zh.textcat import quantize_table
from tests.compress.pipelines import TEXTS, ensemble, network
from tests.conftest import make_examples, pipe_of


def test_large_matrices_have_few_values_and_the_rest_stays() -> None:
    whole = network()
    small = coarsen(whole)
    for name, before in whole.weights.items():
        after = small.weights[name]
        if name != WORDS and not (name.startswith("encoder.") and before.ndim == 2):
            np.testing.assert_array_equal(after, before)
            continue
        levels = WORD_LEVELS if name == WORDS else LEVELS
        largest = abs(before).max(axis=1, keepdims=True)
        assert (abs(after - before) < 0.501 / levels * largest).all()
        assert max(len(np.unique(row)) for row in after) <= 2 * levels + 1


def test_it_packs_smaller_and_says_nearly_the_same(tmp_path: Path) -> None:
    nlp = ensemble()
    pipe = pipe_of(nlp)
    before = [doc.cats["pos"] for doc in nlp.pipe(TEXTS)]
    size = len(zlib.compress(nlp.to_bytes()))
    round_weights(pipe)
    packed = len(zlib.compress(nlp.to_bytes()))
    assert packed < 0.65 * size  # in floats, too
    after = [doc.cats["pos"] for doc in nlp.pipe(TEXTS)]
    same = [(one > 0.5) == (other > 0.5) for one, other in zip(before, after, strict=True)]
    assert np.mean(same) > 0.8 and after != before  # its weights are few, and drawn by chance
    nlp.to_disk(tmp_path / "nlp")
    again = load_pipeline(tmp_path / "nlp")
    assert [doc.cats["pos"] for doc in again.pipe(TEXTS)] == after
    losses = again.update(make_examples(again, 8, 3), sgd=again.resume_training())
    assert np.isfinite(losses["bert_textcat"])


def test_an_export_takes_the_rounded_table_as_it_is() -> None:
    pipe = pipe_of(ensemble())
    round_weights(pipe)
    (table,) = (node for node in pipe.model.walk() if node.name == "ngram_linear")
    before = table.get_param("W").copy()
    quantize_table(table)
    np.testing.assert_array_equal(table.get_param("W"), before)
    assert len(shims_of(pipe.model)) == 1
