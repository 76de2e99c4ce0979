"""What is found out about a text: plain values, fit for JSON by `dataclasses.asdict`."""

from dataclasses import dataclass

from spacy_bert_zh.loading import Span


@dataclass(frozen=True)
class Ngram:
    """An n-gram of the linear model.

    Attributes:
        text: In the case in which it is counted.
        weight: What all its places together add to the logit.
        places: Where it stands.
    """

    text: str
    weight: float
    places: tuple[Span, ...]


@dataclass(frozen=True)
class Share:
    """What the logit of a label consists of: ``bias + ngrams + network``.

    With `against`, all but `score` is the label's less the other's.

    Attributes:
        label: The label.
        against: The other label, if a difference is explained.
        score: Of the label, 0 to 1.
        logit: Before softmax or sigmoid; a temperature is already in it.
        bias: What the classifier says without the text: the head's bias and what it makes of the
            vector of the baseline.
        ngrams: What the linear model adds, 0 where there is none.
        network: What the BERT adds by reading the text rather than the baseline.
        ngram_characters: `ngrams`, spread over the characters of the text; they sum up to it.
        network_characters: The same of `network`, but for `error`.
        top_ngrams: The n-grams of most weight, heaviest first.
        effects: Of each word: what the label's log odds lose where it is taken away, and gain
            where it stands alone, in the mean; with `samples` its Shapley value. By both models
            together.
        order: The words by their numbers: by effect, or with `search` in the order in which they
            had best go for the score to fall, or stay for it to hold. Those that speak against
            the label are the last.
        error: Of the network's characters: how far their sum is from `network`, relative to it
            (or to 0.1, where that is more).
        together: How much of `network`, relative to it in the same way, no piece has for itself:
            what several say only together, spread evenly over the text's pieces. Gradients and
            Shapley values have shared it out already.
    """

    label: str
    against: str | None
    score: float
    logit: float
    bias: float
    ngrams: float
    network: float
    ngram_characters: tuple[float, ...]
    network_characters: tuple[float, ...]
    top_ngrams: tuple[Ngram, ...]
    effects: tuple[float, ...]
    order: tuple[int, ...]
    error: float
    together: float

    @property
    def characters(self) -> tuple[float, ...]:
        """What each character adds to the logit, by both models."""
        pairs = zip(self.ngram_characters, self.network_characters, strict=True)
        return tuple(one + other for one, other in pairs)


@dataclass(frozen=True)
class Evidence:
    """A labelled text that the pipeline knows by heart, near the one that is explained.

    Attributes:
        text: The text.
        labels: Its labels.
        source: Where it comes from, such as ``train.csv:12``; "" if that isn't known.
        similarity: Cosine of both vectors, whitened; see `textcat.Neighbours`.
        influence: By how much a step of training on this text would lower the loss of the answer,
            in proportion; see `evidence.Influence`. None where it wasn't asked for.
    """

    text: str
    labels: tuple[str, ...]
    source: str
    similarity: float
    influence: float | None = None


@dataclass(frozen=True)
class Explanation:
    """Why a pipeline answers as it does for a text.

    Attributes:
        text: What was explained: the text as the classifier reads it, repaired by `zh_repair`
            where that stands before.
        left_out: Characters of the given text after those; they were too many.
        read: Characters that the BERT reads; those after them play no part in its share.
        given: The labels that the pipeline gives to `text`.
        method: How the BERT's share was spread: "gradients", "occlusion" or "shapley", or "none"
            where the n-grams of a cascade answered alone.
        steps: Points of the integral, or permutations.
        words: The words of the text, or runs of them where they are many.
        shares: Of each label that was asked for.
        evidence: Texts of the pipeline's index, the nearest first, or those of most influence;
            none without one.
        unlearnt: Of the labels explained, those that are told by texts of the index alone: their
            logits play no part in their scores.
        raised: Of labels that are a tree, those explained that have the score of one below them,
            and that one: their shares are its.
        voters: Share of these neighbours in the scores, 0 to 1; the logits are without it.
    """

    text: str
    left_out: int
    read: int
    given: tuple[str, ...]
    method: str
    steps: int
    words: tuple[Span, ...]
    shares: tuple[Share, ...]
    evidence: tuple[Evidence, ...] = ()
    unlearnt: tuple[str, ...] = ()
    raised: tuple[tuple[str, str], ...] = ()
    voters: float = 0.0


@dataclass(frozen=True)
class Contrast:
    """A small set of words without which the answer is another.

    Attributes:
        words: The words, in the order of the text; none of them can stay.
        text: What is left.
        given: The labels of that, as the pipeline gives them.
    """

    words: tuple[Span, ...]
    text: str
    given: tuple[str, ...]


@dataclass(frozen=True)
class Rating:
    """How faithful explanations are (DeYoung et al. 2020, ERASER, section 4), as means.

    Attributes:
        texts: How many were rated; those of a single word can't be.
        comprehensiveness: How far the label's score falls without the words of most weight; more
            is better.
        sufficiency: How far it falls with those words alone; less is better.
        random_comprehensiveness: The same for words in a random order.
        random_sufficiency: The same for words in a random order.
        consistency: Rank correlation (Spearman) of what characters add with what they add after a
            change that means nothing to a reader, see `rating.harmless`; 1 is the same order.
        random_consistency: The same for characters in a random order.
        error: The largest `Share.error`.
    """

    texts: int
    comprehensiveness: float
    sufficiency: float
    random_comprehensiveness: float
    random_sufficiency: float
    consistency: float
    random_consistency: float
    error: float
