"""Real parts in miniature: a 2-layer BERT checkpoint, corpora and pipelines built on it."""

import json
import os
import random
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

# Spin-waiting OpenMP threads make small ops crawl; must be set before torch is imported.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("USE_TF", "0")
os.environ.setdefault("HF_HUB_OFFLINE", "1")

import pytest
import spacy
import torch
from spacy.language import Language
from spacy.tokens import Doc, DocBin
from spacy.training import Corpus, Example
from thinc.api import Adam, fix_random_seed

REPOSITORY = Path(__file__).parents[1]
SHARED_DATA = REPOSITORY.parent / "shared" / "data"

FACTORIES = ["bert_textcat", "bert_textcat_multilabel"]
HIERARCHICAL = "bert_textcat_hierarchical"
TORCH = "spacy_bert_zh.TorchBackbone.v1"

GOOD = ["好吃", "很快", "味道不错", "服务热情", "分量足", "推荐", "满意", "新鲜"]
BAD = ["难吃", "太慢", "味道很差", "服务冷淡", "分量少", "失望", "后悔", "不新鲜"]
NOUNS = ["这家店", "外卖", "米饭", "老板", "配送", "包装", "牛肉面", "奶茶"]


TEXTS = ["味道不错，推荐。", "", "这家店太慢", "米饭ab" * 20, "x", "老板服务冷淡，分量少，难吃" * 9]


def make_docs(texts: Iterable[str] = TEXTS) -> list[Doc]:
    """Documents without annotations."""
    nlp = spacy.blank("zh")
    return [nlp.make_doc(text) for text in texts]


def make_rows(count: int, seed: int = 0) -> list[tuple[str, str]]:
    """Short made-up reviews with their label; the same for the same seed."""
    choice = random.Random(seed).choice
    rows = []
    for i in range(count):
        label, words = ("pos", GOOD) if i % 2 else ("neg", BAD)
        rows.append((f"{choice(NOUNS)}{choice(words)}，{choice(NOUNS)}也{choice(words)}。", label))
    return rows


def make_examples(nlp: Language, count: int, seed: int = 0) -> list[Example]:
    """Examples with exclusive cats."""
    return [
        Example.from_dict(
            nlp.make_doc(text), {"cats": {name: float(name == label) for name in ("neg", "pos")}}
        )
        for text, label in make_rows(count, seed)
    ]


def teach(nlp: Language, examples: list[Example], epochs: int = 20) -> dict[str, float]:
    """Train a pipeline in memory; the losses of its last epoch."""
    nlp.initialize(lambda: examples)
    optimizer = Adam(0.01)
    losses: dict[str, float] = {}
    for _ in range(epochs):
        losses = {}
        for start in range(0, len(examples), 16):
            nlp.update(examples[start : start + 16], sgd=optimizer, losses=losses)
    return losses


def pipe_of(nlp: Language) -> Any:
    """The one component of ours."""
    ((_, pipe),) = [item for item in nlp.pipeline if item[0] in (*FACTORIES, HIERARCHICAL)]
    return pipe


def example_of(nlp: Language, cats: dict[str, float], text: str = "好吃") -> Example:
    return Example.from_dict(nlp.make_doc(text), {"cats": cats})


def lower(pipe: Any, label: str) -> None:
    """Let a label of a tree say nothing by itself, so that it has the scores of those below it."""
    head = pipe.model.get_ref("output_layer")
    bias = head.get_param("b").copy()
    bias[pipe.labels.index(label)] = -20.0
    head.set_param("b", bias)


def initialized(nlp: Language, labels: Iterable[str] = ("a", "b", "c")) -> Any:
    """The component, with labels and weights."""
    for label in labels:
        pipe_of(nlp).add_label(label)
    nlp.initialize()
    return pipe_of(nlp)


def close(cats: dict[str, float], tolerance: float = 1e-5) -> dict[str, Any]:
    return {label: pytest.approx(value, abs=tolerance) for label, value in cats.items()}


def run_cli(*args: object, check: bool = True, **kwargs: object) -> subprocess.CompletedProcess:
    """Run ``python -m spacy_bert_zh …`` as a user would."""
    return subprocess.run(
        [sys.executable, "-m", "spacy_bert_zh", *map(str, args)],
        capture_output=True,
        text=True,
        encoding="utf-8",
        check=check,
        **kwargs,  # type: ignore[call-overload]
    )


