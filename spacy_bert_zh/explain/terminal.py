"""What a terminal shows of explanations."""

from rich.console import Console
from rich.table import Table
from rich.text import Text

from spacy_bert_zh.explain.page import Told, evidence_title, heaviest, method_of, notes
from spacy_bert_zh.explain.result import Explanation, Share
from spacy_bert_zh.explain.summary import Summary

SHOWN = 15
"""Words in the table, those of most effect in either direction."""
WIDTH = 12


def print_told(told: Told, number: int) -> None:
    """Print what is told of a text; words in their order."""
    console = Console(highlight=False, soft_wrap=True)
    one = told.explanation
    console.print(Text(("\n" if number else "") + one.text[:200].replace("\n", " ")))
    console.print(Text(f"given: {', '.join(one.given) or 'no label'}; {method_of(one)}"))
    for share in one.shares:
        console.print(Text(headline(share)))
        console.print(_table(one, share))
    if one.evidence:
        console.print(Text(f"\n{evidence_title(one)}:"))
    for near in one.evidence:
        text = near.text[:80].replace("\n", " ")
        where = f" ({near.source})" if near.source else ""
        labels = ", ".join(near.labels) or "no label"
        found = near.similarity if near.influence is None else near.influence
        console.print(Text(f"{found:.2g}  {labels}  {text}{where}"))
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
    largest = max(map(abs, weights), default=0.0) or 1.0
    for row in heaviest(share, SHOWN):
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


def print_summary(summary: Summary) -> None:
    """Print how faithful the explanations of a corpus are, and the words that weigh most."""
    rating = summary.rating
    table = Table(f"{summary.corpus}, {rating.texts:,} texts", box=None, pad_edge=False)
    for name in ("words in their order", "in random order"):
        table.add_column(name, justify="right")
    for name, own, chance in (
        ("comprehensiveness", rating.comprehensiveness, rating.random_comprehensiveness),
        ("sufficiency", rating.sufficiency, rating.random_sufficiency),
        ("consistency", rating.consistency, rating.random_consistency),
    ):
        table.add_row(name, f"{own:.4f}", f"{chance:.4f}")
    console = Console(highlight=False, soft_wrap=True)
    console.print(table)
    console.print(f"largest error of the BERT's share: {rating.error:.2g}")
    words = Table("label", box=None, pad_edge=False)
    words.add_column("texts", justify="right")
    words.add_column("words that weigh most, with the sum of their effects")
    for one in summary.labels:
        heaviest = " ".join(f"{word.text} {word.effect:+.1f}" for word in one.words)
        words.add_row(Text(one.label), f"{one.texts:,}", Text(heaviest))
    console.print(words)
