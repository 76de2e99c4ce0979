"""How far annotators agree, beyond what chance would bring."""

from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import combinations
from typing import Any

from spacy_bert_zh.errors import missing_extra
from spacy_bert_zh.label.store import Answer

Votes = dict[str, dict[str, str]]
"""What each annotator said, by text."""


def votes_of(answers: Iterable[Answer]) -> Votes:
    """Answers as categories. Labels that don't exclude each other are one category together, so
    that only the same set of them is agreement. What was skipped is missing.
    """
    votes: Votes = {}
    for answer in answers:
        mine = votes.setdefault(answer.annotator, {})
        if answer.labels is not None:
            mine[answer.text] = "\n".join(answer.labels)
    return votes


def cohen_kappa(first: Sequence[str], second: Sequence[str]) -> float | None:
    """Agreement of two annotators on the same texts (Cohen 1960).

    Returns:
        1 where they agree in all, 0 as by chance; None where both say one and the same label of
        every text, or there are no texts: chance would do as well.

    Raises:
        BertZhError: scikit-learn is missing.

    Examples:
        >>> round(cohen_kappa(["yes", "no", "yes", "no"], ["yes", "no", "yes", "yes"]), 4)
        0.5
    """
    if len({*first, *second}) < 2:
        return None
    try:
        from sklearn.metrics import cohen_kappa_score
    except ImportError:
        raise missing_extra("scikit-learn", "label", "Cohen's kappa") from None
    return float(cohen_kappa_score(first, second))


def krippendorff_alpha(units: Iterable[Sequence[str]]) -> float | None:
    """Agreement of any number of annotators, each of whom may lack any texts.

    Krippendorff (2011), "Computing Krippendorff's Alpha-Reliability", for nominal data:
    1 - (n - 1) (n - Σ o_cc) / (n² - Σ n_c²), with the coincidences o_cc of a value with itself,
    in which each unit of m values counts its m (m - 1) pairs 1 / (m - 1) times.

    Args:
        units: For each text what those say who answered it.

    Returns:
        1 where all agree, 0 as by chance; None where there is only one value, or no text with two
        answers.

    Examples:
        >>> round(krippendorff_alpha([["a", "a"], ["b", "b"], ["a", "b"], ["a"]]), 4)
        0.4444
    """
    totals: Counter[str] = Counter()
    same = 0.0
    for values in units:
        if len(values) > 1:
            counts = Counter(values)
            totals.update(counts)
            same += sum(n * (n - 1) for n in counts.values()) / (len(values) - 1)
    n = totals.total()
    by_chance = n * n - sum(count * count for count in totals.values())
    return 1 - (n - 1) * (n - same) / by_chance if by_chance else None


def measure(answers: Iterable[Answer]) -> dict[str, Any]:
    """The agreement of all annotators, and of each two of them.

    Returns:
        ``annotators`` with the number of their answers, ``pairs`` with the texts that both
        answered, the share of them on which they agree and Cohen's kappa, and Krippendorff's
        ``alpha``.
    """
    votes = votes_of(answers)
    pairs = []
    for one, other in combinations(votes, 2):
        both = [text for text in votes[one] if text in votes[other]]
        first, second = ([votes[name][text] for text in both] for name in (one, other))
        same = sum(a == b for a, b in zip(first, second, strict=True))
        share = same / len(both) if both else None
        kappa = cohen_kappa(first, second)
        pairs.append({"names": [one, other], "texts": len(both), "same": share, "kappa": kappa})
    units: dict[str, list[str]] = {}
    for mine in votes.values():
        for text, value in mine.items():
            units.setdefault(text, []).append(value)
    counts = [{"name": name, "answers": len(mine)} for name, mine in votes.items()]
    return {"annotators": counts, "pairs": pairs, "alpha": krippendorff_alpha(units.values())}