@pytest.fixture(scope="session")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A 2-layer BERT with random weights, as `transformers` writes one, MLM head included."""
    from transformers import BertConfig, BertForMaskedLM

    folder = tmp_path_factory.mktemp("checkpoint") / "tiny-bert"
    folder.mkdir()
    characters = sorted({c for text, _ in make_rows(400) for c in text})
    pieces = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *characters, "a", "b", "##a", "##b"]
    (folder / "vocab.txt").write_text("\n".join(pieces) + "\n", "utf-8")
    config = BertConfig(
        vocab_size=len(pieces),
        hidden_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=32,
        max_position_embeddings=64,
    )
    torch.manual_seed(0)
    BertForMaskedLM(config).save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def still(checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny checkpoint with a pooler, without dropout: its training can be computed by hand."""
    from transformers import BertConfig, BertModel

    folder = tmp_path_factory.mktemp("still")
    (folder / "vocab.txt").write_bytes((checkpoint / "vocab.txt").read_bytes())
    config = BertConfig.from_pretrained(checkpoint)
    config.hidden_dropout_prob = config.attention_probs_dropout_prob = 0.0
    torch.manual_seed(1)
    # Larger than a real initialisation, for differences that can be seen.
    model = BertModel(config)
    for parameter in model.parameters():
        parameter.data += 0.2 * torch.randn_like(parameter)
    model.save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def text(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Raw text for pretraining, one document a line."""
    path = tmp_path_factory.mktemp("raw") / "raw.txt"
    path.write_text("\n".join(text for text, _ in make_rows(600)) + "\n", "utf-8")
    return path


@pytest.fixture
def make_pipeline(checkpoint: Path):
    """Build a blank pipeline with one of our components: the tiny BERT alone."""

    def build(factory: str = "bert_textcat", settings: dict | None = None, **backbone) -> Language:
        nlp = spacy.blank("zh")
        given = {
            **{"name": str(checkpoint), "max_length": 64, "stride": 8, "max_windows": 0},
            "mixed_precision": False,  # the same on every CPU
        }
        model = {
            "@architectures": "spacy_bert_zh.BertTextCat.v1",
            "exclusive_classes": factory == "bert_textcat",
            "backbone": {"@architectures": TORCH, "pooling": "cls", **given, **backbone},
        }
        nlp.add_pipe(factory, config={"model": model, **(settings or {})})
        return nlp

    return build


@pytest.fixture(scope="session")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A converted corpus in miniature: train and dev shards, labels.json."""
    folder = tmp_path_factory.mktemp("corpus")
    nlp = spacy.blank("zh")
    for split, count, seed in (("train", 120, 1), ("dev", 40, 2)):
        (folder / split).mkdir()
        docs = [example.reference for example in make_examples(nlp, count, seed)]
        for i in range(2):
            DocBin(docs=docs[i::2]).to_disk(folder / split / f"{i:05}.spacy")
    (folder / "labels.json").write_text(json.dumps(["neg", "pos"]), "utf-8")
    return folder


@pytest.fixture(scope="session")
def trees(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A corpus whose labels are a tree: reviews.csv, and corpus/ as `convert` makes it."""
    from spacy_bert_zh.convert import Options, convert

    folder = tmp_path_factory.mktemp("trees")
    rows = []
    for text, label in make_rows(240):
        top = {"pos": "好评", "neg": "差评"}[label]
        rows.append(f"{text},{top}/{'味道' if '味道' in text else '其余'}")
    # Some know no more than that it is good.
    rows += [f"{text}真的,好评" for text, label in make_rows(40, 3) if label == "pos"]
    (folder / "reviews.csv").write_text("\n".join(["text,label", *rows]) + "\n", "utf-8")
    options = Options("csv", level_separator="/", split=(0.6, 0.4, 0.0))
    convert(folder / "reviews.csv", folder / "corpus", options)
    return folder


@pytest.fixture(scope="session")
def hierarchical(trees: Path, checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A pipeline that has learnt that tree, by a BERT alone."""
    nlp = spacy.blank("zh")
    model = {
        "@architectures": "spacy_bert_zh.BertTextCat.v2",
        "exclusive_classes": False,
        "backbone": {
            "@architectures": TORCH,
            **{"name": str(checkpoint), "max_length": 64, "pooling": "mean"},
            "mixed_precision": False,
        },
    }
    nlp.add_pipe(HIERARCHICAL, config={"model": model})
    fix_random_seed(0)
    teach(nlp, list(Corpus(trees / "corpus" / "train")(nlp)), 8)
    folder = tmp_path_factory.mktemp("hierarchical") / "pipeline"
    nlp.to_disk(folder)
    return folder


@pytest.fixture(scope="session")
def train_args(corpus: Path, checkpoint: Path) -> list[str]:
    """Options of ``train`` for a run of seconds on the miniature corpus."""
    overrides = {
        "paths.train": corpus / "train",
        "paths.dev": corpus / "dev",
        "paths.labels": corpus / "labels.json",
        "paths.weights": checkpoint,
        "components.bert_textcat.model.backbone.max_length": 64,
        "training.optimizer.learn_rate.total_steps": 40,
        "training.eval_frequency": 10,
        "training.batcher.size": 16,
        "training.optimizer.learn_rate.initial_rate": 5e-3,
        "training.optimizer.learn_rate.warmup_steps": 2,
    }
    return [str(word) for key, value in overrides.items() for word in (f"--{key}", value)]


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory, train_args: list[str]) -> Path:
    """Folder of a trained bert_textcat pipeline on the tiny checkpoint."""
    output = tmp_path_factory.mktemp("training")
    run_cli("train", REPOSITORY / "configs" / "torch.cfg", "--output", output, *train_args)
    return output / "model-best"


@pytest.fixture(params=FACTORIES)
def factory(request: pytest.FixtureRequest) -> str:
    """Each of the two factories."""
    name: str = request.param
    return name


@pytest.fixture(autouse=True)
def seeded() -> None:
    """The same random numbers in every test, alone or among others."""
    fix_random_seed(0)
