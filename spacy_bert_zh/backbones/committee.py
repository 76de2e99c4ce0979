"""``spacy_bert_zh.CommitteeBackbone.v1``: Docs → the vectors of several BERTs, side by side.

A head on them adds up what each of several trained classifiers would say (see `ensemble`).
"""

from collections.abc import Callable
from typing import Any, cast

from spacy.tokens import Doc
from thinc.api import Model
from thinc.types import Floats2d

from spacy_bert_zh.backbones.base import BackboneShim
from spacy_bert_zh.backbones.settings import Backbone
from spacy_bert_zh.errors import BertZhError
from spacy_bert_zh.pieces import Documents, Encoded


def build_committee_backbone_v1(*backbones: Backbone) -> Backbone:
    """Build a backbone of several, each with weights, pieces and settings of its own.

    Those that cut texts alike let one of them do it.

    Args:
        backbones: Each a TorchBackbone, a KerasBackbone or an OnnxBackbone; one or more.

    Returns:
        Documents to floats of shape (documents, sum of the hidden sizes), in the order given.

    Raises:
        BertZhError: There is none, or one of another kind.
    """
    if not backbones or any(not _is_ours(backbone) for backbone in backbones):
        raise BertZhError(
            "CommitteeBackbone: name its members in sections such as [….backbone.*.0], each a "
            "TorchBackbone, a KerasBackbone or an OnnxBackbone"
        )
    return Model("committee", _forward, init=_init, dims={"nO": None}, layers=backbones)


def _is_ours(backbone: Backbone) -> bool:
    return bool(backbone.shims) and isinstance(backbone.shims[0], BackboneShim)


def _init(model: Backbone, X: Any = None, Y: Any = None) -> None:
    for backbone in model.layers:
        backbone.initialize(X=X)
    model.set_dim("nO", sum(backbone.get_dim("nO") for backbone in model.layers))


def _forward(
    model: Backbone, docs: list[Doc], is_train: bool
) -> tuple[Floats2d, Callable[[Floats2d], list[Doc]]]:
    shims = [cast(BackboneShim, backbone.shims[0]) for backbone in model.layers]
    if not docs:
        return model.ops.alloc2f(0, sum(shim.width for shim in shims)), lambda dY: []
    read: list[tuple[BackboneShim, Encoded]] = []
    found, backprops = [], []
    for shim in shims:
        like = (encoded for other, encoded in read if shim.reads_like(other))
        encoded = next(like, None) or shim.encode(docs, is_train)
        read.append((shim, encoded))
        vectors, backprop = shim(encoded, is_train)
        found.append(model.ops.asarray2f(vectors))
        backprops.append(backprop)
    vectors = model.ops.xp.concatenate(found, axis=1)
    if isinstance(docs, Documents):
        docs.vectors = vectors
        # What the one that reads farthest has read.
        docs.readings = max((one.readings for _, one in read), key=_pieces_read)

    def backward(dY: Floats2d) -> list[Doc]:
        start = 0
        for shim, backprop in zip(shims, backprops, strict=True):
            backprop(model.ops.as_contig(dY[:, start : start + shim.width]))
            start += shim.width
        return []

    return vectors, backward


def _pieces_read(readings: Any) -> int:
    return sum(reading["pieces_read"] for reading in readings)
