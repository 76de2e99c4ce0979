"""A recipe that fits the corpus: length, batch, rate and steps from what there is to learn from.

Its numbers were compared with others on shop reviews (online_shopping_10_cats) and on headlines
from the training texts of THUCNews, never on a text that a published figure is measured on.
"""

import math
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import spacy
from thinc.api import Config

from spacy_bert_zh.checkpoint import find_settings, find_tokenizer
from spacy_bert_zh.errors import BertZhError
from spacy_bert_zh.evaluate import read_shards
from spacy_bert_zh.textcat import draw

ENGINES = ("spacy_bert_zh.TorchBackbone.", "spacy_bert_zh.KerasBackbone.")

NGRAMS = "spacy_bert_zh.NgramTextCat.v1"

FACTORIES = ("bert_textcat", "bert_textcat_multilabel", "bert_textcat_hierarchical")
LEARN_RATE = "training.optimizer.learn_rate"

BASE = 85_000_000
"""Weights of a BERT of base size, without its embeddings."""
SAMPLE = 2_000
"""Texts whose length is looked at."""
COVERED = 0.95
"""Share of the texts that should fit into one window."""
LENGTHS = (32, 64, 128)
"""Windows to choose from: a longer text is read in several."""
EPOCHS = (2.0, 10.0)
"""The fewest and the most."""
MANY = 30_000
"""Texts from which a network learns at its full rate."""

Overrides = dict[str, Any]


@dataclass(frozen=True)
class Facts:
    """What a recipe depends on.

    Attributes:
        texts: Training texts.
        labels: How many texts each label has.
        pieces: Lengths of some texts, in word pieces, [CLS] and [SEP] included.
        weights: Of the network, without its embeddings; 0 if there is none.
    """

    texts: int
    labels: Counter[str]
    pieces: list[int]
    weights: int


@dataclass(frozen=True)
class Recipe:
    """How long and how fast to learn.

    Attributes:
        max_length: Word pieces of a window.
        batch_size: Texts of a step.
        epochs: Times that the texts are read.
        steps: Of the whole training.
        rate: The learning rate at its highest.
        because: What it follows from, for people.
    """

    max_length: int
    batch_size: int
    epochs: float
    steps: int
    rate: float
    because: str

    def __str__(self) -> str:
        return (
            f"{self.steps:,} steps of {self.batch_size} ({self.epochs:.3g} epochs), rate "
            f"{self.rate:.2g}, windows of {self.max_length} pieces, because {self.because}"
        )


def choose_recipe(facts: Facts, steps: int | None = None) -> Recipe:
    """Choose how to fine-tune.

    Few texts are read more often, in smaller batches and at a lower rate. The rate also falls with
    the size of the network: 5e-4 for the BERT that ships, 3e-5 for one of base size (Devlin et al.
    2019, appendix A.3), in between along a straight line of logarithms.

    Args:
        facts: Of the corpus and the network.
        steps: So many, and not what would fit.

    Examples:
        >>> facts = Facts(13_881, Counter(neg=6_900, pos=6_981), [40] * 99, 3_159_040)
        >>> print(choose_recipe(facts))
        1,563 steps of 32 (3.6 epochs), rate 0.00041, windows of 64 pieces, because 13,881 texts \
of 2 labels, 95% of them up to 40 pieces, a network of 3.2 million weights
    """
    longest = sorted(facts.pieces)[math.ceil(COVERED * len(facts.pieces)) - 1]
    max_length = next((length for length in LENGTHS if longest <= length), LENGTHS[-1])
    batch_size = 16 if facts.texts < 3_000 else 32
    epochs = min(max(math.sqrt(180_000 / facts.texts), EPOCHS[0]), EPOCHS[1])
    steps = steps or math.ceil(epochs * facts.texts / batch_size)
    epochs = steps * batch_size / facts.texts
    network = f"a network of {facts.weights / 1e6:.1f} million weights"
    because = (
        f"{facts.texts:,} texts of {len(facts.labels)} labels, {COVERED:.0%} of them up to "
        f"{longest} pieces, {network if facts.weights else 'no network'}"
    )
    return Recipe(max_length, batch_size, epochs, steps, _rate(facts), because)


