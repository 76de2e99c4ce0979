"""The torch engine for thinc."""

from spacy_bert_zh.backbones.torch.adam import FusedAdam, build_adam_v1
from spacy_bert_zh.backbones.torch.backbone import build_torch_backbone_v1

__all__ = ["FusedAdam", "build_adam_v1", "build_torch_backbone_v1"]
