"""Pipelines that explanations are of."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import spacy
from spacy.language import Language

from spacy_bert_zh.textcat import rescale
from tests.conftest import FACTORIES, make_examples, pipe_of, teach


@pytest.fixture(scope="package")
def trained_one(still: Path) -> Callable[[str, str], Language]:
    """Trained pipelines by architecture and factory, made once."""
    made: dict[tuple[str, str], Language] = {}

    def get(architecture: str, factory: str = FACTORIES[0]) -> Language:
        key = architecture, factory
        if key not in made:
            nlp = spacy.blank("zh")
            backbone = {
                **{"@architectures": "spacy_bert_zh.TorchBackbone.v1", "name": str(still)},
                **{"max_length": 16, "stride": 4, "max_windows": 0, "pooling": "mean"},
                "mixed_precision": False,
            }
            model: dict[str, Any] = {
                "@architectures": f"spacy_bert_zh.{architecture}",
                "exclusive_classes": factory == FACTORIES[0],
                "backbone": backbone,
            }
            if "Ensemble" in architecture:
                model["linear_model"] = {"@architectures": "spacy_bert_zh.NgramLinear.v1"}
                model["linear_model"]["length"] = 999  # some n-grams collide
            nlp.add_pipe(factory, config={"model": model})
            teach(nlp, make_examples(nlp, 32), epochs=4)
            rescale(pipe_of(nlp).model, np.asarray([0.7, 0.7]), np.asarray([0.1, -0.2]))
            made[key] = nlp
        return made[key]

    return get


def as_onnx(nlp: Language, folder: Path) -> Language:
    """The same pipeline by ONNX Runtime."""
    nlp.to_disk(folder)
    config = nlp.config.copy()
    model = config["components"]["bert_textcat"]["model"]
    kept = ("max_length", "stride", "max_windows", "pooling")
    model["backbone"] = {
        "@architectures": "spacy_bert_zh.OnnxBackbone.v1",
        **{key: model["backbone"][key] for key in kept},
    }
    config.to_disk(folder / "config.cfg")
    return spacy.load(folder)
