"""BERT's relatives in torch: vectors as `transformers` has them."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers import AutoConfig, AutoModel, AutoModelForMaskedLM, AutoTokenizer

from spacy_bert_zh.backbones.torch.backbone import build_torch_backbone_v1
from spacy_bert_zh.checkpoint import load_checkpoint, save_checkpoint
from spacy_bert_zh.errors import BertZhError
from spacy_bert_zh.pretrain.network import load_model
from tests.backbones.families import FAMILIES, assert_same_vectors, built, vectors_of, write_family
from tests.conftest import TEXTS, make_docs


@pytest.mark.parametrize("kind", FAMILIES)
def test_vectors_are_those_of_transformers(kind: str, tmp_path: Path) -> None:
    assert_same_vectors(build_torch_backbone_v1, kind, tmp_path)


@pytest.mark.parametrize("kind", FAMILIES)
def test_all_of_it_learns(kind: str, tmp_path: Path) -> None:
    write_family(kind, tmp_path)
    model = built(build_torch_backbone_v1, tmp_path, "cls", layer_decay=0.5)
    vectors, backprop = model.begin_update(make_docs())
    backprop(np.random.default_rng(0).normal(size=vectors.shape).astype("float32"))
    learnt = {}

    def collect(key: Any, weights: Any, gradient: Any, **_: Any) -> Any:
        learnt[key[1]] = abs(gradient).max()
        return weights, gradient

    model.shims[0].finish_update(collect)
    assert learnt.keys() == model.shims[0].checkpoint().weights.keys()
    # Softmax doesn't see the keys' biases.
    assert all(learnt[name] for name in learnt if not name.endswith("key.bias"))


@pytest.mark.parametrize("kind", FAMILIES)
def test_what_is_exported_is_read_by_transformers(kind: str, tmp_path: Path) -> None:
    """The written checkpoint says the same as the one that was read, its pieces too."""
    network = write_family(kind, tmp_path / "given")
    expected = vectors_of(network, tmp_path / "given", "cls")
    save_checkpoint(load_checkpoint(str(tmp_path / "given")), tmp_path / "made")
    made = AutoModel.from_pretrained(tmp_path / "made").eval()
    np.testing.assert_allclose(
        vectors_of(made, tmp_path / "made", "cls"), expected, rtol=0, atol=1e-5
    )
    ours, theirs = (AutoTokenizer.from_pretrained(tmp_path / name) for name in ("made", "given"))
    assert [ours(text)["input_ids"] for text in TEXTS] == [
        theirs(text)["input_ids"] for text in TEXTS
    ]


@pytest.mark.parametrize("kind", ["bert", "roberta", "xlm-roberta", "ernie"])
def test_pretraining_goes_on_from_it(kind: str, tmp_path: Path) -> None:
    write_family(kind, tmp_path)
    theirs = AutoModelForMaskedLM.from_config(AutoConfig.from_pretrained(tmp_path)).eval()
    theirs.save_pretrained(tmp_path)
    ours, has_head = load_model(tmp_path, 0.0)
    ids = torch.tensor([[5, 9, 4, 7]])
    with torch.inference_mode():
        found, expected = ours.eval()(ids).logits, theirs(ids).logits
    assert has_head and abs(found - expected).max() < 1e-5


def test_pretraining_an_electra_is_refused(tmp_path: Path) -> None:
    write_family("electra", tmp_path)
    with pytest.raises(BertZhError, match="is an ELECTRA, which has no head"):
        load_model(tmp_path, 0.0)
