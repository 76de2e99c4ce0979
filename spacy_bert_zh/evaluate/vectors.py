"""Vectors of texts, as a pipeline reads them."""

from collections.abc import Sequence
from itertools import islice
from typing import Any

import numpy as np
from spacy.language import Language
from spacy.pipeline.trainable_pipe import TrainablePipe

from spacy_bert_zh.repair import repair

BATCH = 256


def find_vectors(nlp: Language, pipe: TrainablePipe, texts: Sequence[str]) -> Any:
    """Vectors of texts as a component reads them; shape (texts, width).

    Args:
        nlp: The pipeline.
        pipe: A component with a backbone.
        texts: At least one.
    """
    backbone, rest, found = pipe.model.get_ref("backbone"), iter(texts), []
    while batch := list(islice(rest, BATCH)):
        with nlp.memory_zone():
            docs = [repair(nlp, nlp.make_doc(text)) for text in batch]
            found.append(pipe.model.ops.to_numpy(backbone.predict(docs)))
    return np.concatenate(found)
