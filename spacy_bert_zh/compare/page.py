"""What people read of a comparison: the terminal's lines and a self-contained HTML page."""

from collections.abc import Iterator
from typing import Any

from spacy_bert_zh.evaluate import make_environment

MOST = 200
"""Texts that the page shows of each kind; the JSON has all."""


def render_page(found: dict[str, Any]) -> str:
    """Render the HTML page; texts, labels and names in it are escaped.

    Args:
        found: The content of ``comparison.json``.
    """
    environment = make_environment("spacy_bert_zh.compare")
    return environment.get_template("comparison.html").render(found=found, most=MOST)


def lines(found: dict[str, Any]) -> Iterator[str]:
    """What a terminal shows of a comparison.

    Args:
        found: The content of ``comparison.json``.
    """
    yield f"first: {found['first']}, {found['corpus']['texts']:,} texts"
    for pair in found["pairs"]:
        yield f"\nsecond: {pair['second']}"
        for name, title in (("accuracy", "accuracy"), ("macro_f1", "macro F1")):
            one = pair[name]
            low, high = one["interval"]
            yield (
                f"  {title} {one['first']:.4f} → {one['second']:.4f}, difference "
                f"{one['difference']:+.4f} (95 %: {low:+.4f} to {high:+.4f})"
            )
        several = f" (Holm: {pair['p_holm']:.2g})" if len(found["pairs"]) > 1 else ""
        yield (
            f"  right only in the first {pair['lost']:,}, only in the second {pair['gained']:,}: "
            f"p = {pair['p_value']:.2g}{several} (McNemar, exact)"
        )
        yield f"  {pair['says']}"
