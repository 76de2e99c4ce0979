"""Weights and gradients of a torch backbone."""

from collections.abc import Callable

import numpy as np
from spacy.tokens import Doc
from thinc.api import Model
from thinc.types import Floats2d

from spacy_bert_zh.backbones.torch.backbone import TorchShim
from spacy_bert_zh.backbones.torch.bert import PooledBert
from tests.conftest import make_docs

Backbone = Model[list[Doc], Floats2d]
Build = Callable[..., Backbone]
Weights = dict[str, np.ndarray]

LENGTH, STRIDE = 32, 8


def shim_of(model: Model) -> TorchShim:
    (shim,) = model.shims
    assert isinstance(shim, TorchShim)
    return shim


def network_of(model: Model) -> PooledBert:
    return shim_of(model).network


def weights_of(model: Model) -> Weights:
    return {k: v.detach().numpy().copy() for k, v in network_of(model).named_parameters()}


def gradients_of(model: Model) -> Weights:
    named = network_of(model).named_parameters()
    return {k: v.grad.numpy().copy() for k, v in named if v.grad is not None}


def assert_equal(left: Weights, right: Weights, tolerance: float = 0.0) -> None:
    assert left.keys() == right.keys()
    for name, values in left.items():
        np.testing.assert_allclose(values, right[name], rtol=0, atol=tolerance, err_msg=name)


def learn(model: Backbone, seed: int = 0) -> None:
    """Leave the gradients of an arbitrary loss."""
    docs = make_docs()
    vectors, backprop = model.begin_update(docs)
    backprop(np.random.default_rng(seed).normal(size=vectors.shape).astype("float32"))
