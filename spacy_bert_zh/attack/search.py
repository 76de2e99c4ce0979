"""The search for changes that cost a text its label: one change after another, best first.

Greedy as in Jin et al. 2020, *Is BERT really robust?* (TextFooler): words in the order of what
their absence changes, and of a place's candidates the one that hurts most. Texts go side by side,
so that a pipeline is asked about the candidates of all of them at once.
"""

import random
from collections.abc import Sequence
from dataclasses import dataclass

from spacy_bert_zh.attack.victim import Labels, Reply, Target, Victim
from spacy_bert_zh.changes import Edit, Family, apply, overlap
from spacy_bert_zh.loading import find_words, without

TRIES = 3
"""Candidates of a place."""


@dataclass
class Attempt:
    """An attack on a text by a family.

    Attributes:
        target: The text.
        places: Where it may be changed, in the order in which that is tried.
        edits: What has been changed so far.
        given: The labels that it then has.
        fell: Whether they are others than the right ones.
    """

    target: Target
    places: Sequence[int]
    edits: tuple[Edit, ...] = ()
    given: Labels = ()
    fell: bool = False

    @property
    def text(self) -> str:
        """The text with its changes."""
        return apply(self.target.text, self.edits)


def attack_all(
    victim: Victim,
    targets: Sequence[Target],
    orders: Sequence[Sequence[int]],
    family: Family,
    *,
    budget: int,
    queries: int,
    seed: int,
) -> list[Attempt]:
    """Attack texts that have their right labels.

    Args:
        victim: Who is asked.
        targets: The texts.
        orders: For each of them its places, in the order in which they are tried.
        family: The kind of changes.
        budget: Changes of a text at most.
        queries: Candidates of a text at most, an equal share for each change.
        seed: Of chance; a text's doesn't depend on the others.
    """
    attempts = [Attempt(*pair) for pair in zip(targets, orders, strict=True)]
    chances = [random.Random(f"{seed} {family.name} {i}") for i in range(len(attempts))]
    for share in _shares(queries, budget):
        found: list[tuple[Attempt, tuple[Edit, ...]]] = []
        for attempt, chance in zip(attempts, chances, strict=True):
            if not attempt.fell:
                found += [(attempt, edits) for edits in _candidates(attempt, family, share, chance)]
        texts = [apply(attempt.target.text, edits) for attempt, edits in found]
        replies = victim.ask(texts, [attempt.target for attempt, _ in found])
        _keep_best(found, replies)
    return attempts


def importance_order(victim: Victim, targets: Sequence[Target]) -> list[list[int]]:
    """The places of texts, those of the words first without which the right label is furthest.

    That is occlusion, as `explain` has it.
    """
    words = [find_words(target.text) for target in targets]
    pairs = [(target, word) for target, found in zip(targets, words, strict=True) for word in found]
    texts = [without(target.text, [word]) for target, word in pairs]
    replies = iter(victim.ask(texts, [target for target, _ in pairs]))
    orders = []
    for found in words:
        margins = [next(replies).margin for _ in found]
        ranked = sorted(range(len(found)), key=margins.__getitem__)
        orders.append([place for word in ranked for place in range(*found[word])])
    return orders


def random_order(targets: Sequence[Target], seed: int) -> list[list[int]]:
    """The places of texts, in any order."""
    chances = (random.Random(f"{seed} {i}") for i in range(len(targets)))
    return [
        chance.sample(range(len(target.text)), len(target.text))
        for chance, target in zip(chances, targets, strict=True)
    ]


def _shares(queries: int, budget: int) -> list[int]:
    """So many in parts as equal as can be, the larger ones first."""
    return [-((i - queries) // budget) for i in range(budget)]


def _candidates(
    attempt: Attempt, family: Family, most: int, chance: random.Random
) -> list[tuple[Edit, ...]]:
    text = attempt.target.text
    found: dict[str, tuple[Edit, ...]] = {}
    for place in attempt.places:
        for _ in range(TRIES):
            edit = family.change(text, place, chance)
            if edit is None or any(overlap(edit, other) for other in attempt.edits):
                break
            edits = (*attempt.edits, edit)
            found.setdefault(apply(text, edits), edits)
            if len(found) == most:
                return list(found.values())
    return list(found.values())


def _keep_best(found: Sequence[tuple[Attempt, tuple[Edit, ...]]], replies: Sequence[Reply]) -> None:
    """Let each attempt go on from its candidate that hurts most: a wrong label more than any."""
    best: dict[int, tuple[Attempt, tuple[Edit, ...], Reply]] = {}
    for (attempt, edits), reply in zip(found, replies, strict=True):
        held = best.get(id(attempt))
        if held is None or (reply.right, reply.margin) < (held[2].right, held[2].margin):
            best[id(attempt)] = (attempt, edits, reply)
    for attempt, edits, reply in best.values():
        attempt.edits, attempt.given, attempt.fell = edits, reply.labels, not reply.right
