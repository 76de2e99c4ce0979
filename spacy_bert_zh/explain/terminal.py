"""What a terminal shows of explanations."""

from rich.console import Console
from rich.table import Table
from rich.text import Text

from spacy_bert_zh.explain.page import Told, method_of, notes
from spacy_bert_zh.explain.result import Explanation, Rating, Share

SHOWN = 15
"""Words in the table, those of most effect in either direction."""
WIDTH = 12


def print_told(told: Told, number: int) -> None:
    """Print what is told of a text; words in the order of their effect."""
    console = Console(highlight=False, soft_wrap=True)
    one = told.explanation
    console.print(Text(("\n" if number else "") + one.text[:200].replace("\n", " ")))
    console.print(Text(f"given: {', '.join(one.given) or 'no label'}; {method_of(one)}"))
    for share in one.shares:
        console.print(Text(headline(share)))
        console.print(_table(one, share))
    if one.evidence:
        console.print(Text("\nnearest texts of its index:"))
    for near in one.evidence:
        text = near.text[:80].replace("\n", " ")
        where = f" ({near.source})" if near.source else ""
        labels = ", ".join(near.labels) or "no label"
        console.print(Text(f"{near.similarity:.2f}  {labels}  {text}{where}"))
    for note in notes(told):
        console.print(Text(note))


def headline(share: Share) -> str:
    """The split of a logit in a line."""
    than = f" rather than {share.against}" if share.against else ""
    return (
        f"\n{share.label}{than}: score {share.score:.4f}, "
        f"{'difference of logits' if share.against else 'logit'} {share.logit:+.2f} = "
        f"bias {share.bias:+.2f}, n-grams {share.ngrams:+.2f}, BERT {share.network:+.2f}"
    )


def _table(explanation: Explanation, share: Share) -> Table:
    table = Table("word", box=None, pad_edge=False)
    for name in ("effect", "n-grams", "BERT"):
        table.add_column(name, justify="right")
    table.add_column("")
    weights = share.effects
    order = sorted(range(len(weights)), key=lambda row: -abs(weights[row]))[:SHOWN]
    largest = max(map(abs, weights), default=0.0) or 1.0
    for row in sorted(order, key=lambda row: -weights[row]):
        start, end = explanation.words[row]
        parts = (share.ngram_characters[start:end], share.network_characters[start:end])
        size = round(WIDTH * abs(weights[row]) / largest)
        table.add_row(
            Text(explanation.text[start:end][:20].replace("\n", " ")),
            f"{weights[row]:+.2f}",
            *(f"{sum(part):+.2f}" for part in parts),
            Text(("█" if weights[row] > 0 else "-") * size),
        )
    return table


def print_rating(rating: Rating, corpus: str) -> None:
    """Print how faithful the explanations of a corpus are."""
    table = Table(f"{corpus}, {rating.texts:,} texts", box=None, pad_edge=False)
    for name in ("words by effect", "in random order"):
        table.add_column(name, justify="right")
    for name, own, chance in (
        ("comprehensiveness", rating.comprehensiveness, rating.random_comprehensiveness),
        ("sufficiency", rating.sufficiency, rating.random_sufficiency),
    ):
        table.add_row(name, f"{own:.4f}", f"{chance:.4f}")
    console = Console(highlight=False, soft_wrap=True)
    console.print(table)
    console.print(f"largest error of the BERT's share: {rating.error:.2g}")
