"""`calibrate`: a pipeline whose scores mean what they say, and that knows what it doesn't know."""

from spacy_bert_zh.calibrate.flow import calibrate
from spacy_bert_zh.trust import Aims

__all__ = ["Aims", "calibrate"]
