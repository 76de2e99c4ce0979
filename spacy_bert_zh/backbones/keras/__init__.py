"""The Keras engine, on TensorFlow."""

from spacy_bert_zh.backbones.keras.backbone import build_keras_backbone_v1

__all__ = ["build_keras_backbone_v1"]
