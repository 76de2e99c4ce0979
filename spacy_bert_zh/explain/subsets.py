"""What a classifier says of a text that has only some of its words, and what each word is worth."""

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from spacy_bert_zh.explain.classifier import Classifier
from spacy_bert_zh.loading import Span, only

Floats = NDArray[np.float64]
TRIED = 5
"""Words of which the next one in order is taken."""
ALONE = 0.5
"""Weight of the score with the first words alone, against that without them."""
MOST_STEPS = 7
"""Words that are looked for, of all labels together."""
Kept = Sequence[Sequence[int]]
"""Sets of words that are kept, by their numbers."""


class Subsets:
    """A text with some of its words; each different one is read once for good.

    Args:
        classifier: What is asked.
        text: The text.
        words: Its words.
    """

    def __init__(self, classifier: Classifier, text: str, words: tuple[Span, ...]) -> None:
        self.classifier, self.text, self.words = classifier, text, words
        self._known: dict[str, NDArray[np.float32]] = {}

    def texts(self, kept: Kept) -> list[str]:
        """The texts, in their order."""
        return [only(self.text, self.words, {self.words[i] for i in some}) for some in kept]

    def vectors(self, kept: Kept) -> Floats:
        """What the BERT makes of them; shape (sets, hidden size)."""
        texts = self.texts(kept)
        new = [text for text in dict.fromkeys(texts) if text not in self._known]
        self._known.update(zip(new, self.classifier.vectors(new), strict=True))
        return np.stack([self._known[text] for text in texts]).astype(np.float64)

    def logits(self, kept: Kept, alone: bool) -> Floats:
        """What both models say of them; shape (sets, labels).

        Args:
            kept: Words.
            alone: The n-grams of a cascade answered alone.
        """
        ngrams = self.classifier.ngram_logits(self.texts(kept), alone)
        if alone:
            return ngrams
        weights, bias = self.classifier.weights, self.classifier.bias
        return ngrams + self.vectors(kept) @ weights.astype(np.float64).T + bias


def find_effects(
    subsets: Subsets,
    rows: Sequence[int],
    against: int | None,
    samples: int,
    alone: bool,
    search: bool,
) -> tuple[Floats, list[list[int]]]:
    """What words do to labels' log odds, (labels asked for, words), and their order for each label.

    The log odds and not the logit, for a word that speaks for another label, too, changes little
    for the answer; and not the score, which hardly changes where the answer is sure. See
    `Share.effects` and `Share.order`.
    """

    def say(kept: Kept) -> Floats:
        logits = subsets.logits(kept, alone)
        if against is not None:
            return logits[:, rows] - logits[:, [against]]
        return subsets.classifier.log_odds(logits)[:, rows]

    effects = value_words(say, len(subsets.words), samples)
    steps = MOST_STEPS // len(rows) if search else 0
    orders = []
    for label, row in enumerate(effects):

        def score(kept: Kept, label: int = label) -> Floats:
            found: Floats = (1 + np.tanh(say(kept)[:, label] / 2)) / 2
            return found

        orders.append(_search(score, row, steps))
    return effects, orders


def _search(score: Callable[[Kept], Floats], effects: Floats, steps: int) -> list[int]:
    """Words in the order in which they had best go.

    Greedy: among the first `TRIED` by effect the next one is that without which, and those before
    it, the score is lowest, half as much counted how high it is with these alone. What is left
    after half of the words, or so many steps, stands by effect.

    Args:
        score: Sets of words to the label's score, shape (sets,).
        effects: Of the words; shape (words,).
        steps: Words at most that are looked for.
    """
    left = np.argsort(-effects, kind="stable").tolist()
    gone = list[int]()
    for _ in range(min(steps, (len(left) + 1) // 2)):
        tried = left[:TRIED]
        without = [[i for i in range(len(effects)) if i not in gone and i != w] for w in tried]
        alone = [sorted([*gone, word]) for word in tried]
        said = score([*without, *alone])
        best = int(np.argmax(ALONE * said[len(tried) :] - said[: len(tried)]))
        gone.append(left.pop(best))
    return [*gone, *left]


def value_words(say: Callable[[Kept], Floats], count: int, samples: int) -> Floats:
    """What each word is worth, shape (values, words).

    Args:
        say: Sets of words to values, shape (sets, values).
        count: Number of words.
        samples: Permutations for Shapley values; 0 takes words away.
    """
    return _shapley(say, count, samples) if samples else _occlude(say, count)


def _occlude(say: Callable[[Kept], Floats], count: int) -> Floats:
    """What each word changes, (values, words): mean of taken away and standing alone.

    Taking away alone (Zeiler and Fergus 2014) sees nothing in a word that others repeat. The mean
    of the two is the Shapley value where words play together in pairs at most.
    """
    others = [[i for i in range(count) if i != gone] for gone in range(count)]
    said = say([range(count), [], *others, *([word] for word in range(count))])
    full, empty, taken, alone = said[0], said[1], said[2 : count + 2], said[count + 2 :]
    found: Floats = ((full - taken + alone - empty) / 2).T
    return found


def _shapley(say: Callable[[Kept], Floats], count: int, samples: int) -> Floats:
    """Shapley values of the words, (values, words), by permutations.

    Each permutation is also taken in reverse (Mitchell et al. 2022, section 4.1), and adds up to
    the whole change (Castro et al. 2009).
    """
    draw = np.random.default_rng(0)
    orders = [draw.permutation(count) for _ in range(samples)]
    orders += [order[::-1] for order in orders]
    kept = [sorted(order[:size]) for order in orders for size in range(count + 1)]
    said = say(kept).reshape(len(orders), count + 1, -1)
    found = np.zeros((said.shape[2], count))
    for order, steps in zip(orders, np.diff(said, axis=1), strict=True):
        found[:, order] += steps.T / len(orders)
    return found
