"""The words that weigh most for each label, over many texts."""

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from spacy.language import Language
from tqdm import tqdm

from spacy_bert_zh.errors import BertZhError
from spacy_bert_zh.evaluate import check_corpus, read_shards
from spacy_bert_zh.explain.classifier import Classifier
from spacy_bert_zh.explain.flow import explain
from spacy_bert_zh.explain.rating import rate
from spacy_bert_zh.explain.result import Explanation, Rating
from spacy_bert_zh.textcat import draw

WORDS = 10
"""Words of a label."""


@dataclass(frozen=True)
class Word:
    """What a word does to a label.

    Attributes:
        text: The word.
        effect: The sum of its effects on the label's log odds; see `Share.effects`.
        texts: How many of the label's texts have it.
    """

    text: str
    effect: float
    texts: int


@dataclass(frozen=True)
class LabelWords:
    """The words that weigh most for a label.

    Attributes:
        label: The label.
        texts: Texts that were given it.
        words: Those that add most to it over these texts, the heaviest first.
    """

    label: str
    texts: int
    words: tuple[Word, ...]


@dataclass(frozen=True)
class Summary:
    """What the explanations of a corpus say together.

    Attributes:
        corpus: Its name.
        texts: How many were explained.
        rating: How faithful the explanations are.
        labels: Those that texts were given, those of most texts first.
    """

    corpus: str
    texts: int
    rating: Rating
    labels: tuple[LabelWords, ...]


def summarise(
    nlp: Language,
    corpus: Path,
    *,
    most: int = 500,
    samples: int = 0,
    search: bool = False,
    component: str | None = None,
) -> Summary:
    """Explain the texts of a corpus, rate that, and find the words that weigh most.

    A word weighs by the sum of its effects: one that often helps a little counts as one that
    seldom helps much.

    Args:
        nlp: The pipeline.
        corpus: A ``.spacy`` file, or a folder of them.
        most: Texts that are drawn, always the same.
        samples: See `explain`.
        search: See `explain`.
        component: Name of the text classifier, if there are several.

    Raises:
        BertZhError: The corpus doesn't fit the pipeline, or has no text of two words.
    """
    classifier = Classifier(nlp, component)
    check_corpus(nlp, classifier.pipe, corpus)
    drawn = draw((doc.text for doc in read_shards(nlp, corpus)), most)
    texts = tqdm(drawn, "explain", unit=" texts", disable=None)
    explanations = explain(nlp, texts, samples=samples, search=search, component=component)
    if (rating := rate(nlp, explanations, component)) is None:
        raise BertZhError(f"The corpus {corpus} has no text of two words or more to rate")
    return Summary(corpus.resolve().name, len(drawn), rating, _heaviest(explanations))


def _heaviest(explanations: Sequence[Explanation]) -> tuple[LabelWords, ...]:
    texts: Counter[str] = Counter()
    effects: dict[str, dict[str, float]] = defaultdict(lambda: defaultdict(float))
    places: dict[str, Counter[str]] = defaultdict(Counter)
    for one in explanations:
        names = [one.text[start:end] for start, end in one.words]
        for share in one.shares:
            if share.label in one.given:
                texts[share.label] += 1
                places[share.label].update(set(names))
                for name, effect in zip(names, share.effects, strict=True):
                    effects[share.label][name] += effect
    found = []
    for label, count in texts.most_common():
        ranked = sorted(effects[label].items(), key=lambda item: -item[1])[:WORDS]
        words = [Word(name, total, places[label][name]) for name, total in ranked if total > 0]
        found.append(LabelWords(label, count, tuple(words)))
    return tuple(found)
