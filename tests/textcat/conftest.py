"""A pipeline that has learned."""

import pytest
from spacy.language import Language

from tests.conftest import make_examples, teach
from tests.textcat.cats import Make


@pytest.fixture
def taught(factory: str, make_pipeline: Make) -> Language:
    """A pipeline that has learned good from bad."""
    nlp = make_pipeline(factory, pooling="mean")
    teach(nlp, make_examples(nlp, 64))
    return nlp
