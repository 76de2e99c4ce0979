"""The torch engine for thinc."""

from spacy_bert_zh.backbones.torch.backbone import build_torch_backbone_v1

__all__ = ["build_torch_backbone_v1"]
