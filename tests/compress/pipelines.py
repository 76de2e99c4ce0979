"""A trained ensemble on a shallow BERT with the pieces that ship."""

from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import spacy
from spacy.language import Language
from thinc.api import fix_random_seed

from spacy_bert_zh.checkpoint import Checkpoint, expected_shapes, load_checkpoint, save_checkpoint
from tests.conftest import TORCH, make_examples, make_rows, teach

TEXTS = [text for text, _ in make_rows(400, 3)]
SIZES = {
    "hidden_size": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 32,
    "max_position_embeddings": 64,
}


def network() -> Checkpoint:
    """A BERT of two layers with random weights."""
    shipped = load_checkpoint(None)
    config = {**shipped.config, **SIZES}
    draw = np.random.default_rng(0)
    weights = {
        name: draw.normal(1.0 if "Norm.weight" in name else 0.0, 0.2, shape).astype(np.float32)
        for name, shape in expected_shapes(config).items()
    }
    return Checkpoint(config, shipped.tokenizer, weights)


@cache
def _learnt() -> bytes:
    nlp = _blank()
    teach(nlp, make_examples(nlp, 64), epochs=3)
    return nlp.to_bytes()


def _blank() -> Language:
    with TemporaryDirectory() as folder:
        save_checkpoint(network(), Path(folder) / "bert")
        backbone = {
            "@architectures": TORCH,
            "name": str(Path(folder) / "bert"),
            "max_length": 48,
            "mixed_precision": False,
        }
        model = {
            "@architectures": "spacy_bert_zh.BertTextCatEnsemble.v3",
            "exclusive_classes": True,
            "linear_model": {"@architectures": "spacy_bert_zh.NgramLinear.v1", "length": 4096},
            "linear_rate": 1.0,
            "backbone": backbone,
        }
        nlp = spacy.blank("zh")
        nlp.add_pipe("bert_textcat", config={"model": model})
        fix_random_seed(0)
        nlp.initialize(lambda: make_examples(nlp, 64))
    return nlp


def ensemble() -> Language:
    """A pipeline of its own each time."""
    return _blank().from_bytes(_learnt())
