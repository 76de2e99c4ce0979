"""What an attack has shown: figures, and the texts that lost their labels."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from spacy_bert_zh.attack.options import Options
from spacy_bert_zh.attack.search import Attempt
from spacy_bert_zh.attack.victim import Target, Victim
from spacy_bert_zh.changes import HEAD, SYNONYM, Family
from spacy_bert_zh.evaluate import share_of

Attempts = Mapping[Family, Sequence[Attempt]]


def summarize(
    names: dict[str, str],
    victim: Victim,
    targets: Sequence[Target],
    attempts: Attempts,
    options: Options,
) -> dict[str, Any]:
    """The content of ``attack.json``.

    An accuracy that is left is the share of all texts whose labels are right before, and still so
    after so many changes or fewer; ``together`` counts those that no family could take.
    """
    texts, every = len(targets), list(attempts.values())
    right = len(every[0])
    standing = sum(not any(one.fell for one in ones) for ones in zip(*every, strict=True))
    said = {"search", "budget", "queries", "seed"}
    return {
        **names,
        **{name: value for name, value in asdict(options).items() if name in said},
        "similar": [path.name for path in options.similar],
        "checkpoint": options.checkpoint.name if options.checkpoint else None,
        "left_out": _left_out(options),
        "texts": texts,
        "right": right,
        "asked": victim.asked,
        "accuracy": share_of(right, texts),
        "families": [
            _summarize(family, ones, texts, options.budget) for family, ones in attempts.items()
        ],
        "together": share_of(standing, texts),
    }


def _left_out(options: Options) -> dict[str, str]:
    """The families that were asked for with all others, but can't be had, and why."""
    wanted = not options.families and options.checkpoint is None
    return {SYNONYM: f"needs --checkpoint: {HEAD}"} if wanted else {}


def _summarize(
    family: Family, attempts: Sequence[Attempt], texts: int, budget: int
) -> dict[str, Any]:
    fell = [len(one.edits) for one in attempts if one.fell]
    left = [len(attempts) - sum(edits <= most for edits in fell) for most in range(1, budget + 1)]
    return {
        "family": family.name,
        "what": family.what,
        "changed": sum(bool(one.edits) for one in attempts),
        "fell": len(fell),
        "left": [{"budget": i + 1, **share_of(count, texts)} for i, count in enumerate(left)],
    }


def rows_of(attempts: Attempts, exclusive: bool) -> Iterator[dict[str, Any]]:
    """The lines of ``adversarial.jsonl``: each text that lost its labels, with the right ones."""
    for family, ones in attempts.items():
        for one in ones:
            if one.fell:
                yield {
                    "text": one.text,
                    "label": one.target.labels[0] if exclusive else list(one.target.labels),
                    "original": one.target.text,
                    "family": family.name,
                    "edits": len(one.edits),
                    "given": one.given[0] if exclusive and one.given else list(one.given),
                }
