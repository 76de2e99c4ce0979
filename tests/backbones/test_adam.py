"""The fused Adam: equal to thinc's, in what it does and in what it keeps."""

from threading import Barrier, Thread
from typing import Any

import numpy as np
import pytest
import spacy
import torch
from spacy.util import registry
from thinc.api import Adam, Optimizer

from spacy_bert_zh.backbones.torch.adam import FusedAdam, build_adam_v1
from tests.conftest import REPOSITORY, make_examples, pipe_of
from tests.textcat.cats import Make

SETTINGS = [
    {},
    {"L2": 0.1, "L2_is_weight_decay": True},
    {"L2": 0.1, "L2_is_weight_decay": False},
    {"grad_clip": 0.01, "eps": 1e-3},
    {"grad_clip": 0.0, "use_averages": False, "beta2": 0.9},
]


def steps(optimizer: Optimizer, shape: tuple[int, ...], scale: float) -> np.ndarray:
    random = np.random.default_rng(0)
    weights: Any = random.normal(size=shape).astype("float32")
    for _ in range(30):
        gradient: Any = random.normal(size=shape).astype("float32")
        gradient *= 10.0 ** random.uniform(-6, 1)
        weights, left = optimizer((1, "W"), weights, gradient, lr_scale=scale)
        assert not np.asarray(left).any()
    return np.asarray(weights)


@pytest.mark.parametrize("settings", SETTINGS)
@pytest.mark.parametrize(("shape", "scale"), [((7, 5), 1.0), ((33,), 0.3), ((3, 2, 4), 2.0)])
def test_it_does_and_keeps_what_thincs_does(settings: Any, shape: Any, scale: float) -> None:
    ours, thincs = build_adam_v1(0.01, **settings), Adam(0.01, **settings)
    np.testing.assert_allclose(steps(ours, shape, scale), steps(thincs, shape, scale), atol=1e-5)
    assert ours.nr_update == thincs.nr_update
    for name in ("mom1", "mom2", "averages"):
        kept, expected = getattr(ours, name), getattr(thincs, name)
        assert (kept is None) == (expected is None)
        for key in expected or ():
            assert kept[key].shape == expected[key].shape
            np.testing.assert_allclose(kept[key], expected[key], rtol=1e-4, atol=1e-6)


class Half:
    """One of two that see the same memory, which threads do anyway."""

    barrier, sums = Barrier(2, timeout=60), [torch.zeros(0)] * 2

    def __init__(self, number: int) -> None:
        self.number = number

    def shared(self, tensor: torch.Tensor) -> torch.Tensor:
        return tensor

    def part(self, tensor: torch.Tensor) -> torch.Tensor:
        middle = len(tensor) // 2
        return tensor[middle:] if self.number else tensor[:middle]

    def sum(self, tensor: torch.Tensor) -> None:
        self.sums[self.number] = tensor.clone()
        self.wait()
        tensor.copy_(self.sums[0] + self.sums[1])
        self.wait()

    def wait(self) -> None:
        self.barrier.wait()


@pytest.mark.parametrize("settings", SETTINGS)
@pytest.mark.parametrize("shape", [(7, 5), (1,)])
def test_two_that_share_the_work_do_what_one_does(settings: Any, shape: Any) -> None:
    random = np.random.default_rng(0)
    weights: Any = random.normal(size=shape).astype("float32")
    gradients = [random.normal(size=shape).astype("float32") for _ in range(5)]
    alone, together = weights.copy(), weights.copy()
    one = build_adam_v1(0.01, **settings)
    for gradient in gradients:
        one((1, "W"), alone, gradient.copy())  # type: ignore[arg-type]

    def work(number: int) -> None:
        optimizer: Any = build_adam_v1(0.01, **settings)
        optimizer.shares = Half(number)
        for gradient in gradients:
            optimizer((1, "W"), together, gradient.copy())

    threads = [Thread(target=work, args=(number,)) for number in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    np.testing.assert_allclose(together, alone, atol=1e-6)


@pytest.mark.parametrize("layer_decay", [1.0, 0.5])
def test_a_network_learns_the_same(make_pipeline: Make, layer_decay: float) -> None:
    def taught(optimizer: Optimizer) -> Any:
        nlp = make_pipeline(pooling="mean", layer_decay=layer_decay)
        examples = make_examples(nlp, 32)
        spacy.util.fix_random_seed(0)
        nlp.initialize(lambda: examples)
        for _ in range(3):
            nlp.update(examples, sgd=optimizer, drop=0.0)
        shim = pipe_of(nlp).model.get_ref("backbone").shims[0]
        names = [name for name, one in shim._parameters() if one.requires_grad]
        averages = [optimizer.averages[shim.id, name] for name in names]
        return shim.extract_weights(), dict(zip(names, averages, strict=True))

    settings = {"L2": 0.01, "grad_clip": 0.1}
    ours, thincs = taught(build_adam_v1(0.01, **settings)), taught(Adam(0.01, **settings))
    for found, expected in zip(ours, thincs, strict=True):
        for name, weights in found.items():
            # Where a gradient is next to nothing, Adam's step is what rounding makes it.
            assert np.quantile(np.abs(weights - expected[name]), 0.95) < 1e-3, name


def test_configs_find_it() -> None:
    found = registry.resolve({"optimizer": {"@optimizers": "spacy_bert_zh.Adam.v1", "L2": 0.5}})
    assert isinstance(found["optimizer"], FusedAdam)
    assert found["optimizer"].L2 == 0.5
    for name in ("torch", "ensemble", "multilabel"):
        text = (REPOSITORY / "configs" / f"{name}.cfg").read_text("utf-8")
        assert '@optimizers = "spacy_bert_zh.Adam.v1"' in text
