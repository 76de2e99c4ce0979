"""The configs that ship: complete, loadable, trainable."""

import importlib.util
import json
from pathlib import Path

import pytest
import spacy
from spacy import util
from spacy.tokens import DocBin

from spacy_bert_zh.train.flow import train
from tests.conftest import REPOSITORY, make_rows

CONFIGS = sorted((REPOSITORY / "configs").glob("*.cfg"))
if importlib.util.find_spec("tensorflow") is None:  # see tests/backbones/test_keras.py
    CONFIGS.remove(REPOSITORY / "configs" / "tensorflow.cfg")
SHORT = {
    "training.optimizer.learn_rate.total_steps": 30,
    "training.eval_frequency": 10,
    "training.batcher.size": 16,
    "training.optimizer.learn_rate.initial_rate": 5e-3,
    "training.optimizer.learn_rate.warmup_steps": 2,
}


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_builds_a_pipeline_and_is_complete(path: Path) -> None:
    if path.stem == "shared":
        pytest.importorskip("spacy_transformers", reason="needs requirements-shared.txt")
    config = util.load_config(path, interpolate=False)
    nlp = util.load_model_from_config(config, auto_fill=True)
    assert nlp.pipe_names == config["nlp"]["pipeline"]
    for name, component in config["components"].items():
        if component["factory"].startswith("bert_textcat"):
            assert nlp.get_pipe_config(name)["model"]["backbone"].keys() == (
                component["model"]["backbone"].keys()
            )


def test_multilabel_config_learns(corpus: Path, checkpoint: Path, tmp_path: Path) -> None:
    nlp = spacy.blank("zh")
    for split, count in (("train", 160), ("dev", 40)):
        docs = []
        for text, label in make_rows(count, len(split)):
            doc = nlp.make_doc(text)
            doc.cats = {"差": float(label == "neg"), "外卖": float("外卖" in text)}
            docs.append(doc)
        DocBin(docs=docs).to_disk(tmp_path / f"{split}.spacy")
    (tmp_path / "labels.json").write_text(json.dumps(["外卖", "差"], ensure_ascii=False), "utf-8")
    best = train(
        REPOSITORY / "configs" / "multilabel.cfg",
        tmp_path / "out",
        overrides={
            **SHORT,
            "training.optimizer.learn_rate.total_steps": 80,
            "paths.train": str(tmp_path / "train.spacy"),
            "paths.dev": str(tmp_path / "dev.spacy"),
            "paths.labels": str(tmp_path / "labels.json"),
            "paths.weights": str(checkpoint),
            "components.bert_textcat_multilabel.model.backbone.max_length": 64,
        },
    )
    nlp = spacy.load(best)
    assert nlp.meta["performance"]["cats_macro_f"] > 0.9
    assert nlp("外卖好吃").cats["外卖"] > nlp("米饭好吃").cats["外卖"]
    assert nlp("米饭难吃").cats["差"] > nlp("米饭好吃").cats["差"]


def test_ensemble_config_learns_with_both_members(
    corpus: Path, checkpoint: Path, tmp_path: Path
) -> None:
    best = train(
        REPOSITORY / "configs" / "ensemble.cfg",
        tmp_path,
        overrides={
            **SHORT,
            "paths.train": str(corpus / "train"),
            "paths.dev": str(corpus / "dev"),
            "paths.labels": str(corpus / "labels.json"),
            "paths.weights": str(checkpoint),
            "components.bert_textcat.model.backbone.max_length": 64,
        },
    )
    nlp = spacy.load(best)
    assert nlp("味道不错，推荐").cats["pos"] > 0.5 > nlp("难吃，失望").cats["pos"]
    _, head, ngrams = nlp.get_pipe("bert_textcat").model.layers  # type: ignore[attr-defined]
    assert head.get_param("W").any()
    assert ngrams.get_param("W").any()


def test_shared_config_learns(corpus: Path, checkpoint: Path, tmp_path: Path) -> None:
    pytest.importorskip("spacy_transformers", reason="needs requirements-shared.txt")
    best = train(
        REPOSITORY / "configs" / "shared.cfg",
        tmp_path,
        overrides={
            **SHORT,
            "paths.train": str(corpus / "train"),
            "paths.dev": str(corpus / "dev"),
            "paths.labels": str(corpus / "labels.json"),
            "paths.weights": str(checkpoint),
            "components.transformer.model.get_spans.window": 40,
            "components.transformer.model.get_spans.stride": 30,
        },
    )
    nlp = spacy.load(best)
    assert nlp.pipe_names == ["transformer", "bert_textcat"]
    assert nlp("味道不错，推荐").cats["pos"] > 0.5 > nlp("难吃，失望").cats["pos"]
