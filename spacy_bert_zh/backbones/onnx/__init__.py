"""The ONNX Runtime engine, which can't learn."""

from spacy_bert_zh.backbones.onnx.backbone import build_onnx_backbone_v1

__all__ = ["build_onnx_backbone_v1"]