def _rate(facts: Facts) -> float:
    small, base = (3.16e6, 5e-4), (BASE, 3e-5)
    slope = math.log(base[1] / small[1]) / math.log(base[0] / small[0])
    rate = min(small[1] * (max(facts.weights, 1) / small[0]) ** slope, small[1])
    rate *= min(facts.texts / MANY, 1.0) ** 0.25
    return float(f"{max(rate, 1e-5):.2g}")


def fit_recipe(config: Config, given: Overrides) -> tuple[Config, Recipe | None]:
    """Fit a config to its corpus, if its section ``recipe`` says so.

    Args:
        config: Not interpolated.
        given: What the user says about it, by dotted name: that holds, but for a 0.

    Returns:
        The config, and what was chosen; None if nothing was.

    Raises:
        BertZhError: A 0 asks for a fit, and the config doesn't.
    """
    plain = config.interpolate()
    names = [n for n, c in plain["components"].items() if c.get("factory") in FACTORIES]
    facts = None
    if plain.get("recipe", {}).get("fit") and names:
        facts = find_facts(plain, names[0])
    if facts is None:
        _check_given(given)
        return config, None
    steps = given.get(f"{LEARN_RATE}.total_steps") or given.get("training.max_steps")
    recipe = choose_recipe(facts, steps or None)
    config = config.copy()
    for key, value in make_overrides(recipe, names[0]).items():
        if not given.get(key) and _has(plain, key):
            _set(config, key, value)
    return config, recipe


def find_facts(config: Config, name: str) -> Facts | None:
    """Look at what a config is about to learn from; None if that isn't shards of documents.

    A network that can't be looked at counts as one of base size.

    Args:
        config: Interpolated.
        name: Of the text classifier.
    """
    corpus = config["corpora"].get(config["training"]["train_corpus"].partition(".")[2], {})
    if "path" not in corpus:
        return None
    labels: Counter[str] = Counter()
    docs = islice(read_shards(spacy.blank("zh"), Path(corpus["path"])), corpus.get("limit") or None)
    count = 0

    def texts() -> Iterator[str]:
        nonlocal count
        for doc in docs:
            count += 1
            labels.update(label for label, value in doc.cats.items() if value > 0)
            yield doc.text

    some = draw(texts(), SAMPLE)  # a corpus may be larger than memory
    if not some:
        return None
    model = config["components"][name].get("model", {})
    backbone = model.get("backbone", {})
    if not backbone.get("@architectures", "").startswith(ENGINES):
        weights = 0 if model.get("@architectures") == NGRAMS else BASE
        return Facts(count, labels, [len(text) + 2 for text in some], weights)
    checkpoint = backbone.get("name"), backbone.get("revision", "main")
    encodings = find_tokenizer(*checkpoint).encode_batch_fast(some, add_special_tokens=False)
    lengths = [len(encoding.ids) + 2 for encoding in encodings]
    return Facts(count, labels, lengths, _count_weights(find_settings(*checkpoint)))


def _count_weights(settings: dict[str, Any]) -> int:
    width, inner = int(settings["hidden_size"]), int(settings["intermediate_size"])
    return int(settings["num_hidden_layers"]) * width * (4 * width + 2 * inner)


def _check_given(given: Overrides) -> None:
    for key, value in given.items():
        if key.startswith(LEARN_RATE) and value == 0:
            raise BertZhError(
                f"{key} = 0 asks for one that fits the corpus, which this config doesn't: give "
                "a number, or add a section [recipe] with fit = true to the config"
            )


def make_overrides(recipe: Recipe, name: str) -> Overrides:
    """A recipe as values of a config, by dotted name."""
    return {
        f"components.{name}.model.backbone.max_length": recipe.max_length,
        "training.batcher.size": recipe.batch_size,
        "training.patience": 0,
        f"{LEARN_RATE}.initial_rate": recipe.rate,
        f"{LEARN_RATE}.total_steps": recipe.steps,
        f"{LEARN_RATE}.warmup_steps": max(recipe.steps // 10, 1),
    }


def _set(config: dict[str, Any], key: str, value: Any) -> None:
    *sections, last = key.split(".")
    for section in sections:
        config = config[section]
    config[last] = value


def _has(config: dict[str, Any], key: str) -> bool:
    *sections, last = key.split(".")
    for section in sections:
        config = config.get(section, {})
    return last in config
