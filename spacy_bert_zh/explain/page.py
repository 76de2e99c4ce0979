"""The page: texts with what each character adds, coloured; and the notes that go with it."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING

from spacy_bert_zh.evaluate import make_environment
from spacy_bert_zh.explain.result import Contrast, Explanation, Rating, Share
from spacy_bert_zh.explain.summary import Summary

if TYPE_CHECKING:
    from markupsafe import Markup

METHODS = {
    "gradients": "the BERT's share by integrated gradients, {} steps",
    "occlusion": "the BERT's share by what each piece changes, hidden and alone",
    "shapley": "the BERT's share by Shapley values of pieces, {} permutations",
    "none": "the n-grams answered alone, the BERT was not asked",
}
LEVELS = 8
"""Shades of a colour."""
PICTURES = 20
"""Labels that get one, those of most texts."""
SHOWN = 12
"""Words and n-grams in a table."""


@dataclass(frozen=True)
class Told:
    """All that is said of one text.

    Attributes:
        explanation: Its explanation.
        contrast: Without which words the answer is another.
        rating: Of the explanation of the first label; None for a text of a single word.
    """

    explanation: Explanation
    contrast: Contrast | None
    rating: Rating | None


def render_page(pipeline: str, told: Sequence[Told], summary: Summary | None = None) -> str:
    """Render the HTML page; texts, labels and names in it are escaped.

    Args:
        pipeline: Its name.
        told: Of each text.
        summary: Of a corpus, if there is one.
    """
    environment = make_environment("spacy_bert_zh.explain")
    functions = {"runs": runs, "rows": rows, "notes": notes, "method_of": method_of}
    template = environment.get_template("explanation.html")
    return template.render(
        pipeline=pipeline,
        told=told,
        summary=summary,
        pictures=plot_words(summary) if summary else [],
        evidence_title=evidence_title,
        levels=LEVELS,
        shown=SHOWN,
        **functions,
    )


def plot_words(summary: Summary) -> list["Markup"]:
    """A picture of the words of each label, over a common scale."""
    from markupsafe import Markup

    from spacy_bert_zh.plots import bars, to_svg

    shown = [one for one in summary.labels if one.words][:PICTURES]
    largest = max((word.effect for one in shown for word in one.words), default=1.0)
    return [
        Markup(
            to_svg(
                bars(
                    [word.text for word in one.words],
                    [word.effect for word in one.words],
                    [f"{word.effect:.1f} ({word.texts:,})" for word in one.words],
                    f"{one.label}: sum of effects (texts)",
                    largest,
                )
            )
        )
        for one in shown
    ]


def method_of(explanation: Explanation) -> str:
    """How the BERT's share was found, in words."""
    return METHODS[explanation.method].format(explanation.steps)


def evidence_title(explanation: Explanation) -> str:
    """What the texts of the index are to the one that is explained."""
    if explanation.evidence and explanation.evidence[0].influence is not None:
        return "texts of its index with most influence on the answer"
    return "nearest texts of its index"


def runs(explanation: Explanation, share: Share) -> list[tuple[str, str, str]]:
    """The text in runs of a colour: the class of each, what it adds, and its characters."""
    characters = share.characters
    largest = max(map(abs, characters), default=0.0) or 1.0
    classes = [_class(value / largest) for value in characters]
    found, place = [], 0
    for name, group in groupby(classes):
        end = place + len(list(group))
        found.append((name, f"{sum(characters[place:end]):+.2f}", explanation.text[place:end]))
        place = end
    return found


def _class(part: float) -> str:
    level = round(LEVELS * abs(part))
    return f"{'p' if part > 0 else 'm'}{level}" if level else ""


def rows(explanation: Explanation, share: Share) -> list[tuple[str, float, float, float]]:
    """The words of most effect in their order; what each adds by n-grams, and by the BERT."""

    def row(number: int) -> tuple[str, float, float, float]:
        start, end = explanation.words[number]
        ngrams = sum(share.ngram_characters[start:end])
        network = sum(share.network_characters[start:end])
        return explanation.text[start:end], share.effects[number], ngrams, network

    return list(map(row, heaviest(share, SHOWN)))


def heaviest(share: Share, count: int) -> list[int]:
    """So many words at most, those of most effect in either direction, in their order."""
    kept = sorted(share.order, key=lambda number: -abs(share.effects[number]))[:count]
    return [number for number in share.order if number in kept]


def notes(told: Told) -> list[str]:
    """What else there is to say, in sentences."""
    one, text = told.explanation, told.explanation.text
    said = []
    if one.left_out:
        said.append(
            f"Only the first {len(text):,} characters were read; {one.left_out:,} after them were "
            "left out, and the whole text may have another answer."
        )
    if one.method != "none" and not one.read:
        said.append("The text has nothing that the BERT reads: it answers as for any empty one.")
    elif one.method != "none" and one.read < len(text.rstrip()):
        said.append(f"The BERT reads the first {one.read:,} of {len(text):,} characters.")
    if found := told.contrast:
        words = ", ".join(text[start:end] for start, end in found.words)
        said.append(f"Without {words}: {', '.join(found.given) or 'no label'}.")
    elif one.words:
        said.append("No few words change the answer by their absence.")
    if rating := told.rating:
        said.append(
            f"Without the first words the score falls by {rating.comprehensiveness:.2f} "
            f"(at random {rating.random_comprehensiveness:.2f}), with them alone by "
            f"{rating.sufficiency:.2f} (at random {rating.random_sufficiency:.2f}). Where the text "
            "is written a little otherwise, what characters add has a rank correlation of "
            f"{rating.consistency:.2f} with this (at random {rating.random_consistency:.2f})."
        )
    for label, below in one.raised:
        said.append(
            f"{label} has the score of {below}, which lies under it in the tree of labels: its "
            "logit and words are those of that label."
        )
    if one.unlearnt:
        said.append(
            f"The classifier has never learnt {', '.join(one.unlearnt)}: such a score is by how "
            "near the label's texts in the index are, and the logit plays no part in it."
        )
    if one.voters:
        said.append(
            f"The texts of its index have {one.voters:.0%} of the say in the scores; the logits "
            "are the classifier's own."
        )
    if (error := max(share.error for share in one.shares)) > 0.01:
        said.append(
            f"The characters' sum misses the BERT's share by up to {error:.0%} of it: the integral "
            f"isn't exact after {one.steps} steps; `explain --samples 25` shares all of it out."
        )
    if (together := max(share.together for share in one.shares)) > 0.1:
        said.append(
            f"Up to {together:.0%} of the BERT's share is what pieces say only together, and "
            "spread evenly; `explain --samples 25` shares it out by piece."
        )
    return said
