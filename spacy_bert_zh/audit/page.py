"""What people read of an audit: the terminal's lines and a self-contained HTML page."""

from collections.abc import Iterator
from typing import Any

from spacy_bert_zh.evaluate import make_environment

MOST = 300
"""Rows that the page shows of each finding; the files have all."""
WEAK = 0.7
"""A model that agrees with fewer of the labels says little about any of them."""
EXCERPT = 160


def render_page(
    found: dict[str, Any], wrong: list[dict[str, Any]], learning: list[dict[str, Any]]
) -> str:
    """Render the HTML page; texts, labels and names in it are escaped.

    Args:
        found: The content of ``audit.json``.
        wrong: The lines of ``audit.jsonl``.
        learning: The lines of ``map.jsonl``.
    """
    from markupsafe import Markup

    from spacy_bert_zh.plots import density, to_svg

    points = [(row["variability"], row["confidence"]) for row in learning]
    picture = to_svg(density(points, "variability of the label's score", "confidence: its mean"))
    environment = make_environment("spacy_bert_zh.audit")
    environment.filters |= {"names": _names, "excerpt": _excerpt}
    template = environment.get_template("audit.html")
    return template.render(
        found=found, wrong=wrong, most=MOST, judge=judge(found), picture=Markup(picture)
    )


def lines(found: dict[str, Any]) -> Iterator[str]:
    """What a terminal shows of an audit.

    Args:
        found: The content of ``audit.json``.
    """
    corpus = found["corpus"]
    yield f"{corpus['rows']:,} rows, {len(corpus['labels']):,} labels"
    what = "rows" if corpus["exclusive"] else "labels of rows"
    yield judge(found)
    yield f"about {found['estimated_wrong']:,} {what} are wrong (confident learning)"
    if corpus["decided"]:
        yield f"{corpus['decided']:,} rows are decided by --fixes and not shown"
    for pair in found["confused"][:3]:
        yield f"  given {pair['given']}, likely {pair['better']}: about {pair['rows']:,} rows"
    for few in found["few"]:
        accident = ", likely an accident" if few["accident"] else ""
        yield f"  label '{few['label']}' has {few['rows']} rows{accident}"
    counted = {
        "near-duplicates with different labels": found["contradictory"],
        "texts like none": found["outliers"],
        "near-duplicates in dev": found["leaks"] or (),
        "words that give a label away": found["shortcuts"],
    }
    for name, those in counted.items():
        if those:
            yield f"{name}: {len(those):,}"


def judge(found: dict[str, Any]) -> str:
    """How far to believe an audit, in a sentence.

    Args:
        found: The content of ``audit.json``.
    """
    said = (
        f"The model that scored them gives {found['agreed']:.0%} of the rows the labels they have"
    )
    weak = ": too weak a judge to say that a row is wrong; take what it lists as hard rows"
    return f"{said}{weak if found['agreed'] < WEAK else ''}."


def _names(labels: str | list[str]) -> str:
    return labels if isinstance(labels, str) else ", ".join(labels) or "–"


def _excerpt(text: str) -> str:
    return text if len(text) <= EXCERPT else f"{text[:EXCERPT]}…"
